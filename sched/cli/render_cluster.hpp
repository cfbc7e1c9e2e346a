// The cluster's state as text and as JSON (fields as in docs/cli.md). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wire/schema/frame.hpp"

namespace muster::cli {

[[nodiscard]] std::string render_nodes(const fb::OperatorReplyT& reply);
// A row for all nodes that are alike: state, size, remark. Their cpus, memory and tasks together.
[[nodiscard]] std::string render_nodes_briefly(const fb::OperatorReplyT& reply);
// "f[1-3,7],gpu1": names that differ by the number at their end share a bracket; in the order given; cut at `most` ranges.
[[nodiscard]] std::string fold_names(const std::vector<std::string>& names, std::size_t most);
// The cpus of a Status, in thousandths; in a large cluster more than its shapes can say: then the sum of its rows.
struct CpuTotals {
  std::uint64_t capacity{};
  std::uint64_t used{};
  std::uint64_t offered{};
};
[[nodiscard]] CpuTotals cpu_totals(const fb::OperatorReplyT& reply);
[[nodiscard]] std::string format_total_cpus(std::uint64_t cpus_milli);
[[nodiscard]] bool is_simulated(const fb::NodeRowT& node);
[[nodiscard]] std::string render_frameworks(const fb::OperatorReplyT& reply);
[[nodiscard]] std::string render_offers(const fb::OperatorReplyT& reply);
[[nodiscard]] std::string render_tasks(const fb::OperatorReplyT& reply);

// What `muster status` knows. Without an answer of the gang: why.
struct ClusterStatus {
  std::string dir;
  fb::OperatorReplyT master;   // Status, with the rows of Nodes
  std::optional<fb::GangStatusT> gang;
  std::string gang_problem;
};
[[nodiscard]] std::string render_status(const ClusterStatus& status);
[[nodiscard]] nlohmann::ordered_json json_of(const ClusterStatus& status);

// {"epoch": …, "nodes": […], "total": n} of the reply's subject.
[[nodiscard]] nlohmann::ordered_json json_of(const fb::OperatorReplyT& reply);

[[nodiscard]] std::string_view node_state_name(fb::NodeState state);

}  // namespace muster::cli

// The cluster's state as text and as JSON (fields as in docs/cli.md). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

#include "wire/schema/frame.hpp"

namespace muster::cli {

[[nodiscard]] std::string render_nodes(const fb::OperatorReplyT& reply);
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

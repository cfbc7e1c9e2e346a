// Which cpus each rank of a step gets on a node. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/model/topology.hpp"

namespace muster::node {

struct BindAsk {
  std::span<const Pu> pus;           // of the node, or of the grant; group numbers may have gaps
  std::span<const std::uint32_t> cpus;  // what the step may use here, as advertised (Pu::os_index)
  std::uint32_t ranks{1};
  std::uint32_t cpus_per_task{1};    // 0: the cpus, shared out evenly
  std::uint32_t threads_per_core{};  // at most so many hardware threads of a core; 0 = all
  std::string_view cpu_bind;         // "" (as "core"), "core", "socket", "numa", "rank", "none", "map:0,2,4"
  bool over_packages{};              // neighbours in rank on different packages (deals_over_packages())
  std::string_view node;             // for errors
};

struct RankBinding {
  std::vector<std::uint32_t> cpus;   // as advertised, ascending; empty = not bound
  std::vector<std::uint32_t> numas;  // group numbers of the NUMA nodes of `cpus` (--mem-bind=local)
  bool operator==(const RankBinding&) const = default;
};

struct StepBinding {
  std::vector<RankBinding> ranks;    // by local rank
  std::string note;                  // one sentence when ranks share cpus although they should not; else ""
};

//   core    whole cores of its own: as many as hold cpus_per_task; hardware threads of its own when cores are too few
//   rank    cpus_per_task cpus in their order, cores or not
//   socket, numa  all of the step's cpus in the packages (NUMA nodes) of what `core` gives
//   map     the listed cpus, one per rank, from the start again when there are more ranks
//   none    all of the step's cpus
// With too few cpus, ranks share them and the note says so. Cpus that `pus` does not know count as cores of their own.
// Errors: invalid_argument (an unknown kind, a cpu of the map that the step does not have).
[[nodiscard]] Result<StepBinding> bind_ranks(const BindAsk& ask);

// "[BB/../..][../../..]": packages in brackets, cores between slashes, one letter per hardware thread: B bound, . not, and
// - for those that are not among `granted` (all are when it is empty).
[[nodiscard]] std::string draw_cpus(std::span<const Pu> pus, std::span<const std::uint32_t> bound,
                                    std::span<const std::uint32_t> granted);
// A line for each local rank: "rank 3 n1: [BB/../..][../../..] (cpus 0-1)".
[[nodiscard]] std::vector<std::string> draw_bindings(std::span<const Pu> pus, std::span<const std::uint32_t> granted,
                                                     std::string_view node, std::span<const std::uint32_t> rank_numbers,
                                                     const StepBinding& binding);

}  // namespace muster::node

// GangShape: what one element of a job asks of the cluster, and how much of it one node must hold. Pure.
#pragma once

#include <compare>
#include <cstdint>

#include "wire/base/units.hpp"
#include "wire/model/resources.hpp"
#include "wire/schema/frame.hpp"

namespace muster::gang {

struct GangShape {
  std::uint32_t ntasks{1};
  std::uint32_t nodes_min{1};        // ≥ 1
  std::uint32_t nodes_max{1};        // ≥ nodes_min, ≤ ntasks
  std::uint32_t ranks_per_node{};    // at most; 0 = no bound
  MilliCpus cpus_per_task_milli{1000};
  std::uint32_t gpus_per_task{};
  Bytes memory_per_node_bytes{};     // 0 = not asked
  Bytes memory_per_cpu_bytes{};      // 0 = not asked; neither: a share in proportion to the cpus
  Bytes disk_per_node_bytes{};
  bool exclusive{};                  // all cpus of its nodes; their memory too, if nothing was said about memory
  bool all_memory{};                 // of its nodes
  auto operator<=>(const GangShape&) const = default;

  // What a rank without a word about memory gets, given the cluster's default per cpu: see default_memory_per_cpu.
  [[nodiscard]] Bytes memory_per_rank(Bytes default_per_cpu) const;
  // What `ranks` of this on one node take, without what they take because they take a node whole. Exact, and linear in
  // ranks but for the per-node parts.
  [[nodiscard]] Resources need(std::uint32_t ranks, Bytes default_per_cpu) const;
  // All that they take on a node with the capacity `whole`.
  [[nodiscard]] Resources need_on(const Resources& whole, std::uint32_t ranks, Bytes default_per_cpu) const;
  // The most ranks that `room`, free on a node with the capacity `whole`, holds; at most ntasks and ranks_per_node.
  [[nodiscard]] std::uint32_t ranks_in(const Resources& room, Bytes default_per_cpu, const Resources& whole) const;
  [[nodiscard]] std::uint32_t ranks_in(const Resources& room, Bytes default_per_cpu) const {
    return ranks_in(room, default_per_cpu, room);
  }
  // Does what it takes depend on the node?
  [[nodiscard]] bool takes_whole() const { return exclusive || all_memory; }
  [[nodiscard]] bool takes_whole_memory() const {
    return all_memory || (exclusive && memory_per_node_bytes == 0 && memory_per_cpu_bytes == 0);
  }
  // Must its ranks be spread over nodes that would not be needed for room alone?
  [[nodiscard]] bool spreads() const { return nodes_min > 1 || (ranks_per_node != 0 && ranks_per_node < ntasks); }
};

// REQUIRES a validated spec.
[[nodiscard]] GangShape shape_of(const fb::JobSpec& spec);

}  // namespace muster::gang

// The map of a machine's cpus, free of hwloc: made by node/topology, sent once by hash, read by planners.
//
// One cpu is one processing unit (PU): a hardware thread, counted as Slurm counts CPUs when
// hyperthreads are on. Siblings of one core stand next to each other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/result.hpp"

namespace muster {

// One processing unit and the groups it belongs to. Group numbers are dense, from 0, over the machine.
// Without an L3 cache, l3 is the NUMA node.
struct Pu {
  std::uint32_t os_index{};
  std::uint32_t core{};
  std::uint32_t l3{};
  std::uint32_t numa{};
  std::uint32_t package{};
  constexpr bool operator==(const Pu&) const = default;
};
static_assert(sizeof(Pu) == 20);

struct TopologyCounts {
  std::uint32_t packages{};
  std::uint32_t numas{};
  std::uint32_t l3s{};
  std::uint32_t cores{};
  std::uint32_t pus{};
  constexpr bool operator==(const TopologyCounts&) const = default;
};

struct Topology {
  std::vector<Pu> pus;  // neighbours first: by package, numa, l3, core, os_index

  [[nodiscard]] bool empty() const { return pus.empty(); }
  [[nodiscard]] TopologyCounts counts() const;
  // The same for equal content on every machine and in every version.
  [[nodiscard]] std::uint64_t hash() const;
  // "2 packages, 4 NUMA nodes, 8 L3, 64 cores, 128 cpus"
  [[nodiscard]] std::string to_string() const;
  // hwloc's form for a machine whose groups are all alike and nested:
  // "package:2 numa:2 l3:2 core:8 pu:2"; "" for any other.
  [[nodiscard]] std::string synthetic_description() const;
  bool operator==(const Topology&) const = default;
};

// How many of each group stand in the group above; all ≥ 1 (check()).
struct TopologyShape {
  std::uint32_t packages{1};
  std::uint32_t numas_per_package{1};
  std::uint32_t l3s_per_numa{1};
  std::uint32_t cores_per_l3{1};
  std::uint32_t pus_per_core{1};
};
// A machine of alike groups with os_index = position, for tests, simulators and fake nodes.
[[nodiscard]] Topology make_topology(const TopologyShape& shape);

// Checks what a peer sent: at most 65,536 PUs, unique os indexes, dense group numbers, and no core in
// two groups of another kind.
[[nodiscard]] Status validate(const Topology& topology);

}  // namespace muster

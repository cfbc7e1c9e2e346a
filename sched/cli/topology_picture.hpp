// A node's packages, NUMA nodes, L3 caches, cores and hardware threads, drawn. Pure.
#pragma once

#include <string>

#include "wire/model/topology.hpp"

namespace muster::cli {

// Lines of at most `width` characters: a bracket for each core with the numbers of its cpus.
//   package 0
//     NUMA 0, L3 0: [0 8] [1 9] [2 10] [3 11]
[[nodiscard]] std::string draw_topology(const Topology& topology, std::size_t width = 100);
// The same as boxes in boxes.
[[nodiscard]] std::string topology_svg(const Topology& topology, const std::string& title);

}  // namespace muster::cli

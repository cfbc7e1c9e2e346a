// A topology as one short line, which a node says of itself and tools read. Pure.
//
//   package:2 numa:1 l3:1 core:16 pu:2 cpus:0-15;16-31   alike groups; the cpus by their place in a core: first threads, then second ones
//   pus:0.0.0.0.0,1.0.0.0.0,…                            any other: os.core.l3.numa.package of each
#pragma once

#include <string>
#include <string_view>

#include "wire/model/topology.hpp"

namespace muster {

// "" for an empty one, and for one that is irregular and too large for a line (above 1,024 cpus).
[[nodiscard]] std::string describe_topology(const Topology& topology);
// Errors: malformed.
[[nodiscard]] Result<Topology> parse_topology(std::string_view text);

}  // namespace muster

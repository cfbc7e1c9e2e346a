// How the ranks of a step lie on its nodes, in the forms that process management wants. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "node/pmi/pmi_server.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

// Every rank 0..ntasks-1 on exactly one node, ascending on each, `here` one of the nodes, a name that fits.
[[nodiscard]] Status check_layout(const PmiStep& step);

// "1,3,7"
[[nodiscard]] std::string comma_separated(const std::vector<std::uint32_t>& numbers);

// PMI-1's "(vector,(first node,nodes,ranks on each),…)": the blocks are gone through again and again until all ranks
// have a node, so cyclic layouts stay short. Irregular ones may not. Nodes are numbered as the ranks meet them.
[[nodiscard]] std::string process_mapping(const PmiStep& step);

}  // namespace muster::node

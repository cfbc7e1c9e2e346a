// Lists of node names as people write them: "n[1-4,7],login". Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.hpp"

namespace muster {

// Names that differ in their last number only and follow each other share brackets: n1 n2 n4 → "n[1-2,4]",
// n01 n02 → "n[01-02]". Keeps the order; {} → "".
[[nodiscard]] std::string format_node_list(std::span<const std::string> names);
// The names of such a list, in its order. At most 100,000. Errors: invalid_argument, out_of_range.
[[nodiscard]] Result<std::vector<std::string>> parse_node_list(std::string_view text);

// {2, 2, 2, 1} → "2(x3),1".
[[nodiscard]] std::string format_counts(std::span<const std::uint32_t> counts);

}  // namespace muster

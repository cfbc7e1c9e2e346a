// Nearest spellings for "did you mean …". Pure.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace muster {

// Single-letter edits between the two, a swap of neighbours counting as one.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word` when it is near enough to be a slip of the hand, or one that begins with
// `word`; "" when nothing is. The first of equals wins.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace muster

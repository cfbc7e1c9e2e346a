// The tree of an allocation's step daemons. Member 0 is the root: users speak to it. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace muster::node {

inline constexpr std::uint32_t kTreeFanOut = 32;

// REQUIRES member > 0.
[[nodiscard]] constexpr std::uint32_t parent_of(std::uint32_t member) { return (member - 1) / kTreeFanOut; }

[[nodiscard]] inline std::vector<std::uint32_t> children_of(std::uint32_t member, std::uint32_t members) {
  std::vector<std::uint32_t> children;
  for (std::uint64_t child = std::uint64_t{member} * kTreeFanOut + 1;
       child < members && children.size() < kTreeFanOut; ++child) {
    children.push_back(static_cast<std::uint32_t>(child));
  }
  return children;
}

// The child of `here` on the way down to `to`; `here` itself when the way is up (or `to` is here).
[[nodiscard]] constexpr std::uint32_t next_hop(std::uint32_t here, std::uint32_t to) {
  std::uint32_t at = to;
  while (at > here) {
    const std::uint32_t above = parent_of(at);
    if (above == here) {
      return at;
    }
    at = above;
  }
  return here;
}

}  // namespace muster::node

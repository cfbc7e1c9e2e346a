// Dense ids of the master's tables. Valid within one master process; they never travel, except NodeIndex
// and OfferId (wire/base/ids.hpp).
#pragma once

#include <cstdint>

#include "wire/base/ids.hpp"

namespace muster::master {

using FrameworkIndex = Strong<struct FrameworkIndexTag, std::uint32_t>;
using GangIndex = Strong<struct GangIndexTag, std::uint32_t>;
using SpecIndex = Strong<struct SpecIndexTag, std::uint32_t>;
using KindIndex = Strong<struct KindIndexTag, std::uint32_t>;

inline constexpr std::uint32_t kNone = 0xffff'ffffU;
inline constexpr NodeIndex kNoNode{kNone};
inline constexpr FrameworkIndex kNoFramework{kNone};
inline constexpr GangIndex kNoGang{kNone};
inline constexpr SpecIndex kNoSpec{kNone};
inline constexpr KindIndex kNoKind{kNone};

// A task row's place, with the generation that tells a reused place apart.
struct TaskIndex {
  std::uint32_t slot{kNone};
  std::uint32_t generation{};
  constexpr auto operator<=>(const TaskIndex&) const = default;
  [[nodiscard]] constexpr bool is_none() const { return slot == kNone; }
};

}  // namespace muster::master

// The places of a step daemon's poller, and how often it speaks. For stepd_*.cpp.
#pragma once

#include "wire/base/time.hpp"
#include "wire/socket/poller.hpp"

namespace muster::node {

enum StepdTag : Poller::Tag { kLinks = 1, kSignals, kRanks, kAgent, kParent, kParentAgent, kPmi = 16 };  // kPmi + PmiKind

inline constexpr Duration kAgentTold = Duration::from_seconds(1);
inline constexpr Duration kParentAskedMin = Duration::from_ms(2);  // it starts in the same moment as we do
inline constexpr Duration kParentAskedMax = Duration::from_ms(50);

}  // namespace muster::node

// Deliberate defects exist in test builds only: elsewhere every switch reads as off.
#pragma once

namespace muster::master {

#ifdef MUSTER_DEFECTS
inline constexpr bool kDefects = true;
#else
inline constexpr bool kDefects = false;
#endif

}  // namespace muster::master

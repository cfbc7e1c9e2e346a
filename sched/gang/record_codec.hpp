// The parts of an attempt that the store keeps as one value. Pure. Fixed little-endian fields; lengths first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sched/gang/store.hpp"

namespace muster::gang {

// By member: node name, ranks and the node's boot number.
[[nodiscard]] FrameBytes pack_places(const AttemptRecord& attempt);
// Adds them to `attempt`. False when the bytes are not what pack_places makes.
[[nodiscard]] bool unpack_places(const FrameBytes& bytes, AttemptRecord& attempt);

[[nodiscard]] FrameBytes pack_ends(const std::vector<MemberEnd>& ends);
[[nodiscard]] bool unpack_ends(const FrameBytes& bytes, std::vector<MemberEnd>& ends);

}  // namespace muster::gang

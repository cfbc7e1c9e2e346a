// The parts of an attempt that the store keeps as one value. Pure. Fixed little-endian fields; lengths first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sched/gang/store.hpp"

namespace muster::gang {

// By member: node name and ranks.
[[nodiscard]] FrameBytes pack_places(const std::vector<std::string>& nodes, const std::vector<std::uint32_t>& ranks);
// False when the bytes are not what pack_places makes.
[[nodiscard]] bool unpack_places(const FrameBytes& bytes, std::vector<std::string>& nodes,
                                 std::vector<std::uint32_t>& ranks);

[[nodiscard]] FrameBytes pack_ends(const std::vector<MemberEnd>& ends);
[[nodiscard]] bool unpack_ends(const FrameBytes& bytes, std::vector<MemberEnd>& ends);

}  // namespace muster::gang

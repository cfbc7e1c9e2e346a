// FrameTemplate: a frame built once with FlatBuffers and copied with some fields replaced, so that a load generator
// costs little beside what it loads. Pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "wire/schema/frame.hpp"

namespace muster::bench {

template <class T>
void put(std::uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

// Offsets in a template of what is replaced.
struct FrameTemplate {
  FrameBytes bytes;
  std::size_t epoch{}, incarnation{}, sequence{}, received{};  // of the head
  std::size_t number{};    // Accept: its number
  std::size_t offers{};    // Accept: its offers
  std::size_t records{};   // launches, updates or acknowledgements
  std::size_t owners{};    // Update: the frameworks

  void head(std::uint8_t* frame, const FrameHead& head) const {
    put(frame + epoch, head.epoch.value());
    put(frame + incarnation, head.incarnation.value());
    put(frame + sequence, head.sequence);
    put(frame + received, head.received);
  }
};

inline constexpr std::size_t kLaunchBytes = sizeof(fb::LaunchEntry);
inline constexpr std::size_t kUpdateBytes = sizeof(fb::UpdateEntry);
inline constexpr std::size_t kAckBytes = sizeof(fb::AckEntry);

// An Accept of one offer with `launches` launches of one specification and shape, by framework `framework`.
[[nodiscard]] FrameTemplate accept_template(std::uint64_t framework, std::uint32_t launches, const fb::Amounts& shape);
[[nodiscard]] FrameTemplate update_template(std::uint32_t updates, std::uint32_t frameworks);
[[nodiscard]] FrameTemplate acknowledge_template(std::uint32_t entries);

// What a launch's place within its framework is in its attempt id, and the exit code its node gives it.
[[nodiscard]] constexpr std::uint64_t attempt_hi(std::uint64_t framework) { return framework << 16U | 1U; }
[[nodiscard]] constexpr std::int32_t exit_code_of(std::uint64_t attempt_lo) {
  return static_cast<std::int32_t>(mix64(attempt_lo) & 0x7fU);
}

}  // namespace muster::bench

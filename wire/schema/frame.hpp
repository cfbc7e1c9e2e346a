// Frames: building, verifying, and the bounds that are checked before anything is read.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/schema/frame_generated.h"

namespace muster {

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::string_view kVersionText = "0.1.0";

// What a frame may not exceed. One set for all conversations.
struct FrameLimits {
  std::size_t frame_bytes_max{8U << 20U};
  std::uint32_t depth_max{16};
  std::uint32_t tables_max{200'000};
};

// A frame's bytes. operator new aligns them for every field.
using FrameBytes = std::vector<std::uint8_t>;

struct FrameHead {
  Epoch epoch;
  Incarnation incarnation;
  std::uint64_t sequence{};
  std::uint64_t received{};
};

// A frame that can't be taken: the code for Refused, and a sentence.
struct FrameError {
  fb::RefusedCode code{fb::RefusedCode::Malformed};
  std::string text;
};

// Verifies `bytes` (REQUIRES: aligned to 8). The frame points into `bytes`.
[[nodiscard]] tl::expected<const fb::Frame*, FrameError> verify_frame(std::span<const std::uint8_t> bytes,
                                                                      const FrameLimits& limits = {});

// Verifies the nested bytes of a TaskSpec. Copies them to `storage` for alignment; the spec points there.
[[nodiscard]] Result<const fb::TaskSpec*> verify_spec(const fb::SpecBytes& spec, FrameBytes& storage);
[[nodiscard]] Result<const fb::TaskSpec*> verify_spec(std::span<const std::uint8_t> bytes, FrameBytes& storage);

// Ends `builder` with a frame around `body` and takes its bytes. The builder is empty afterwards.
template <class BodyTable>
[[nodiscard]] FrameBytes finish_frame(flatbuffers::FlatBufferBuilder& builder, const FrameHead& head,
                                      flatbuffers::Offset<BodyTable> body) {
  const auto frame =
      fb::CreateFrame(builder, kProtocolVersion, head.epoch.value(), head.incarnation.value(), head.sequence,
                      head.received, fb::BodyTraits<BodyTable>::enum_value, body.Union());
  fb::FinishFrameBuffer(builder, frame);
  FrameBytes bytes(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  builder.Clear();
  return bytes;
}

// The same from an object (fb::SomethingT) for messages off the hot path.
template <class BodyTable>
[[nodiscard]] FrameBytes pack_frame(const FrameHead& head, const typename BodyTable::NativeTableType& body) {
  flatbuffers::FlatBufferBuilder builder;
  return finish_frame(builder, head, BodyTable::Pack(builder, &body));
}

// The serialised bytes of a spec, as SpecBytes carries them.
[[nodiscard]] FrameBytes pack_spec(const fb::TaskSpecT& spec);

struct Refusal {
  fb::RefusedCode code{};
  std::uint64_t request{};
  std::uint64_t sequence{};
  std::string subject;
  std::string text;
};
[[nodiscard]] FrameBytes refused_frame(const FrameHead& head, const Refusal& refusal);

// "OfferGone" → "offer gone": for people.
[[nodiscard]] std::string_view to_string(fb::RefusedCode code);

// fb structs ⇄ ids
[[nodiscard]] inline AttemptId from_fb(const fb::AttemptId& id) { return {id.hi(), id.lo()}; }
[[nodiscard]] inline fb::AttemptId to_fb(const AttemptId& id) { return {id.hi, id.lo}; }
[[nodiscard]] inline OfferId from_fb(const fb::OfferRef& id) { return {id.slot(), id.generation()}; }
[[nodiscard]] inline fb::OfferRef to_fb(const OfferId& id) { return {id.slot, id.generation}; }
// "" for an absent string.
[[nodiscard]] inline std::string_view text_of(const flatbuffers::String* s) {
  return s == nullptr ? std::string_view{} : std::string_view(s->data(), s->size());
}

}  // namespace muster

#include "wire/schema/frame.hpp"

#include "wire/base/check.hpp"

namespace muster {
namespace {

tl::unexpected<FrameError> refuse(fb::RefusedCode code, std::string text) {
  return tl::unexpected(FrameError{code, std::move(text)});
}

}  // namespace

tl::expected<const fb::Frame*, FrameError> verify_frame(std::span<const std::uint8_t> bytes,
                                                        const FrameLimits& limits) {
  if (bytes.size() > limits.frame_bytes_max) {
    return refuse(fb::RefusedCode::TooLarge, "frame of " + std::to_string(bytes.size()) + " bytes; at most " +
                                                 std::to_string(limits.frame_bytes_max) + " are taken");
  }
  check(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0, "frame bytes must be aligned to 8");
  constexpr std::size_t kSmallest = sizeof(flatbuffers::uoffset_t) + flatbuffers::kFileIdentifierLength;
  if (bytes.size() < kSmallest || !fb::FrameBufferHasIdentifier(bytes.data())) {
    return refuse(fb::RefusedCode::Malformed, "not a muster frame");
  }
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), limits.depth_max, limits.tables_max);
  if (!fb::VerifyFrameBuffer(verifier)) {
    return refuse(fb::RefusedCode::Malformed, "frame does not verify");
  }
  const fb::Frame* frame = fb::GetFrame(bytes.data());
  if (frame->version() != kProtocolVersion) {
    return refuse(fb::RefusedCode::VersionMismatch, "protocol version " + std::to_string(frame->version()) +
                                                        "; this is version " + std::to_string(kProtocolVersion));
  }
  if (frame->body_type() > fb::Body::MAX || frame->body_type() == fb::Body::NONE) {
    return refuse(fb::RefusedCode::UnknownMessage,
                  "message tag " + std::to_string(static_cast<unsigned>(frame->body_type())) + " is not known here");
  }
  if (frame->body() == nullptr) {
    return refuse(fb::RefusedCode::Malformed, "frame without a body");
  }
  return frame;
}

Result<const fb::TaskSpec*> verify_spec(std::span<const std::uint8_t> bytes, FrameBytes& storage) {
  storage.assign(bytes.begin(), bytes.end());
  flatbuffers::Verifier verifier(storage.data(), storage.size(), 16, 200'000);
  if (storage.size() < sizeof(flatbuffers::uoffset_t) || !verifier.VerifyBuffer<fb::TaskSpec>(nullptr)) {
    return fail(Errc::malformed, "task spec does not verify");
  }
  return flatbuffers::GetRoot<fb::TaskSpec>(storage.data());
}

Result<const fb::TaskSpec*> verify_spec(const fb::SpecBytes& spec, FrameBytes& storage) {
  return verify_spec(std::span(spec.data()->data(), spec.data()->size()), storage);
}

FrameBytes pack_spec(const fb::TaskSpecT& spec) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::TaskSpec::Pack(builder, &spec));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

FrameBytes refused_frame(const FrameHead& head, const Refusal& refusal) {
  flatbuffers::FlatBufferBuilder builder;
  const auto subject = builder.CreateString(refusal.subject);
  const auto text = builder.CreateString(refusal.text);
  return finish_frame(builder, head,
                      fb::CreateRefused(builder, refusal.code, refusal.request, refusal.sequence, subject, text,
                                        head.epoch.value()));
}

std::string_view to_string(fb::RefusedCode code) {
  using enum fb::RefusedCode;
  switch (code) {
    case None: return "accepted";
    case Malformed: return "malformed";
    case UnknownMessage: return "unknown message";
    case TooLarge: return "too large";
    case StaleEpoch: return "stale epoch";
    case StaleIncarnation: return "stale incarnation";
    case Gap: return "a frame is missing";
    case NotRegistered: return "not registered";
    case NotAllowed: return "not allowed";
    case OfferGone: return "offer gone";
    case NotInOffer: return "not in the offer";
    case BadLaunch: return "inconsistent launch";
    case DuplicateAttempt: return "attempt used twice";
    case UnknownNode: return "unknown node";
    case UnknownJob: return "unknown job";
    case UnknownAttempt: return "unknown attempt";
    case NeverFits: return "can never fit";
    case BadRequest: return "bad request";
    case Busy: return "busy";
    case NotActive: return "not the active master";
    case Unsupported: return "not supported";
    case NodeDraining: return "node is draining";
    case Conflict: return "conflicts with the present state";
    case Unauthenticated: return "not authenticated";
    case NotSettled: return "master has not settled yet";
    case VersionMismatch: return "another protocol version";
  }
  return "refused";
}

}  // namespace muster

// Goal: only whole, known, bounded frames pass, and nothing that a peer sends crashes. Method: each bound hit from both
// sides; random mutations of valid frames whose survivors are read to the last field (run under ASan+UBSan too).
#include <catch2/catch.hpp>

#include <random>

#include "tests/wire/schema/frames.hpp"
#include "wire/schema/frame.hpp"

using namespace muster;

namespace {

// Unpacks the body: touches every field.
void read_all(const fb::Frame& frame) {
  fb::FrameT object;
  frame.UnPackTo(&object);
  if (const auto* accept = frame.body_as_Accept(); accept != nullptr && accept->specs() != nullptr) {
    FrameBytes storage;
    for (const fb::SpecBytes* spec : *accept->specs()) {
      if (const auto read = verify_spec(*spec, storage)) {
        fb::TaskSpecT task;
        (*read)->UnPackTo(&task);
      }
    }
  }
}

fb::RefusedCode code_of(std::span<const std::uint8_t> bytes, const FrameLimits& limits = {}) {
  const auto frame = verify_frame(bytes, limits);
  return frame ? fb::RefusedCode::None : frame.error().code;
}

}  // namespace

TEST_CASE("valid frames of every sampled kind verify and read back") {
  for (const FrameBytes& bytes : test::sample_frames()) {
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    read_all(**frame);
  }
}

TEST_CASE("a frame's head comes back") {
  const auto bytes = pack_frame<fb::Heartbeat>({Epoch(5), Incarnation(6), 7, 8}, {});
  const auto frame = verify_frame(bytes);
  REQUIRE(frame);
  CHECK((*frame)->epoch() == 5);
  CHECK((*frame)->incarnation() == 6);
  CHECK((*frame)->sequence() == 7);
  CHECK((*frame)->received() == 8);
  CHECK((*frame)->version() == kProtocolVersion);
}

TEST_CASE("what is no frame is refused with its reason") {
  CHECK(code_of({}) == fb::RefusedCode::Malformed);
  CHECK(code_of(FrameBytes(7)) == fb::RefusedCode::Malformed);
  CHECK(code_of(FrameBytes(100)) == fb::RefusedCode::Malformed);
  const FrameBytes good = test::sample_frames()[1];
  CHECK(code_of(good, {.frame_bytes_max = good.size()}) == fb::RefusedCode::None);
  CHECK(code_of(good, {.frame_bytes_max = good.size() - 1}) == fb::RefusedCode::TooLarge);
  CHECK(code_of(good, {.tables_max = 2}) == fb::RefusedCode::Malformed);
  CHECK(code_of(good, {.depth_max = 1}) == fb::RefusedCode::Malformed);

  flatbuffers::FlatBufferBuilder builder;
  const auto body = fb::CreateHeartbeat(builder, 0.0F).Union();
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, kProtocolVersion + 1, 0, 0, 1, 0, fb::Body::Heartbeat, body));
  CHECK(code_of({builder.GetBufferPointer(), builder.GetSize()}) == fb::RefusedCode::VersionMismatch);
  builder.Clear();
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, kProtocolVersion, 0, 0, 1, 0));
  CHECK(code_of({builder.GetBufferPointer(), builder.GetSize()}) == fb::RefusedCode::UnknownMessage);
  builder.Clear();
  const auto later = fb::CreateHeartbeat(builder, 0.0F).Union();
  fb::FinishFrameBuffer(builder, fb::CreateFrame(builder, kProtocolVersion, 0, 0, 1, 0, static_cast<fb::Body>(250), later));
  CHECK(code_of({builder.GetBufferPointer(), builder.GetSize()}) == fb::RefusedCode::UnknownMessage);
}

TEST_CASE("every prefix of a frame is refused") {
  for (const FrameBytes& bytes : test::sample_frames()) {
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const FrameBytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      if (const auto frame = verify_frame(cut)) {
        read_all(**frame);  // padding at the end may go
      }
    }
  }
}

TEST_CASE("mutated frames are refused or safe to read") {
  std::mt19937_64 random(20240607);
  std::size_t passed = 0;
  for (int round = 0; round < 400; ++round) {
    for (FrameBytes bytes : test::sample_frames()) {
      const int changes = 1 + static_cast<int>(random() % 4);
      for (int i = 0; i < changes; ++i) {
        const std::size_t at = random() % bytes.size();
        switch (random() % 4) {
          case 0: bytes[at] = static_cast<std::uint8_t>(random()); break;
          case 1: bytes[at] ^= static_cast<std::uint8_t>(1U << (random() % 8)); break;
          case 2: bytes[at] = 0xff; break;
          default: bytes[at] = 0; break;
        }
      }
      if (const auto frame = verify_frame(bytes)) {
        read_all(**frame);
        ++passed;
      }
    }
  }
  CHECK(passed > 0);  // else the method tests nothing
}

TEST_CASE("a refusal says what it is about") {
  const auto bytes = refused_frame({Epoch(4), Incarnation(1), 2, 3}, {fb::RefusedCode::NotInOffer, 11, 0, "ports", "taken"});
  const auto frame = verify_frame(bytes);
  REQUIRE(frame);
  const auto* refused = (*frame)->body_as_Refused();
  REQUIRE(refused != nullptr);
  CHECK(refused->code() == fb::RefusedCode::NotInOffer);
  CHECK(refused->request() == 11);
  CHECK(text_of(refused->subject()) == "ports");
  CHECK(text_of(refused->text()) == "taken");
  CHECK(refused->epoch() == 4);
}

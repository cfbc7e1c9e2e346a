// Goal: what a gateway puts comes out whole, in order and verified, and a full inbox changes nothing.
// Method: frames small and big, misaligned, broken; a slab so small that it fills.
#include <catch2/catch.hpp>

#include <cstring>

#include "master/gateway/inbox.hpp"

using namespace muster;
using namespace muster::master;

namespace {

FrameBytes message(std::size_t data_bytes, std::uint64_t sequence) {
  fb::MessageT m;
  m.attempt = std::make_unique<fb::AttemptId>(1, 2);
  m.data.assign(data_bytes, 7);
  return pack_frame<fb::Message>({Epoch(1), Incarnation(1), sequence, 0}, m);
}

}  // namespace

TEST_CASE("frames of any size and alignment come out aligned, in order, with their peer") {
  Inbox inbox(64U << 10U);
  const Peer peer{true, 1000, 42};
  for (std::uint64_t s = 1; s <= 300; ++s) {
    const FrameBytes frame = message(s % 7 == 0 ? 30'000 : s, s);
    FrameBytes shifted(frame.size() + 3);
    std::memcpy(shifted.data() + 3, frame.data(), frame.size());
    REQUIRE(inbox.put_message(LinkId(s), peer, std::span(shifted).subspan(3), {}));
    InboxRecord record;
    REQUIRE(inbox.front(record));
    CHECK(record.kind == (s % 7 == 0 ? InboxKind::big_frame : InboxKind::frame));
    CHECK(record.link == LinkId(s));
    CHECK(record.peer.local);
    CHECK(record.peer.uid == 1000);
    CHECK(record.peer.pid == 42);
    CHECK(reinterpret_cast<std::uintptr_t>(record.bytes.data()) % 8 == 0);
    CHECK(fb::GetFrame(record.bytes.data())->sequence() == s);
    inbox.pop();
    CHECK(inbox.empty());
  }
}

TEST_CASE("what does not verify comes out as a bad frame with its reason") {
  Inbox inbox(64U << 10U);
  REQUIRE(inbox.put_message(LinkId(1), {}, FrameBytes(100), {}));
  REQUIRE(inbox.put_message(LinkId(2), {}, FrameBytes(20'000), {}));
  REQUIRE(inbox.put_message(LinkId(3), {}, message(10, 1), {.frame_bytes_max = 20}));
  REQUIRE(inbox.put_message(LinkId(4), {}, {}, {}));
  REQUIRE(inbox.put_lost(LinkId(5)));
  InboxRecord record;
  for (const auto code : {fb::RefusedCode::Malformed, fb::RefusedCode::Malformed, fb::RefusedCode::TooLarge,
                          fb::RefusedCode::Malformed}) {
    REQUIRE(inbox.front(record));
    CHECK(record.kind == InboxKind::bad_frame);
    CHECK(record.code == code);
    CHECK_FALSE(record.text.empty());
    inbox.pop();
  }
  REQUIRE(inbox.front(record));
  CHECK(record.kind == InboxKind::link_lost);
  CHECK(record.link == LinkId(5));
}

TEST_CASE("a full inbox takes nothing, loses nothing and frees what it holds") {
  Inbox inbox(4096);
  std::uint64_t put = 0;
  while (inbox.put_message(LinkId(1), {}, message(put % 2 == 0 ? 2000 : 10, put + 1), {})) {
    ++put;
  }
  CHECK(put > 4);
  InboxRecord record;
  for (std::uint64_t s = 1; s <= put / 2; ++s) {
    REQUIRE(inbox.front(record));
    CHECK(fb::GetFrame(record.bytes.data())->sequence() == s);
    inbox.pop();
  }
  CHECK(inbox.put_message(LinkId(1), {}, message(10, 99), {}));
}

#include "master/gateway/inbox.hpp"

#include <cstring>

namespace muster::master {

// A record's beginning in the ring; its body follows, aligned to 8.
struct Inbox::Head {
  std::uint64_t link{};
  InboxKind kind{};
  std::uint32_t uid{};
  std::uint32_t pid{};
  std::uint8_t local{};
  std::uint8_t rights{};
  std::uint16_t key{};
  std::uint32_t code{};
  std::uint32_t reserved{};

  static Head of(LinkId from, InboxKind what, const Peer& peer, fb::RefusedCode code = {}) {
    return {from.value(), what, peer.uid, peer.pid, static_cast<std::uint8_t>(peer.local ? 1 : 0), peer.rights, peer.key,
            static_cast<std::uint32_t>(code), 0};
  }
};

Inbox::~Inbox() {
  InboxRecord record;
  while (front(record)) {
    pop();  // frees what lies on the heap
  }
}

bool Inbox::put(const Head& head, std::span<const std::uint8_t> body) {
  const auto room = ring_.reserve(sizeof head + body.size());
  if (room.empty()) {
    return false;
  }
  std::memcpy(room.data(), &head, sizeof head);
  if (!body.empty()) {
    std::memcpy(room.data() + sizeof head, body.data(), body.size());
  }
  ring_.commit(room.size());
  return true;
}

bool Inbox::put_message(LinkId link, const Peer& peer, std::span<const std::uint8_t> raw, const FrameLimits& limits) {
  static_assert(sizeof(Head) == 32);
  Head head = Head::of(link, InboxKind::frame, peer);
  if (raw.size() > big_above_) {
    auto copy = std::make_unique<FrameBytes>(raw.begin(), raw.end());
    const auto frame = verify_frame(*copy, limits);
    if (!frame) {
      return put_bad(link, peer, frame.error());
    }
    head.kind = InboxKind::big_frame;
    const FrameBytes* pointer = copy.get();
    std::uint8_t bytes[sizeof pointer];
    std::memcpy(bytes, &pointer, sizeof pointer);
    if (!put(head, bytes)) {
      return false;
    }
    (void)copy.release();  // the ring's now
    return true;
  }
  const auto room = ring_.reserve(sizeof head + raw.size());
  if (room.empty()) {
    return false;
  }
  std::memcpy(room.data(), &head, sizeof head);
  if (!raw.empty()) {
    std::memcpy(room.data() + sizeof head, raw.data(), raw.size());
  }
  const auto frame = verify_frame(room.subspan(sizeof head), limits);
  if (!frame) {
    return put_bad(link, peer, frame.error());  // takes the reservation's place
  }
  ring_.commit(room.size());
  return true;
}

bool Inbox::put_bad(LinkId link, const Peer& peer, const FrameError& error) {
  return put(Head::of(link, InboxKind::bad_frame, peer, error.code), {reinterpret_cast<const std::uint8_t*>(error.text.data()), error.text.size()});
}

bool Inbox::put_lost(LinkId link) { return put(Head::of(link, InboxKind::link_lost, {}), {}); }

bool Inbox::front(InboxRecord& record) {
  const auto bytes = ring_.peek();
  if (bytes.data() == nullptr) {
    return false;
  }
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  const auto body = bytes.subspan(sizeof head);
  record.kind = head.kind;
  record.link = LinkId(head.link);
  record.peer = {head.local != 0, head.uid, head.pid, head.rights, head.key};
  record.bytes = body;
  record.code = static_cast<fb::RefusedCode>(head.code);
  record.text = {};
  if (head.kind == InboxKind::big_frame) {
    const FrameBytes* big = nullptr;
    std::memcpy(&big, body.data(), sizeof big);
    record.bytes = *big;
  } else if (head.kind == InboxKind::bad_frame) {
    record.text = {reinterpret_cast<const char*>(body.data()), body.size()};
  }
  return true;
}

void Inbox::pop() {
  const auto bytes = ring_.peek();
  Head head;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.kind == InboxKind::big_frame) {
    const FrameBytes* big = nullptr;
    std::memcpy(&big, bytes.data() + sizeof head, sizeof big);
    delete big;
  }
  ring_.release();
}

}  // namespace muster::master

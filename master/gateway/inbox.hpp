// Inbox: what a gateway tells the core, over a bounded ring. The gateway's thread puts, the core's thread takes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "master/core/master_core.hpp"
#include "wire/ring/frame_ring.hpp"

namespace muster::master {

enum class InboxKind : std::uint32_t {
  frame = 1,      // verified
  big_frame = 2,  // verified; too large for the slab, so on the heap
  bad_frame = 3,  // did not verify
  link_lost = 4,
};

// What the core sees of a record. Valid until Inbox::pop().
struct InboxRecord {
  InboxKind kind{};
  LinkId link;
  Peer peer;
  std::span<const std::uint8_t> bytes;  // frames: aligned and verified
  fb::RefusedCode code{};               // bad frames
  std::string_view text;                // bad frames
};

class Inbox {
 public:
  explicit Inbox(std::size_t slab_bytes) : ring_(slab_bytes), big_above_(ring_.record_bytes_max() / 4) {}
  ~Inbox();
  Inbox(const Inbox&) = delete;
  Inbox& operator=(const Inbox&) = delete;

  // The gateway. Copies `raw` (any alignment) once, verifies the copy and puts it in as a frame or a bad frame.
  // False: full; nothing has happened.
  [[nodiscard]] bool put_message(LinkId link, const Peer& peer, std::span<const std::uint8_t> raw,
                                 const FrameLimits& limits);
  [[nodiscard]] bool put_bad(LinkId link, const Peer& peer, const FrameError& error);
  [[nodiscard]] bool put_lost(LinkId link);

  // The core. False: empty.
  [[nodiscard]] bool front(InboxRecord& record);
  void pop();
  [[nodiscard]] bool empty() const { return ring_.empty(); }

 private:
  struct Head;
  [[nodiscard]] bool put(const Head& head, std::span<const std::uint8_t> body);

  FrameRing ring_;
  std::size_t big_above_;
};

}  // namespace muster::master

// Gateway: one ROUTER between the links and the core's rings. Owned by the gateway's thread (which may be the
// core's own: duties compose).
//
//   ROUTER ─► copy, verify ─► inbox ─► core          core ─► outbox ─► ROUTER
//
// It bounds and verifies each frame and says who sent it. A link whose peer does not take its output, or has gone,
// is reported lost: the core's credit makes that a broken peer, and its next life is told everything again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "master/core/master_core.hpp"
#include "master/gateway/inbox.hpp"
#include "wire/ring/parker.hpp"
#include "wire/ring/room_call.hpp"
#include "wire/ring/spsc_ring.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/router.hpp"

namespace muster::master {

// What a key allows; see Peer.
struct KeyRights {
  std::uint8_t rights{};
  std::uint16_t place{};
};

struct GatewayOptions {
  FrameLimits limits{};
  std::size_t inbox_bytes = 1U << 20U;        // larger frames than an eighth of it go by the heap
  std::size_t outbox_frames = 4096;
  std::size_t batch_frames_max = 512;         // per do_work and direction
  Duration forget_links_after = Duration::from_seconds(150);  // of silence; longer than any fence
  // Local peers must have this uid (or be root) to do everything; unset: anybody who can open the socket may.
  std::optional<std::uint32_t> owner_uid{};
  bool all_users{};                           // other local users may look
  std::vector<std::uint32_t> operators{};     // and these may drain nodes and set shares too
  // tcp endpoints speak CURVE with these keys, and admit `key_rights` only. None: plain, on this machine.
  KeyPair keys{};
  std::map<PublicKey, KeyRights> key_rights{};
  std::function<void(const std::string& text)> on_refused{};  // from another thread, at most once a minute
  std::uint64_t first_link = 1;               // see RouterOptions: the gateways of one master share the numbers out
  std::uint64_t link_stride = 1;
};

// Counters of one gateway; only its thread writes them, any may read.
struct GatewayProbe {
  std::atomic<std::uint64_t> frames_in{0};
  std::atomic<std::uint64_t> bytes_in{0};
  std::atomic<std::uint64_t> frames_out{0};
  std::atomic<std::uint64_t> bytes_out{0};
  std::atomic<std::uint64_t> inbox_full{0};
  std::atomic<std::uint64_t> links_lost{0};
  std::atomic<std::uint64_t> strangers{0};
};

class Gateway {
 public:
  // It looks at its socket at least this often, so that the core can tell a silent peer from a stalled gateway.
  static constexpr Duration kLookInterval = Duration::from_ms(500);

  // `core` is woken when the inbox has something. `own` wakes this gateway's thread.
  [[nodiscard]] static Result<std::unique_ptr<Gateway>> open(Context& context, std::span<const Endpoint> endpoints,
                                                             const GatewayOptions& options, Parker& core,
                                                             Parker& own);

  // The gateway's thread.
  std::size_t do_work(Instant now);
  // Output waits, or room for the message that it holds.
  [[nodiscard]] bool has_work() const { return !outbox_.empty() || (holding_ && !room_.asked()); }
  [[nodiscard]] Instant next_timer() const { return std::min(next_sweep_, looked_at() + kLookInterval); }
  // It holds a message that the inbox has no room for: no use in waiting for more.
  [[nodiscard]] bool is_holding() const { return holding_; }
  [[nodiscard]] const Router& router() const { return router_; }
  [[nodiscard]] const std::vector<Endpoint>& endpoints() const { return router_.endpoints(); }

  // The core's thread.
  [[nodiscard]] Inbox& inbox() { return inbox_; }
  [[nodiscard]] SpscRing<OutFrame>& outbox() { return outbox_; }
  // After taking from the inbox: wakes a gateway that waits for room.
  void tell_room() {
    if (room_.answer()) {
      own_.wake();
    }
  }
  void wake() { own_.wake(); }
  // Frees the memory of frames that have left, where it was allocated: two threads in one allocator wait for each other.
  void free_spent() {
    while (FrameBytes* const bytes = spent_.front()) {
      *bytes = FrameBytes();
      spent_.pop();
    }
  }

  // Any thread.
  // It has looked at its socket at this instant: what had come by then was taken, or the inbox was full.
  [[nodiscard]] Instant looked_at() const { return Instant::from_ns(looked_ns_.load(std::memory_order_acquire)); }
  [[nodiscard]] const GatewayProbe& probe() const { return probe_; }

 private:
  Gateway(Router router, const GatewayOptions& options, Parker& core, Parker& own);
  std::size_t receive(Instant now);
  std::size_t send();
  bool deliver();        // held_ → inbox
  [[nodiscard]] tl::expected<Peer, FrameError> judge(const PeerIdentity& who) const;
  void deliver_lost();   // lost_ → inbox

  Router router_;
  GatewayOptions options_;
  Parker& core_;
  Parker& own_;
  Inbox inbox_;
  SpscRing<OutFrame> outbox_;
  SpscRing<FrameBytes> spent_;  // to the core
  GatewayProbe probe_;
  std::atomic<std::int64_t> looked_ns_{0};
  RoomCall room_;  // of the inbox
  // The gateway's own.
  Incoming held_;            // received, and not in the inbox yet
  bool holding_{};
  std::vector<LinkId> lost_; // not in the inbox yet
  Instant next_sweep_{};
};

}  // namespace muster::master

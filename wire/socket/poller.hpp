// Poller: waits for sockets, plain descriptors and a deadline at once. Owned by the thread of its sockets.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/router.hpp"

namespace muster {

class Poller {
 public:
  // Tags are the caller's; they need not be distinct.
  using Tag = std::uint32_t;
  struct Event {
    Tag tag{};
    bool readable{};
    bool writable{};
    bool broken{};   // plain descriptors: hang-up or error
  };

  // The sockets must outlive their place here.
  void add(const Dealer& dealer, Tag tag);  // readable: frames or link changes
  void add(const Router& router, Tag tag);
  void add_fd(int fd, Tag tag, bool read = true, bool write = false);
  // Also (or no longer) wake up when the sockets or descriptors of this tag take output.
  void watch_write(Tag tag, bool on);
  // No longer (or again) wake up for input on this tag: for who can't take any now.
  void watch_read(Tag tag, bool on);
  void remove(Tag tag);

  // Sleeps until something is ready or `deadline` (Instant::never(): no deadline) is reached; the clock is CLOCK_MONOTONIC.
  // Rounds up to milliseconds. Interrupted by a signal: returns no events. The span lives until the next call.
  [[nodiscard]] Result<std::span<const Event>> wait(Instant deadline);

 private:
  struct Item {
    void* socket{};
    int fd{-1};
    Tag tag{};
    bool read{true};
    bool write{};
    bool monitor{};
    Dealer::Impl* dealer{};  // of a monitor
  };
  std::vector<Item> items_;
  std::vector<std::uint64_t> poll_items_;  // storage for libzmq's records
  std::vector<Event> events_;
  bool dirty_{true};
};

}  // namespace muster

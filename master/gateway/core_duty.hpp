// CoreDuty: feeds the MasterCore from the gateways' inboxes and empties it into their outboxes. Owned by the
// core's thread.
//
// A round takes a bounded batch of every inbox in turn, then the timers, then flushes once: output is coalesced over the
// batch. While an outbox is full nothing more is flushed: the tables are the queue.
#pragma once

#include <cstdint>
#include <vector>

#include "master/core/master_core.hpp"
#include "master/gateway/gateway.hpp"
#include "master/gateway/stall_clock.hpp"
#include "master/view/view_desk.hpp"

namespace muster::master {

class CoreDuty {
 public:
  static constexpr std::size_t kBatchFrames = 256;  // per inbox and round
  // A gateway that has not looked at its socket for this long holds the core's timers back.
  static constexpr Duration kGatewayLagMax = Duration::from_seconds(1);

  // Gateway i has the links whose number is i + 1 modulo the count (see GatewayOptions).
  CoreDuty(MasterCore& core, std::vector<Gateway*> gateways, ViewDesk& desk)
      : core_(core), gateways_(std::move(gateways)), desk_(desk), overflow_(gateways_.size()) {}

  std::size_t do_work(Now real);
  [[nodiscard]] bool has_work() const;
  // In real time; also the instant by which do_work must be called for its clock to go on.
  [[nodiscard]] Instant next_timer() const;
  [[nodiscard]] const StallClock& clock() const { return clock_; }

 private:
  std::size_t take(Gateway& gateway, Now now);
  std::size_t run_timers(Now real, Now now);
  void take_one(const InboxRecord& record, Now now);
  void flush(Now now);
  bool push_overflow();

  MasterCore& core_;
  std::vector<Gateway*> gateways_;
  ViewDesk& desk_;
  StallClock clock_;
  Instant looked_{};   // at the clock
  Instant planned_{};  // the next look, at the latest
  bool held_back_{};   // timers wait for a gateway
  bool unflushed_{};   // the core may have output
  MasterOutputs outputs_;
  // Frames an outbox had no room for, oldest first.
  std::vector<std::vector<OutFrame>> overflow_;
};

}  // namespace muster::master

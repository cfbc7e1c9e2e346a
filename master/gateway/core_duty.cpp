#include "master/gateway/core_duty.hpp"

#include <algorithm>

#include "wire/base/check.hpp"

namespace muster::master {
namespace {

// How soon timers that wait for a gateway are tried again; and how seldom the clock is looked at when idle.
constexpr Duration kRetry = Duration::from_ms(50);
constexpr Duration kLook = Duration::from_seconds(1);

}  // namespace

std::size_t CoreDuty::do_work(Now real) {
  const Now now = clock_.observe(real, planned_);
  looked_ = real.mono;
  std::size_t done = 0;
  bool drained = true;
  for (Gateway* const gateway : gateways_) {
    done += take(*gateway, now);
    drained = drained && gateway->inbox().empty();
  }
  if (drained) {
    done += run_timers(real, now);
  }
  unflushed_ = unflushed_ || done > 0;
  if (push_overflow() && unflushed_) {
    flush(now);
  }
  if (desk_.wanted(real.mono)) {
    const SystemClock clock;
    const Instant begun = clock.now().mono;
    desk_.publish(core_.view(now), real.mono);
    desk_.took(clock.now().mono - begun);
  }
  planned_ = next_timer();
  return done;
}

// Timers come last, and only when all that had arrived before is known: a silence may have ended unread.
std::size_t CoreDuty::run_timers(Now real, Now now) {
  held_back_ = false;
  if (now.mono < core_.next_timer()) {
    return 0;
  }
  for (Gateway* const gateway : gateways_) {
    if (gateway->looked_at() + kGatewayLagMax < real.mono) {
      held_back_ = true;
      gateway->wake();
    }
  }
  if (held_back_) {
    return 0;
  }
  core_.on_timer(now);
  return 1;
}

std::size_t CoreDuty::take(Gateway& gateway, Now now) {
  std::size_t done = 0;
  InboxRecord record;
  while (done < kBatchFrames && gateway.inbox().front(record)) {
    take_one(record, now);
    gateway.inbox().pop();
    ++done;
  }
  if (done > 0) {
    gateway.tell_room();
  }
  return done;
}

void CoreDuty::take_one(const InboxRecord& record, Now now) {
  switch (record.kind) {
    case InboxKind::frame:
    case InboxKind::big_frame:
      core_.on_frame(record.link, record.peer, *fb::GetFrame(record.bytes.data()), now);
      return;
    case InboxKind::bad_frame:
      core_.on_bad_frame(record.link, record.peer, {record.code, std::string(record.text)}, now);
      return;
    case InboxKind::link_lost:
      core_.on_link_lost(record.link, now);
      return;
  }
  check(false, "core duty: an inbox record of no kind");
}

void CoreDuty::flush(Now now) {
  unflushed_ = false;
  outputs_.frames.clear();
  core_.flush(now, outputs_);
  for (Gateway* const gateway : gateways_) {
    gateway->free_spent();
  }
  for (OutFrame& frame : outputs_.frames) {
    const std::size_t at = (frame.link.value() - 1) % gateways_.size();
    if (!overflow_[at].empty() || !gateways_[at]->outbox().push(frame)) {
      overflow_[at].push_back(std::move(frame));
    }
  }
  if (!outputs_.frames.empty()) {
    for (Gateway* const gateway : gateways_) {
      gateway->wake();
    }
  }
  outputs_.frames.clear();
}

bool CoreDuty::push_overflow() {
  bool all = true;
  for (std::size_t at = 0; at < overflow_.size(); ++at) {
    auto& waiting = overflow_[at];
    std::size_t pushed = 0;
    while (pushed < waiting.size() && gateways_[at]->outbox().push(waiting[pushed])) {
      ++pushed;
    }
    if (pushed > 0) {
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(pushed));
      gateways_[at]->wake();
    }
    all = all && waiting.empty();
  }
  return all;
}

bool CoreDuty::has_work() const {
  for (std::size_t at = 0; at < overflow_.size(); ++at) {
    if (!overflow_[at].empty() && !gateways_[at]->outbox().full()) {
      return true;  // a gateway may have made room, and woken us, before we lay down
    }
  }
  return std::any_of(gateways_.begin(), gateways_.end(), [](Gateway* g) { return !g->inbox().empty(); }) ||
         desk_.wanted(SystemClock{}.now().mono);
}

Instant CoreDuty::next_timer() const {
  const Instant core = held_back_ ? looked_ + kRetry : clock_.to_real(core_.next_timer());
  return std::min({core, desk_.due(), looked_ + kLook});
}

}  // namespace muster::master

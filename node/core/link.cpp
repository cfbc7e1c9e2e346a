// NodeCore and the master: lives of the link, epochs, contact.
#include <algorithm>

#include "node/core/impl.hpp"

namespace muster::node {
namespace {
constexpr Duration kReopenWait = Duration::from_ms(50);
constexpr Duration kContactRecordEvery = Duration::from_seconds(5);
constexpr std::uint64_t kUnconfirmedMax = 64;  // then we say something so that the master regains credit
}  // namespace

// The next life. Its Register leaves with the next flush, after the incarnation is on disk.
void NodeCore::Impl::open_life(Now now) {
  end_queued(TaskReason::recalled, now);  // a line lives no longer than the life it was formed in
  memory.last_incarnation = Incarnation(memory.last_incarnation.value() + 1);
  memory_changed = true;
  link.open(memory.last_incarnation);
  phase = Phase::opening;
  register_pending = true;
  reopen_at = Instant::never();
  last_heard = now.mono;
  last_sent = now.mono;
  confirmed_at_send = 0;
  sent_at.clear();
  refusals.clear();
  gather_until = Instant::never();
  prepared_news.clear();  // the registration names the prepared ones
}

void NodeCore::Impl::close_life(Now now, Duration wait) {
  link.close();
  phase = Phase::closed;
  register_pending = false;
  gather_until = Instant::never();
  reopen_at = now.mono + wait;
}

void NodeCore::Impl::refuse_to_master(const Refusal& refusal) { refusals.push_back({{}, true, refusal}); }

// Sequences of updates are drawn from blocks named by incarnations: keep the persisted one ahead of them.
void NodeCore::Impl::reserve_incarnation() {
  if (outbox.reserve() > memory.last_incarnation) {
    memory.last_incarnation = outbox.reserve();
    memory_changed = true;
  }
}

// The master has confirmed frames of ours: it heard from us no earlier than we sent the last of them. Only
// that counts for the fence, because the master may be unable to hear us while we hear it.
void NodeCore::Impl::confirm_contact(Now now) {
  const std::uint64_t confirmed = link.sent() - link.in_flight();
  bool any = false;
  while (!sent_at.empty() && sent_at.front().sequence <= confirmed) {
    last_contact = std::max(last_contact, sent_at.front().at);
    sent_at.pop_front();
    any = true;
  }
  if (!any) {
    return;
  }
  fence_done = false;
  record_contact(now);
}

void NodeCore::Impl::record_contact(Now now) {
  if (book.live_requeueable() == 0) {
    return;
  }
  const auto contact = WallTime::from_ns(now.wall.ns() - (now.mono - last_contact).ns());
  if (contact.ns() - memory.last_contact.ns() >= kContactRecordEvery.ns() || contact < memory.last_contact) {
    memory.last_contact = contact;
    memory_changed = true;
  }
}

void NodeCore::Impl::take_frame(const fb::Frame& frame, Now now) {
  if (frame.body_type() == fb::Body::Refused) {
    take_refused(frame, *frame.body_as_Refused(), now);
    return;
  }
  const Epoch epoch(frame.epoch());
  if (epoch < memory.highest_epoch && !defects.skip_epoch_check) {
    ++frames_dropped;
    Refusal refusal;
    refusal.code = fb::RefusedCode::StaleEpoch;
    refusal.sequence = frame.sequence();
    refusal.subject = "epoch " + std::to_string(frame.epoch());
    refusal.text = "node " + config.name + " has seen epoch " + std::to_string(memory.highest_epoch.value()) +
                   ": this master has been succeeded";
    refusals.push_back({FrameHead{memory.highest_epoch, Incarnation(frame.incarnation()), 0, 0}, false, refusal});
    return;
  }
  if (!link.is_open() || frame.incarnation() != link.incarnation().value()) {
    ++frames_dropped;
    return;
  }
  if (epoch > memory.highest_epoch) {
    // A new master is believed only when it answers our own registration.
    if (phase != Phase::opening || frame.body_type() != fb::Body::Registered) {
      ++frames_dropped;
      close_life(now, kReopenWait);
      return;
    }
  }
  switch (link.take(frame)) {
    case LinkState::Verdict::duplicate:
    case LinkState::Verdict::other_incarnation:
      ++frames_dropped;
      return;
    case LinkState::Verdict::gap:
      ++frames_dropped;
      close_life(now, kReopenWait);
      return;
    case LinkState::Verdict::deliver:
      break;
  }
  last_heard = now.mono;
  confirm_contact(now);
  if (phase == Phase::opening && frame.body_type() != fb::Body::Registered) {
    if (frame.body_type() != fb::Body::Heartbeat) {
      close_life(now, kReopenWait);
    }
    return;
  }
  if (epoch != memory.highest_epoch) {
    memory.highest_epoch = epoch;
    memory_changed = true;
  }
  dispatch(frame, now);
}

void NodeCore::Impl::dispatch(const fb::Frame& frame, Now now) {
  using enum fb::Body;
  switch (frame.body_type()) {
    case Registered: take_registered(*frame.body_as_Registered(), now); break;
    case Launch: {
      const auto* body = frame.body_as_Launch();
      take_launches(body->launches(), body->specs(), body->shapes(), body->frameworks(), body->predecessors(), false,
                    now);
      break;
    }
    case Prepare: {
      const auto* body = frame.body_as_Prepare();
      take_launches(body->launches(), body->specs(), body->shapes(), body->frameworks(), nullptr, true, now);
      break;
    }
    case Go: take_go(*frame.body_as_Go()); break;
    case Release: take_release(*frame.body_as_Release(), now); break;
    case NodeKill: take_kill(*frame.body_as_NodeKill(), now); break;
    case Acknowledge: take_acknowledge(*frame.body_as_Acknowledge(), now); break;
    case NodeDrain: {
      const auto* body = frame.body_as_NodeDrain();
      set_drained(body->drained(), std::string(text_of(body->reason())));
      break;
    }
    case Message: take_master_message(*frame.body_as_Message()); break;
    case Heartbeat: break;
    default: {
      Refusal refusal;
      refusal.code = fb::RefusedCode::UnknownMessage;
      refusal.sequence = frame.sequence();
      refusal.subject = fb::EnumNameBody(frame.body_type());
      refusal.text = refusal.subject + " is not a message for a node";
      refuse_to_master(refusal);
    }
  }
}

void NodeCore::Impl::take_refused(const fb::Frame& frame, const fb::Refused& refused, Now now) {
  if (!link.is_open() || frame.incarnation() != link.incarnation().value()) {
    ++frames_dropped;
    return;
  }
  if (frame.sequence() != 0 && Epoch(frame.epoch()) == memory.highest_epoch) {
    // Said within the life: it counts in the sequence like everything else.
    if (link.take(frame) != LinkState::Verdict::deliver) {
      ++frames_dropped;
      return;
    }
    last_heard = now.mono;
    confirm_contact(now);
  }
  refused_text = std::string(to_string(refused.code())) + ": " + std::string(text_of(refused.text()));
  switch (refused.code()) {
    case fb::RefusedCode::Gap:
    case fb::RefusedCode::NotRegistered:
      if (phase == Phase::up) {
        close_life(now, kReopenWait);
      }  // an opening that is refused is repeated at its own pace
      break;
    case fb::RefusedCode::StaleIncarnation: {
      // An earlier agent of this name had larger ones, and our disk has forgotten them.
      const std::uint64_t step = std::uint64_t{1} << std::min<std::uint32_t>(stale_incarnations, 40);
      ++stale_incarnations;
      memory.last_incarnation = Incarnation(memory.last_incarnation.value() + step);
      outbox.start_from(memory.last_incarnation);
      close_life(now, kReopenWait);
      break;
    }
    case fb::RefusedCode::StaleEpoch:
    case fb::RefusedCode::NotActive:
    case fb::RefusedCode::NotAllowed:
    case fb::RefusedCode::Unauthenticated:
    case fb::RefusedCode::VersionMismatch:
    case fb::RefusedCode::Malformed:
    case fb::RefusedCode::TooLarge:
    case fb::RefusedCode::UnknownMessage:
      close_life(now, config.register_retry);
      break;
    default:
      break;
  }
}

void NodeCore::Impl::set_drained(bool drained, const std::string& reason) {
  if (memory.drained == drained && memory.drain_reason == reason) {
    return;
  }
  memory.drained = drained;
  memory.drain_reason = drained ? reason : std::string{};
  memory_changed = true;
}

bool NodeCore::Impl::idle_too_long(Now now) const {
  return phase == Phase::up &&
         (now.mono - last_sent >= heartbeat || link.received() - confirmed_at_send >= kUnconfirmedMax);
}

void NodeCore::Impl::link_timer(Now now) {
  if (!transport_up || !launcher_seen) {
    return;
  }
  const bool silent = (phase == Phase::opening && now.mono - last_heard >= config.register_retry) ||
                      (phase == Phase::up && now.mono - last_heard >= config.master_silence) ||
                      (phase == Phase::closed && now.mono >= reopen_at);
  if (!silent) {
    return;
  }
  if (!launcher_up) {
    // Nothing is registered without a launcher; its hello opens the next life.
    if (phase != Phase::closed) {
      close_life(now, Duration{});
    }
    return;
  }
  open_life(now);
}

Instant NodeCore::Impl::link_next_timer() const {
  if (!transport_up || !launcher_seen) {
    return Instant::never();
  }
  switch (phase) {
    case Phase::closed: return launcher_up ? reopen_at : Instant::never();
    case Phase::opening: return last_heard + config.register_retry;
    case Phase::up: return std::min(last_heard + config.master_silence, last_sent + heartbeat);
  }
  return Instant::never();
}

}  // namespace muster::node

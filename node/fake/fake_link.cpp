#include "node/fake/fake_link.hpp"

#include <algorithm>

namespace muster::node {
namespace {

constexpr Duration kReopenWait = Duration::from_ms(50);
constexpr std::uint64_t kUnconfirmedMax = 64;  // then we say something, so that the master regains credit

}  // namespace

void FakeLink::transport(bool up, Now now) {
  transport_up_ = up;
  frames_.clear();
  close(now, Duration{});
}

void FakeLink::open(Now now) {
  incarnation_ = Incarnation(incarnation_.value() + 1);
  state_.open(incarnation_);
  phase_ = Phase::opening;
  reopen_at_ = Instant::never();
  last_heard_ = last_sent_ = now.mono;
  confirmed_at_send_ = 0;
  sent_at_.clear();
  refusals_.clear();
}

void FakeLink::close(Now now, Duration wait) {
  state_.close();
  phase_ = Phase::closed;
  reopen_at_ = now.mono + wait;
}

bool FakeLink::wants_life(Now now) const {
  if (!transport_up_) {
    return false;
  }
  switch (phase_) {
    case Phase::closed: return now.mono >= reopen_at_;
    case Phase::opening: return now.mono - last_heard_ >= terms_.register_retry;
    case Phase::up: return now.mono - last_heard_ >= terms_.master_silence;
  }
  return false;
}

Instant FakeLink::next_timer() const {
  if (!transport_up_) {
    return Instant::never();
  }
  switch (phase_) {
    case Phase::closed: return reopen_at_;
    case Phase::opening: return last_heard_ + terms_.register_retry;
    case Phase::up: return std::min(last_heard_ + terms_.master_silence, last_sent_ + terms_.heartbeat);
  }
  return Instant::never();
}

FakeLink::Took FakeLink::take(const fb::Frame& frame, Now now) {
  if (const fb::Refused* refused = frame.body_as_Refused()) {
    take_refused(frame, *refused, now);
    return Took::nothing;
  }
  const Epoch epoch(frame.epoch());
  if (epoch < epoch_) {
    frames_.push_back(refused_frame({epoch_, Incarnation(frame.incarnation()), 0, 0},
                                    {fb::RefusedCode::StaleEpoch, 0, frame.sequence(),
                                     "epoch " + std::to_string(frame.epoch()),
                                     "epoch " + std::to_string(epoch_.value()) + " has begun: this master has been succeeded"}));
    return Took::nothing;
  }
  if (!state_.is_open() || frame.incarnation() != state_.incarnation().value()) {
    return Took::nothing;
  }
  const bool answers_us = phase_ == Phase::opening && frame.body_type() == fb::Body::Registered;
  if (epoch > epoch_ && !answers_us) {
    close(now, kReopenWait);  // a new master is believed only when it answers our own registration
    return Took::nothing;
  }
  const LinkState::Verdict verdict = state_.take(frame);
  if (verdict == LinkState::Verdict::gap) {
    close(now, kReopenWait);
  }
  if (verdict != LinkState::Verdict::deliver) {
    return Took::nothing;
  }
  last_heard_ = now.mono;
  confirm_contact();
  if (answers_us) {
    epoch_ = epoch;
    phase_ = Phase::up;
    stale_incarnations_ = 0;
    refused_text_.clear();
    take_terms(*frame.body_as_Registered());
    return Took::registered;
  }
  const bool says_nothing = frame.body_type() == fb::Body::Heartbeat || frame.body_type() == fb::Body::Registered;
  if (phase_ == Phase::opening && !says_nothing) {
    close(now, kReopenWait);  // nothing precedes Registered
  }
  return phase_ == Phase::up && !says_nothing ? Took::message : Took::nothing;
}

void FakeLink::take_terms(const fb::Registered& registered) {
  const auto set = [](Duration& term, std::uint32_t ms) { term = ms == 0 ? term : Duration::from_ms(ms); };
  set(terms_.heartbeat, registered.heartbeat_ms());
  set(terms_.fence, registered.fence_ms());
  set(terms_.prepare_silence, registered.prepare_silence_ms());
}

void FakeLink::take_bad(const FrameError& error, Now now) {
  refused_text_ = "a frame of the master does not verify: " + error.text;
  frames_.push_back(refused_frame({epoch_, incarnation_, 0, 0}, {error.code, 0, 0, "frame", error.text}));
  if (phase_ == Phase::up) {
    close(now, terms_.register_retry);  // whatever it was is missing now: the next life restates it
  }
}

void FakeLink::take_refused(const fb::Frame& frame, const fb::Refused& refused, Now now) {
  using enum fb::RefusedCode;
  if (!state_.is_open() || frame.incarnation() != state_.incarnation().value()) {
    return;
  }
  if (frame.sequence() != 0 && Epoch(frame.epoch()) == epoch_) {
    if (state_.take(frame) != LinkState::Verdict::deliver) {
      return;
    }
    last_heard_ = now.mono;
    confirm_contact();
  }
  refused_text_ = std::string(to_string(refused.code())) + ": " + std::string(text_of(refused.text()));
  switch (refused.code()) {
    case Gap:
    case NotRegistered:
      if (phase_ == Phase::up) {
        close(now, kReopenWait);
      }  // an opening that is refused is repeated at its own pace
      return;
    case StaleIncarnation:  // earlier nodes of these names had larger ones
      incarnation_ = Incarnation(incarnation_.value() + (std::uint64_t{1} << std::min(stale_incarnations_++, 40U)));
      close(now, kReopenWait);
      return;
    case StaleEpoch:
    case NotActive:
    case NotAllowed:
    case Unauthenticated:
    case VersionMismatch:
    case Malformed:
    case TooLarge:
    case UnknownMessage:
      close(now, terms_.register_retry);
      return;
    default:
      return;
  }
}

// The master heard from us no earlier than we sent the last frame that it confirms.
void FakeLink::confirm_contact() {
  const std::uint64_t confirmed = state_.sent() - state_.in_flight();
  while (!sent_at_.empty() && sent_at_.front().sequence <= confirmed) {
    last_contact_ = std::max(last_contact_, sent_at_.front().at);
    sent_at_.pop_front();
  }
}

void FakeLink::sent(FrameBytes bytes, Now now) {
  last_sent_ = now.mono;
  confirmed_at_send_ = state_.received();
  sent_at_.push_back({state_.sent(), now.mono});
  frames_.push_back(std::move(bytes));
}

void FakeLink::send_own(Now now) {
  if (phase_ != Phase::up) {
    return;
  }
  for (const Refusal& refusal : std::exchange(refusals_, {})) {
    sent(refused_frame(state_.next_head(epoch_), refusal), now);
  }
  if (now.mono - last_sent_ >= terms_.heartbeat || state_.received() - confirmed_at_send_ >= kUnconfirmedMax) {
    flatbuffers::FlatBufferBuilder builder(128);
    send(builder, fb::CreateHeartbeat(builder), now);
  }
}

}  // namespace muster::node

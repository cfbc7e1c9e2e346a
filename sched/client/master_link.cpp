// The life of a link: opening, silence, heartbeats, and the calls a framework makes.
#include "sched/client/master_link.hpp"

#include <algorithm>

#include "sched/client/master_link_impl.hpp"

namespace muster::client {
namespace {

// Between losing a life and opening the next, so that two confused ends do not spin.
constexpr Duration kReopenWait = Duration::from_ms(50);
// So many frames of the master wait for a confirmation before one leaves by itself.
constexpr std::uint64_t kConfirmEvery = 64;

}  // namespace

MasterLink::MasterLink(const LinkConfig& config, Framework& framework)
    : impl_(std::make_unique<Impl>(config, framework)) {}
MasterLink::~MasterLink() = default;

void MasterLink::Impl::give_up(Duration wait, Now now) {
  const bool was_open = phase == Phase::open;
  link.close();
  pending.clear();
  acks.clear();
  phase = Phase::waiting;
  open_at = now.mono + wait;
  if (was_open) {
    framework.on_disconnected(now);
  }
}

void MasterLink::on_link_up(Now now) {
  if (impl_->phase == Impl::Phase::down) {
    impl_->phase = Impl::Phase::waiting;
    impl_->open_at = now.mono;
  }
}

void MasterLink::on_link_down(Now now) {
  if (impl_->phase != Impl::Phase::down) {
    impl_->give_up(kReopenWait, now);
    impl_->phase = Impl::Phase::down;
  }
}

void MasterLink::Impl::open_life(Now now, std::vector<FrameBytes>& out) {
  link.open(next_incarnation);
  next_incarnation = Incarnation(next_incarnation.value() + 1);
  phase = Phase::opening;
  opened_at = heard_at = sent_at = now.mono;
  confirmed = 0;
  pending.clear();
  acks.clear();
  send_subscribe(out);
}

Instant MasterLink::Impl::next_heartbeat() const { return sent_at + config.heartbeat; }

void MasterLink::on_timer(Now now) {
  Impl& m = *impl_;
  if (m.phase == Impl::Phase::opening && m.opened_at + m.config.subscribe_retry <= now.mono) {
    m.give_up(Duration{}, now);  // unanswered: the next life opens at once
  } else if (m.phase == Impl::Phase::open && m.heard_at + m.config.master_silence <= now.mono) {
    m.give_up(Duration{}, now);
  }
}

Instant MasterLink::next_timer() const {
  const Impl& m = *impl_;
  switch (m.phase) {
    case Impl::Phase::down: return Instant::never();
    case Impl::Phase::waiting: return m.open_at;
    case Impl::Phase::opening: return m.opened_at + m.config.subscribe_retry;
    case Impl::Phase::open: return std::min(m.heard_at + m.config.master_silence, m.next_heartbeat());
  }
  return Instant::never();
}

void MasterLink::flush(Now now, std::vector<FrameBytes>& out) {
  Impl& m = *impl_;
  const std::size_t before = out.size();
  if (m.phase == Impl::Phase::waiting && m.open_at <= now.mono) {
    m.open_life(now, out);
  }
  if (m.phase == Impl::Phase::open) {
    m.send_pending(out);
    m.send_acks(out);
    if (out.size() == before &&
        (m.next_heartbeat() <= now.mono || m.link.received() >= m.confirmed + kConfirmEvery)) {
      out.push_back(pack_frame<fb::Heartbeat>(m.head(), fb::HeartbeatT{}));
    }
  }
  if (out.size() != before) {
    m.sent_at = now.mono;
    m.confirmed = m.link.received();
  }
  for (FrameBytes& answer : m.answers) {
    out.push_back(std::move(answer));
  }
  m.answers.clear();
}

void MasterLink::on_frame(const fb::Frame& frame, Now now) { impl_->receive(frame, now); }

std::uint64_t MasterLink::accept(const AcceptRequest& request) {
  const std::uint64_t number = impl_->next_accept++;
  if (connected()) {
    impl_->pending.emplace_back(PendingAccept{number, request});
  }
  return number;
}

void MasterLink::decline(std::span<const OfferId> offers, Duration filter) {
  if (!connected() || offers.empty()) {
    return;
  }
  if (!impl_->pending.empty()) {
    if (auto* last = std::get_if<PendingDecline>(&impl_->pending.back()); last != nullptr && last->filter == filter) {
      last->offers.insert(last->offers.end(), offers.begin(), offers.end());
      return;
    }
  }
  impl_->pending.emplace_back(PendingDecline{{offers.begin(), offers.end()}, filter});
}

void MasterLink::hold(std::span<const OfferId> offers, ClaimId claim, Duration lease) {
  if (connected() && !offers.empty()) {
    impl_->pending.emplace_back(PendingHold{{offers.begin(), offers.end()}, claim, lease});
  }
}

void MasterLink::request(std::vector<Want> wants) {
  impl_->wants = std::move(wants);
  if (connected()) {
    // In its place among the calls: a Decline after it must find it, or what is declined is wanted again.
    if (!impl_->pending.empty() && std::holds_alternative<PendingRequest>(impl_->pending.back())) {
      impl_->pending.pop_back();
    }
    impl_->pending.emplace_back(PendingRequest{impl_->wants});
  }
}

void MasterLink::suppress() {
  impl_->suppressed = true;
  if (connected()) {
    impl_->pending.emplace_back(PendingSuppress{true});
  }
}

void MasterLink::revive() {
  impl_->suppressed = false;
  if (connected()) {
    impl_->pending.emplace_back(PendingSuppress{false});
  }
}

void MasterLink::kill(const AttemptId& attempt, NodeIndex node, const KillOptions& options) {
  if (!connected()) {
    return;
  }
  const fb::AttemptRef ref(to_fb(attempt), node.value(), options.boot);
  if (!impl_->pending.empty()) {
    if (auto* last = std::get_if<PendingKill>(&impl_->pending.back());
        last != nullptr && last->options.grace == options.grace && last->options.signal == options.signal &&
        last->options.only_signal == options.only_signal && last->attempts.size() < 4096) {
      last->attempts.push_back(ref);
      return;
    }
  }
  impl_->pending.emplace_back(PendingKill{{ref}, options});
}

void MasterLink::recall(const AttemptId& attempt, NodeIndex node, std::uint32_t boot) {
  if (!connected()) {
    return;
  }
  const fb::AttemptRef ref(to_fb(attempt), node.value(), boot);
  if (!impl_->pending.empty()) {
    if (auto* last = std::get_if<PendingRecall>(&impl_->pending.back());
        last != nullptr && last->attempts.size() < 4096) {
      last->attempts.push_back(ref);
      return;
    }
  }
  impl_->pending.emplace_back(PendingRecall{{ref}});
}

void MasterLink::acknowledge(NodeIndex node, std::uint64_t seq) {
  if (connected() && seq != 0) {
    std::uint64_t& highest = impl_->acks[node];
    highest = std::max(highest, seq);
  }
}

void MasterLink::reconcile(std::span<const LiveAttempt> attempts) {
  if (connected() && !attempts.empty()) {
    impl_->pending.emplace_back(PendingReconcile{{attempts.begin(), attempts.end()}});
  }
}

void MasterLink::send_message(const AttemptId& attempt, NodeIndex node, std::span<const std::uint8_t> data) {
  if (connected()) {
    impl_->pending.emplace_back(PendingMessage{attempt, node, {data.begin(), data.end()}});
  }
}

bool MasterLink::connected() const { return impl_->phase == Impl::Phase::open; }
Epoch MasterLink::epoch() const { return impl_->epoch; }

const NodeInfo* MasterLink::node(NodeIndex index) const {
  const auto found = impl_->nodes.find(index);
  return found == impl_->nodes.end() ? nullptr : &found->second;
}

const NodeInfo* MasterLink::node(const std::string& name) const {
  const auto found = impl_->by_name.find(name);
  return found == impl_->by_name.end() ? nullptr : node(found->second);
}

std::vector<const NodeInfo*> MasterLink::nodes() const {
  std::vector<const NodeInfo*> all;
  all.reserve(impl_->nodes.size());
  for (const auto& [index, info] : impl_->nodes) {
    all.push_back(&info);
  }
  return all;
}

}  // namespace muster::client

// Inputs are handed to their conversation; flush plans, hands over the next batch, and lets go what is committed.
#include "sched/gang/gang_core.hpp"

#include <algorithm>
#include <charconv>

#include "sched/gang/impl.hpp"
#include "wire/base/check.hpp"

namespace muster::gang {
namespace {

// The highest epoch seen is on record before any Accept in it leaves: a master that has been succeeded, and is still
// there, would call attempts never seen that run in the next epoch.
constexpr const char* kEpochKey = "highest_epoch";

[[nodiscard]] Epoch loaded_epoch(const LoadedState& loaded) {
  std::uint64_t epoch = 0;
  for (const auto& [key, value] : loaded.meta) {
    if (key == kEpochKey) {
      std::from_chars(value.data(), value.data() + value.size(), epoch);
    }
  }
  return Epoch(epoch);
}

[[nodiscard]] client::LinkConfig link_config(const GangConfig& config, const LoadedState& loaded) {
  client::LinkConfig link;
  link.framework = config.framework;
  link.name = config.name;
  link.role = config.role;
  link.first_incarnation = config.first_incarnation;
  link.highest_epoch = loaded_epoch(loaded);
  return link;
}

[[nodiscard]] std::unique_ptr<Policy> policy_of(const GangConfig& config) {
  auto policy = make_policy(config.policy);
  check(policy.has_value(), "gang: the shell lets no unknown policy through");
  return *std::move(policy);
}

}  // namespace

GangCore::Impl::Impl(const GangConfig& c, const LoadedState& loaded, Now now, const GangDefects& d)
    : config(c), defects(d), policy(policy_of(c)), link(link_config(c, loaded), *this), queue(*policy), recorded_epoch(loaded_epoch(loaded)), last_now(now) {
  load(loaded, now);
}

GangCore::GangCore(const GangConfig& config, const LoadedState& loaded, Now now, const GangDefects& defects)
    : impl_(std::make_unique<Impl>(config, loaded, now, defects)) {}
GangCore::~GangCore() = default;

// ---- the store

void GangCore::Impl::put(StoreOp op) { ops.push_back(std::move(op)); }

void GangCore::Impl::record_epoch(Epoch epoch) {
  if (epoch > recorded_epoch) {
    recorded_epoch = epoch;
    put(op::SetMeta{kEpochKey, std::to_string(epoch.value())});
  }
}

// A batch holds an attempt once: the last word on it.
void GangCore::Impl::put_attempt(const AttemptRecord& record) {
  const AttemptKey key(record.job, record.index, record.try_number);
  live_ops.erase(key);
  const auto [place, fresh] = attempt_ops.emplace(key, ops.size());
  if (fresh) {
    ops.emplace_back(op::PutAttempt{record});
  } else {
    std::get<op::PutAttempt>(ops[place->second]).attempt = record;
  }
}

void GangCore::Impl::put_live(const Job& job, std::uint32_t ordinal) {
  const AttemptRecord& record = job.live.at(ordinal).record;
  const AttemptKey key(record.job, record.index, record.try_number);
  if (attempt_ops.emplace(key, ops.size()).second) {
    ops.emplace_back(op::PutAttempt{});
  }
  live_ops.emplace(key, ordinal);
}

void GangCore::Impl::fill_live_ops() {
  for (const auto& [key, ordinal] : live_ops) {
    LiveTry& live = queue.find(std::get<JobId>(key))->live.at(ordinal);
    live.record.ends = live.ends;
    std::get<op::PutAttempt>(ops[attempt_ops.at(key)]).attempt = live.record;
  }
  live_ops.clear();
}

void GangCore::Impl::defer(Outgoing what) {
  const std::uint64_t batch = !ops.empty() ? next_batch : batch_out;
  if (batch == 0 && deferred.empty()) {
    release(what);
  } else {
    deferred.push_back({batch, std::move(what)});
  }
}

void GangCore::Impl::release(Outgoing& what) {
  if (auto* answer = std::get_if<OutAnswer>(&what)) {
    user_frames.push_back({answer->link, std::move(answer->bytes)});
  } else if (auto* accept = std::get_if<OutAccept>(&what)) {
    send_accept(*accept, last_now);
  } else if (const auto* ack = std::get_if<OutAck>(&what)) {
    link.acknowledge(ack->node, ack->seq);
  } else if (const auto* recall = std::get_if<OutRecall>(&what)) {
    send_recall(*recall);
  } else {
    send_kill(std::get<OutKill>(what));
  }
}

void GangCore::Impl::release_committed() {
  // Everything up to the batch before the one that is out (or gathers) is on record.
  const std::uint64_t open_batch = batch_out != 0 ? batch_out : next_batch;
  while (!deferred.empty() && deferred.front().batch < open_batch) {
    Outgoing what = std::move(deferred.front().what);
    deferred.pop_front();
    release(what);
  }
}

void GangCore::Impl::touch(Job& job) {
  ++job.version;
  changed.insert(job.id);
}

// ---- inputs

void GangCore::on_user_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now) {
  impl_->last_now = now;
  impl_->on_user(link, peer, frame, now);
}

void GangCore::on_bad_user_frame(LinkId link, const FrameError& error, Now now) {
  impl_->last_now = now;
  impl_->refuse(link, 0, {error.code, "frame", error.text});
}

void GangCore::on_user_lost(LinkId link, Now) {
  std::erase_if(impl_->watchers, [link](const Watcher& w) { return w.link == link; });
}

void GangCore::on_master_link_up(Now now) {
  impl_->last_now = now;
  impl_->link.on_link_up(now);
}

void GangCore::on_master_link_down(Now now) {
  impl_->last_now = now;
  impl_->link.on_link_down(now);
}

void GangCore::on_master_frame(const fb::Frame& frame, Now now) {
  impl_->last_now = now;
  impl_->link.on_frame(frame, now);
}

void GangCore::on_stored(std::uint64_t batch_number, Now now) {
  impl_->last_now = now;
  check(batch_number == impl_->batch_out, "gang: a batch is reported committed that is not out");
  impl_->batch_out = 0;
  impl_->release_committed();
}

void GangCore::on_timer(Now now) {
  Impl& g = *impl_;
  g.last_now = now;
  g.link.on_timer(now);
  if (g.pool.expire(now.mono) > 0) {
    g.wants_certain = false;
    g.wants_due = true;
  }
  while (!g.retries_due.empty() && g.retries_due.begin()->first <= now.mono) {
    g.retries_due.erase(g.retries_due.begin());
    g.plan_due = g.wants_due = true;
  }
  if (g.wants_refresh <= now.mono) {
    g.wants_certain = false;
    g.wants_due = true;
  }
  g.retry_late_submits(now);
  g.fail_late_gangs(now);
  g.hold_reserved(now);
}

Instant GangCore::next_timer() const {
  const Impl& g = *impl_;
  Instant next = std::min({g.link.next_timer(), g.pool.next_expiry(), g.wants_refresh});
  if (!g.retries_due.empty()) {
    next = std::min(next, g.retries_due.begin()->first);
  }
  if (!g.starts_due.empty()) {
    next = std::min(next, g.starts_due.begin()->first);
  }
  if (g.reservation) {
    next = std::min(next, g.reservation->renew_at);
  }
  for (const LateSubmit& late : g.late_submits) {
    next = std::min(next, late.due);
  }
  for (const Watcher& watcher : g.watchers) {
    next = std::min(next, watcher.deadline);
  }
  return next;
}

void GangCore::flush(Now now, GangOutputs& out) {
  Impl& g = *impl_;
  g.last_now = now;
  if (g.fits_due) {
    g.fits_due = false;
    g.check_fits();
  }
  if (g.plan_due) {
    g.plan_due = false;
    g.plan(now);
  }
  if (g.wants_due) {
    g.wants_due = false;
    g.update_wants(now);
  }
  g.answer_watchers(now);
  if (g.batch_out == 0 && !g.ops.empty()) {
    g.fill_live_ops();
    g.batch_out = g.next_batch++;
    out.store = StoreBatch{g.batch_out, std::move(g.ops)};
    g.ops.clear();
    g.attempt_ops.clear();
  }
  g.release_committed();
  g.link.flush(now, out.to_master);
  for (UserFrame& frame : g.user_frames) {
    out.to_users.push_back(std::move(frame));
  }
  g.user_frames.clear();
}

// ---- users

bool GangCore::Impl::is_operator(const Peer& peer) const {
  return peer.uid == config.owner_uid || peer.uid == 0 ||
         std::find(config.operators.begin(), config.operators.end(), peer.uid) != config.operators.end();
}

bool GangCore::Impl::may_touch(const Peer& peer, const Job& job) const {
  return peer.uid == job.uid || is_operator(peer);
}

void GangCore::Impl::refuse(LinkId to, std::uint64_t request, const Complaint& complaint) {
  answer(to, refused_frame(FrameHead{},
                           Refusal{complaint.code, request, 0, complaint.subject, complaint.text}));
}

void GangCore::Impl::on_user(LinkId from, const Peer& peer, const fb::Frame& frame, Now now) {
  if (!peer.local) {
    refuse(from, 0, {fb::RefusedCode::Unauthenticated, "peer",
                     "nobody vouches for who you are: connect through the cluster's directory"});
    return;
  }
  switch (frame.body_type()) {
    case fb::Body::Submit: on_submit(from, peer, *frame.body_as_Submit(), now); break;
    case fb::Body::Cancel: on_cancel(from, peer, *frame.body_as_Cancel(), now); break;
    case fb::Body::HoldJob: {
      const fb::HoldJob& hold = *frame.body_as_HoldJob();
      on_hold(from, peer, hold.request(), hold.jobs(), true, now);
      break;
    }
    case fb::Body::ReleaseJob: {
      const fb::ReleaseJob& hold = *frame.body_as_ReleaseJob();
      on_hold(from, peer, hold.request(), hold.jobs(), false, now);
      break;
    }
    case fb::Body::QueryJobs: on_query(from, peer, *frame.body_as_QueryJobs(), now); break;
    case fb::Body::Watch: on_watch(from, peer, *frame.body_as_Watch(), now); break;
    case fb::Body::GangStatusQuery: on_status_query(from, *frame.body_as_GangStatusQuery()); break;
    case fb::Body::Refused:
    case fb::Body::Heartbeat: break;
    default:
      refuse(from, 0, {fb::RefusedCode::UnknownMessage, "message",
                       std::string(fb::EnumNameBody(frame.body_type())) + " is not a request to a framework"});
  }
}

}  // namespace muster::gang

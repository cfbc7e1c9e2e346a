// Cancel, HoldJob, ReleaseJob: of a user's own jobs, or any for operators.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr const char* kNeverStartedText = "cancelled before it started";

[[nodiscard]] std::string job_text(JobId id) { return "job " + std::to_string(id.value()); }

[[nodiscard]] FrameBytes done_frame(std::uint64_t request, std::uint32_t count, std::string text) {
  fb::DoneT done;
  done.request = request;
  done.count = count;
  done.text = std::move(text);
  return pack_frame<fb::Done>(FrameHead{}, done);
}

}  // namespace

void GangCore::Impl::on_cancel(LinkId from, const Peer& peer, const fb::Cancel& cancel, Now now) {
  struct Target { Job* job; std::uint32_t first; std::uint32_t last; };  // ordinals
  std::vector<Target> targets;
  const std::string_view name = text_of(cancel.name());
  if (cancel.jobs() != nullptr) {
    // Checked whole before anything is applied.
    for (const fb::JobRange* range : *cancel.jobs()) {
      Job* job = queue.find(JobId(range->job()));
      if (job == nullptr) {
        refuse(from, cancel.request(), {fb::RefusedCode::UnknownJob, job_text(JobId(range->job())),
                                        job_text(JobId(range->job())) + " is not known here"});
        return;
      }
      if (!may_touch(peer, *job)) {
        refuse(from, cancel.request(), {fb::RefusedCode::NotAllowed, job_text(job->id),
                                        job_text(job->id) + " belongs to user " + std::to_string(job->uid)});
        return;
      }
      const ArrayIndexes& indexes = job->elements.indexes();
      if (range->first() > range->last()) {
        targets.push_back({job, 0, job->elements.size() - 1});
        continue;
      }
      const std::uint32_t first = indexes.lower_bound(range->first());
      const std::uint32_t end = range->last() == 0xffff'ffffU ? indexes.size() : indexes.lower_bound(range->last() + 1);
      if (first >= end) {
        refuse(from, cancel.request(),
               {fb::RefusedCode::UnknownJob, job_text(job->id),
                job_text(job->id) + " has no element within " + std::to_string(range->first()) + "-" +
                    std::to_string(range->last())});
        return;
      }
      targets.push_back({job, first, end - 1});
    }
  }
  if (cancel.all_of_uid() || (!name.empty() && targets.empty())) {
    for (const auto& [id, job] : queue.jobs()) {
      if (job->uid == peer.uid && !job->done) {
        targets.push_back({job.get(), 0, job->elements.size() - 1});
      }
    }
  }
  if (!name.empty()) {
    std::erase_if(targets, [&](const Target& t) { return text_of(t.job->spec().name()) != name; });
  }
  std::uint32_t count = 0;
  // By id: ending a job may drop older ones from memory.
  std::vector<std::tuple<JobId, std::uint32_t, std::uint32_t>> ids;
  for (const Target& target : targets) {
    ids.emplace_back(target.job->id, target.first, target.last);
  }
  for (const auto& [id, first, last] : ids) {
    Job* job = queue.find(id);
    if (job == nullptr || job->done) {
      continue;
    }
    count += cancel.signal() != 0 ? signal_elements(*job, first, last, cancel.signal())
                                  : cancel_elements(*job, first, last, now);
  }
  answer(from, done_frame(cancel.request(), count,
                          count == 0 ? "nothing to cancel: all of it has ended" : std::string()));
}

std::uint32_t GangCore::Impl::cancel_elements(Job& job, std::uint32_t first, std::uint32_t last, Now now) {
  std::uint32_t count = 0;
  const bool whole = first == 0 && last + 1 == job.elements.size();
  if (whole && !job.record.cancelled) {
    job.record.cancelled = true;
    put(op::SetCancelled{job.id});
  }
  const ArrayIndexes& indexes = job.elements.indexes();
  for (const ArrayState::Cancelled& range : job.elements.cancel_pending(first, last, JobState::Cancelled, now.wall)) {
    put(op::EndElements{job.id, indexes.index_of(range.first), indexes.index_of(range.last), JobState::Cancelled,
                        kNeverStartedText, now.wall});
    count += range.last - range.first + 1;
    job.last_ended = std::max(job.last_ended, now.wall);
    if (job.first_failure.empty()) {
      job.first_failure = kNeverStartedText;
    }
  }
  for (auto it = job.live.lower_bound(first); it != job.live.end() && it->first <= last; ++it) {
    LiveTry& live = it->second;
    if (!live.record.cancelled) {
      live.record.cancelled = true;
      ++count;
      if (!whole) {
        put_attempt(live.record);  // of a whole job, SetCancelled says it
      }
    }
  }
  // What waits in line goes first: it must not move up as those before it end.
  for (const bool queued : {true, false}) {
    for (auto it = job.live.lower_bound(first); it != job.live.end() && it->first <= last; ++it) {
      if (it->second.queued == queued) {
        kill_members(job, it->first, false);
      }
    }
  }
  queue.refresh(job);
  touch(job);
  plan_due = wants_due = true;
  finish_job_if_done(job, now);
  return count;
}

std::uint32_t GangCore::Impl::signal_elements(Job& job, std::uint32_t first, std::uint32_t last, int signal) {
  std::uint32_t count = 0;
  for (auto it = job.live.lower_bound(first); it != job.live.end() && it->first <= last; ++it) {
    const LiveTry& live = it->second;
    bool sent = false;
    for (std::uint32_t m = 0; m < live.members.size(); ++m) {
      if (live.members[m].state == TaskState::running) {
        defer(OutKill{pack_attempt(job.id, live.record.try_number, m, live.record.index), true, signal});
        sent = true;
      }
    }
    count += sent ? 1U : 0U;
  }
  return count;
}

void GangCore::Impl::on_hold(LinkId from, const Peer& peer, std::uint64_t request,
                             const flatbuffers::Vector<flatbuffers::Offset<fb::JobRange>>* jobs, bool hold, Now) {
  if (jobs == nullptr || jobs->size() == 0) {
    refuse(from, request, {fb::RefusedCode::BadRequest, "jobs", "no job was named"});
    return;
  }
  std::vector<Job*> targets;
  for (const fb::JobRange* range : *jobs) {
    Job* job = queue.find(JobId(range->job()));
    const std::string subject = job_text(JobId(range->job()));
    if (job == nullptr) {
      refuse(from, request, {fb::RefusedCode::UnknownJob, subject, subject + " is not known here"});
      return;
    }
    if (!may_touch(peer, *job)) {
      refuse(from, request, {fb::RefusedCode::NotAllowed, subject,
                             subject + " belongs to user " + std::to_string(job->uid)});
      return;
    }
    if (range->first() <= range->last()) {
      refuse(from, request, {fb::RefusedCode::Unsupported, subject,
                             subject + ": only whole arrays can be held; leave the elements out"});
      return;
    }
    if (job->done) {
      refuse(from, request, {fb::RefusedCode::Conflict, subject, subject + " has ended"});
      return;
    }
    targets.push_back(job);
  }
  std::uint32_t count = 0;
  for (Job* job : targets) {
    if (job->record.held != hold) {
      job->record.held = hold;
      put(op::SetHeld{job->id, hold});
      if (hold) {
        recall_queued(*job, job->queued);
      }
      touch(*job);
      ++count;
    }
  }
  plan_due = wants_due = true;
  answer(from, done_frame(request, count, {}));
}

}  // namespace muster::gang

// From the store: what had ended stays ended, live attempts are asked about at Subscribe, the rest is pending.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

[[nodiscard]] bool is_live(const AttemptRecord& attempt) {
  return attempt.state == JobState::Running || attempt.state == JobState::Completing;
}

}  // namespace

void GangCore::Impl::load(const LoadedState& loaded, Now now) {
  next_job = loaded.next_job;
  for (const LoadedJob& job : loaded.jobs) {
    next_job = std::max(next_job, job.job.job.value() + 1);
    load_job(job, now);
  }
}

void GangCore::Impl::load_job(const LoadedJob& loaded, Now now) {
  Job& job = queue.add(loaded.job, now);
  const ArrayIndexes& indexes = job.elements.indexes();
  for (std::size_t i = 0; i < loaded.attempts.size(); ++i) {
    const AttemptRecord& attempt = loaded.attempts[i];
    const auto ordinal = indexes.ordinal_of(attempt.index);
    if (ordinal && attempt.requeued && attempt.started.ns() == 0) {
      ++job.never_ran[*ordinal];
    }
    if (!ordinal || (i + 1 < loaded.attempts.size() && loaded.attempts[i + 1].index == attempt.index)) {
      continue;  // a later try says where the element stands
    }
    if (is_live(attempt)) {
      LiveTry& live = job.live[*ordinal];
      live.record = attempt;
      live.members.resize(attempt.nodes.size());
      live.cpus.resize(attempt.nodes.size());
      live.record.boots.resize(attempt.nodes.size());
      live.ends = attempt.ends;
      live.our_reason = attempt.reason;
      live.record.cancelled = live.record.cancelled || loaded.job.cancelled;
      for (const MemberEnd& end : live.ends) {
        if (end.member < live.members.size()) {
          live.members[end.member].state = end.state;
        }
        live.failing = live.failing || is_trouble(end, job.allocation);
      }
      live.failing = live.failing || !live.our_reason.empty();
      job.elements.restore_running(*ordinal);
      ++live_total;
    } else if (attempt.requeued) {
      job.elements.restore_retry(*ordinal, attempt.try_number + 1);
    } else {
      job.elements.restore_ended(*ordinal, end_record_of(job, attempt));
      end_element(job, *ordinal, attempt);
    }
  }
  for (const op::EndElements& range : loaded.ended_elements) {
    const std::uint32_t first = indexes.lower_bound(range.first);
    const std::uint32_t end = range.last == 0xffff'ffffU ? indexes.size() : indexes.lower_bound(range.last + 1);
    if (first < end) {
      job.elements.cancel_pending(first, end - 1, range.state, range.ended);
      job.last_ended = std::max(job.last_ended, range.ended);
      if (job.first_failure.empty()) {
        job.first_failure = range.reason;
      }
    }
  }
  if (loaded.state != JobState::Pending) {
    job.done = true;
    job.final_state = loaded.state;
    job.last_ended = std::max(job.last_ended, loaded.ended);
    drop_script(job);
    queue.retire(job, config.done_jobs_kept);
    return;
  }
  if (job.elements.pending() == 0 && job.live.empty()) {
    finish_job_if_done(job, now);  // the store lost the last word only
    return;
  }
  queue.refresh(job);
}

std::vector<client::LiveAttempt> GangCore::Impl::live_attempts() {
  // What was not sent never will be; what was sent and is not known to have ended is asked about.
  abort_unsent(last_now);
  std::vector<client::LiveAttempt> all;
  for (const auto& [id, job] : queue.jobs()) {
    for (const auto& [ordinal, live] : job->live) {
      for (std::uint32_t m = 0; m < live.members.size(); ++m) {
        if (!is_terminal(live.members[m].state)) {
          all.push_back({pack_attempt(id, live.record.try_number, m, live.record.index), live.record.nodes[m],
                         live.record.boots[m]});
        }
      }
    }
  }
  return all;
}

}  // namespace muster::gang

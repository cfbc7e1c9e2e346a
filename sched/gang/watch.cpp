// Watch: answered when the job has changed, or at the deadline with what there is.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr std::size_t kWatchersMax = 10'000;
// Answers come this early, so that they arrive before the asker gives up.
constexpr Duration kDeadlineMargin = Duration::from_ms(100);
constexpr std::uint32_t kElementsInAnswer = 16;

}  // namespace

void GangCore::Impl::on_watch(LinkId from, const Peer& peer, const fb::Watch& watch, Now now) {
  const JobId id(watch.job());
  const Job* job = queue.find(id);
  if (job == nullptr) {
    refuse(from, watch.request(), {fb::RefusedCode::UnknownJob, "job " + std::to_string(id.value()),
                                   "job " + std::to_string(id.value()) + " is not known here"});
    return;
  }
  if (watchers.size() >= kWatchersMax) {
    refuse(from, watch.request(), {fb::RefusedCode::Busy, "watch", "too many jobs are being watched: try again"});
    return;
  }
  const Duration wait = std::max(Duration::from_ms(watch.deadline_ms()) - kDeadlineMargin, Duration{});
  const Watcher watcher{from, peer, watch.request(), id, watch.version(), now.mono + wait};
  if (job->version > watch.version() || watcher.deadline <= now.mono) {
    answer_watcher(watcher, now);
  } else {
    watchers.push_back(watcher);
  }
}

void GangCore::Impl::answer_watchers(Now now) {
  std::vector<Watcher> due;
  std::erase_if(watchers, [&](const Watcher& watcher) {
    const Job* job = changed.contains(watcher.job) ? queue.find(watcher.job) : nullptr;
    const bool answered = watcher.deadline <= now.mono || (job != nullptr && job->version > watcher.version);
    if (answered) {
      due.push_back(watcher);
    }
    return answered;
  });
  changed.clear();
  for (const Watcher& watcher : due) {
    answer_watcher(watcher, now);
  }
}

void GangCore::Impl::answer_watcher(const Watcher& watcher, Now now) {
  fb::JobListT list;
  list.request = watcher.request;
  list.now_ns = now.wall.ns();
  list.connected = link.connected();
  if (const Job* job = queue.find(watcher.job)) {
    RowWish wish;
    wish.details = true;
    wish.private_parts = may_touch(watcher.peer, *job);
    wish.spec = false;
    wish.elements_limit = job->elements.size() <= kElementsInAnswer ? kElementsInAnswer : 0;
    if (!job->done && job->elements.running() == 0) {
      wish.ahead = jobs_ahead(*job);
    }
    list.jobs.push_back(row_of(*job, wish, now));
    list.total = 1;
  } else {
    list.unknown.push_back(watcher.job.value());
  }
  answer(watcher.link, pack_frame<fb::JobList>(FrameHead{}, list));
}

}  // namespace muster::gang

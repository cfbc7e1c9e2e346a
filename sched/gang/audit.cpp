// The core's books, walked through: for tests and the simulator.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {

Status GangCore::audit() const {
  const Impl& g = *impl_;
  std::uint64_t live = 0;
  for (const auto& [id, job] : g.queue.jobs()) {
    const std::string name = "job " + std::to_string(id.value());
    if (job->live.size() != job->elements.running()) {
      return fail(Errc::conflict, name + ": " + std::to_string(job->live.size()) + " attempts are live, " +
                                      std::to_string(job->elements.running()) + " elements run");
    }
    live += job->live.size();
    const auto in_line = static_cast<std::uint32_t>(
        std::count_if(job->live.begin(), job->live.end(), [](const auto& entry) { return entry.second.queued; }));
    if (in_line != job->queued || (in_line > 0) != g.queued_jobs.contains(id)) {
      return fail(Errc::conflict, name + " counts " + std::to_string(job->queued) + " elements in line, has " +
                                      std::to_string(in_line));
    }
    if (job->done && (job->elements.pending() > 0 || job->elements.running() > 0)) {
      return fail(Errc::conflict, name + " is done, and not all of its elements have ended");
    }
    if (!job->done && job->elements.pending() == 0 && job->elements.running() == 0) {
      return fail(Errc::conflict, name + " has no element left, and is not done");
    }
    const bool queued = g.queue.pending().contains({g.policy->key(job->facts()), id});
    if (queued != (!job->done && job->elements.pending() > 0)) {
      return fail(Errc::conflict, name + (queued ? " is queued without a pending element" : " has pending elements and is not queued"));
    }
    if (job->is_array() && job->elements.running() > job->throttle()) {
      return fail(Errc::conflict, name + " runs more elements than its throttle allows");
    }
    for (const auto& [ordinal, attempt] : job->live) {
      std::uint64_t ranks = 0;
      for (const std::uint32_t r : attempt.record.ranks) {
        ranks += r;
      }
      if (ranks != job->shape.ntasks || attempt.members.size() != attempt.record.nodes.size()) {
        return fail(Errc::conflict, name + ": a live attempt has " + std::to_string(ranks) + " ranks of " +
                                        std::to_string(job->shape.ntasks));
      }
      if (attempt.ends.size() >= attempt.members.size()) {
        return fail(Errc::conflict, name + ": all members have ended, and the attempt has not");
      }
    }
  }
  if (live != g.live_total) {
    return fail(Errc::conflict, std::to_string(g.live_total) + " live attempts are counted, there are " + std::to_string(live));
  }
  return {};
}

std::string GangCore::status_text() const {
  const Impl& g = *impl_;
  std::string text = "epoch " + std::to_string(g.link.epoch().value()) +
                     (g.link.connected() ? ", connected" : ", no master") + ", " +
                     std::to_string(g.queue.jobs().size()) + " jobs, " + std::to_string(g.queue.pending().size()) +
                     " with pending elements, " + std::to_string(g.live_total) + " live attempts, " +
                     std::to_string(g.pool.size()) + " open offers, " + std::to_string(g.accepts.size()) +
                     " accepts unanswered, batch " + std::to_string(g.next_batch - 1);
  if (!g.last_refusal.empty()) {
    text += "; the master's last refusal: " + g.last_refusal;
  }
  return text;
}

}  // namespace muster::gang

// Elements in line: launched behind attempts of ours that run, so that a slot is refilled on its node, without a round
// trip. They are shown as pending; when something is offered instead, they are taken back.
#include "sched/gang/impl.hpp"

namespace muster::gang {

void GangCore::Impl::set_queued(Job& job, LiveTry& live, bool queued) {
  if (live.queued == queued) {
    return;
  }
  live.queued = queued;
  job.queued += queued ? 1U : -1U;
  if (job.queued == 0) {
    queued_jobs.erase(job.id);
  } else {
    queued_jobs.insert(job.id);
  }
  touch(job);
}

// It has ended. The master has given what it had to the next in its line.
void GangCore::Impl::leave_line(const AttemptId& attempt) {
  if (const auto next = lines.remove(attempt)) {
    if (const auto place = find_live(*next)) {
      set_queued(*place->job, *place->live, false);
    }
  }
}

// All that it has left waits in line, and would start elsewhere if there were room.
bool GangCore::Impl::may_move(const Job& job, Now now) const {
  return job.queued > 0 && job.startable() == 0 && !job.record.held && !job.record.cancelled && job.not_before <= now.mono;
}

// The newest first. Those that are asked for already count.
void GangCore::Impl::recall_queued(Job& job, std::uint64_t most) {
  std::uint64_t seen = 0;
  const std::uint64_t queued = job.queued;
  for (auto it = job.live.rbegin(); it != job.live.rend() && seen < queued && seen < most; ++it) {
    const LiveTry& live = it->second;
    if (!live.queued) {
      continue;
    }
    ++seen;
    if (live.members.front().recalled_in_life != life && !live.record.cancelled) {
      defer(OutRecall{pack_attempt(job.id, live.record.try_number, 0, live.record.index)});
    }
  }
}

void GangCore::Impl::send_recall(const OutRecall& recall) {
  const auto place = find_live(recall.attempt);
  if (!place || !link.connected() || place->live->members[place->member].recalled_in_life == life) {
    return;
  }
  const client::NodeInfo* node = link.node(place->live->record.nodes[place->member]);
  if (node == nullptr) {
    return;
  }
  place->live->members[place->member].recalled_in_life = life;
  link.recall(recall.attempt, node->index, place->live->record.boots[place->member]);
}

}  // namespace muster::gang

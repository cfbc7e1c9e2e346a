#include "sched/gang/job_queue.hpp"

#include "wire/base/check.hpp"

namespace muster::gang {

Job& JobQueue::add(JobRecord record, Now now) {
  const JobId id = record.job;
  auto [place, fresh] = jobs_.emplace(id, std::make_unique<Job>(std::move(record), now));
  check(fresh, "queue: a job id is used twice");
  Job& job = *place->second;
  if (job.record.key_hi != 0 || job.record.key_lo != 0) {
    by_key_.emplace(SubmitKey{job.uid, job.record.key_hi, job.record.key_lo}, id);
  }
  return job;
}

Job* JobQueue::find(JobId id) {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

const Job* JobQueue::find(JobId id) const {
  const auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : found->second.get();
}

Job* JobQueue::find_key(std::uint32_t uid, std::uint64_t key_hi, std::uint64_t key_lo) {
  if (key_hi == 0 && key_lo == 0) {
    return nullptr;
  }
  const auto found = by_key_.find({uid, key_hi, key_lo});
  return found == by_key_.end() ? nullptr : find(found->second);
}

void JobQueue::refresh(Job& job) {
  const bool wanted = !job.done && job.elements.pending() > 0;
  const auto known = keys_.find(job.id);
  if (wanted && known == keys_.end()) {
    const QueueKey key{policy_.key(job.facts()), job.id};
    pending_.insert(key);
    keys_.emplace(job.id, key);
  } else if (!wanted && known != keys_.end()) {
    pending_.erase(known->second);
    keys_.erase(known);
  }
}

void JobQueue::retire(Job& job, std::uint32_t kept) {
  refresh(job);
  done_.push_back(job.id);
  while (done_.size() > kept) {
    const auto oldest = jobs_.find(done_.front());
    done_.pop_front();
    if (oldest != jobs_.end()) {
      const JobRecord& record = oldest->second->record;
      by_key_.erase({oldest->second->uid, record.key_hi, record.key_lo});
      jobs_.erase(oldest);
    }
  }
}

}  // namespace muster::gang

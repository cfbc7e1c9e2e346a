// JobQueue: all jobs in memory, those with pending elements in the policy's order. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "sched/gang/job.hpp"
#include "sched/gang/policies/policy.hpp"

namespace muster::gang {

class JobQueue {
 public:
  explicit JobQueue(const Policy& policy) : policy_(policy) {}

  Job& add(JobRecord record, Now now);
  [[nodiscard]] Job* find(JobId id);
  [[nodiscard]] const Job* find(JobId id) const;
  // By the submitter's key; nullptr if unknown (or the job has dropped out of memory).
  [[nodiscard]] Job* find_key(std::uint32_t uid, std::uint64_t key_hi, std::uint64_t key_lo);

  // Call after anything that may have changed whether the job has pending elements.
  void refresh(Job& job);
  // The job has ended: it is kept until `kept` later ones have.
  void retire(Job& job, std::uint32_t kept);

  [[nodiscard]] const std::set<QueueKey>& pending() const { return pending_; }
  [[nodiscard]] const std::map<JobId, std::unique_ptr<Job>>& jobs() const { return jobs_; }

 private:
  using SubmitKey = std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>;
  const Policy& policy_;
  std::map<JobId, std::unique_ptr<Job>> jobs_;
  std::map<SubmitKey, JobId> by_key_;
  std::set<QueueKey> pending_;
  std::unordered_map<JobId, QueueKey> keys_;  // of pending_; looked up, never iterated
  std::deque<JobId> done_;
};

}  // namespace muster::gang

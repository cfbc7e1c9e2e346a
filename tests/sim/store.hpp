// The gang's store as a disk would keep it: whole batches, in order. The checker reads every commit.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "sched/gang/store.hpp"
#include "tests/sim/truth.hpp"
#include "tests/sim/world.hpp"

namespace muster::sim {

// Owned by one run. Outlives the gang's processes.
class SimStore {
 public:
  SimStore(World& world, Truth& truth) : world_(world), truth_(truth) {}

  // One transaction. Batches of one process come in order and once.
  void commit(const gang::StoreBatch& batch);
  [[nodiscard]] const gang::LoadedState& state() const { return state_; }
  [[nodiscard]] const gang::LoadedJob* job(JobId id) const;
  [[nodiscard]] bool has_attempt(JobId id, std::uint32_t index, std::uint32_t try_number) const;
  [[nodiscard]] const gang::AttemptRecord* attempt(JobId id, std::uint32_t index, std::uint32_t try_number) const;
  // A process of the gang starts: its batches begin at 1 again, or go on.
  void on_gang_started() { last_batch_ = 0; }

  // All jobs have ended, every element exactly once, and their ends agree with the kernels.
  void check_finished() const;
  [[nodiscard]] bool all_ended() const;
  [[nodiscard]] std::uint64_t commits() const { return commits_; }
  [[nodiscard]] std::string unended_text() const;

 private:
  void apply(const gang::StoreOp& operation);
  void put_attempt(const gang::AttemptRecord& record);
  [[nodiscard]] gang::LoadedJob& existing(JobId id, const char* what);

  World& world_;
  Truth& truth_;
  gang::LoadedState state_;
  std::uint64_t last_batch_{};
  std::uint64_t commits_{};
};

[[nodiscard]] inline bool is_end(gang::JobState state) { return state >= gang::JobState::Completed; }
// An attempt's record that says it is over: ended, or (Pending) proven never to have run.
[[nodiscard]] inline bool is_over(gang::JobState state) { return is_end(state) || state == gang::JobState::Pending; }
// The indexes a job consists of; {0} when it is no array.
[[nodiscard]] std::set<std::uint32_t> elements_of(const gang::JobRecord& job);

}  // namespace muster::sim

// TaskBook: every attempt the node knows, and what they take of it. Pure.
//
//   queued ─► launching ─► prepared ─► running ─► (terminal) ─► acknowledged, forgotten
//
// A task that is not terminal is charged: its shape in the resource books, its cpus in the cpu map. A queued one is not:
// it will take what its predecessor has.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "node/core/agent_note.hpp"
#include "node/exec/launcher_messages.hpp"
#include "node/topology/cpu_map.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

// What starts a queued task once its turn has come.
struct Waiting {
  std::shared_ptr<const FrameBytes> spec;  // verified; shared by the launches of one frame
  fb::LaunchEntry entry;
};

struct Task {
  CpuKey key;
  JobId job;
  std::string name;
  AgentNote facts;

  TaskState state{TaskState::launching};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::int32_t signal{};
  std::int32_t failed_rank{-1};
  WallTime started;
  WallTime ended;
  std::string text;
  TaskUsage usage;
  std::uint64_t seq{};                // of its last update; 0 = none yet

  bool charged{};                     // shape in the books
  bool with_launcher{};               // the launcher was given it (or told us of it)
  bool go{};                          // Go arrived
  bool release_sent{};
  struct KillSent { int signal{}; std::uint32_t grace_ms{}; };
  std::optional<KillSent> kill;       // asked for, and sent when the launcher listens
  TaskReason end_cause{};             // why we end it; the first cause stays
  Instant deadline = Instant::never();// of the time limit (running) or of the wait for Go (prepared)
  std::optional<TaskStart> start;     // until the launcher is known to have it

  struct Stepd { LinkId link; std::vector<std::string> endpoints; };
  std::optional<Stepd> stepd;         // its step daemon, once that has spoken; it speaks again every second
  std::string report;                 // what that has left at the end

  // Its line, of one framework; zero = none.
  AttemptId after;                    // what a queued task follows. Stays when it ended while it was queued
  AttemptId successor;                // what follows it
  std::unique_ptr<Waiting> waiting;   // while queued
  bool ended_in_line{};               // it ended while it was queued: what it followed may live on

  [[nodiscard]] bool live() const { return !is_terminal(state); }
};

class TaskBook {
 public:
  // REQUIRES validate(topology).
  TaskBook(const Resources& capacity, const Topology& topology);

  [[nodiscard]] Task* find(const CpuKey& key);
  [[nodiscard]] const Task* find(const CpuKey& key) const;
  // REQUIRES: unknown so far. The task is live and not charged.
  Task& add(const CpuKey& key);
  // REQUIRES: not live.
  void erase(const CpuKey& key);

  // Charges `task` (facts.shape, facts.ranks, facts.cpus_per_rank_milli) and notes the cpus in facts.cpus.
  // Errors: exhausted, naming what is short.
  [[nodiscard]] Result<CpuGrant> charge(Task& task);
  // The same on cpus that have just come free, if they can be had.
  [[nodiscard]] Result<CpuGrant> charge_on(Task& task, std::span<const std::uint32_t> cpus);
  // Into a line, and out of it to be charged.
  void enqueue(Task& task);
  void dequeue(Task& task);
  // Charges a task that already runs with what its facts say, as far as the books can hold it: it runs in any case.
  // Fails with a sentence for the log when something could not be charged.
  [[nodiscard]] Status adopt(Task& task);
  // The task has ended in `state`: its resources are free in the same step.
  void end(Task& task, TaskState state, TaskReason reason);
  void set_deadline(Task& task, Instant deadline);

  [[nodiscard]] Instant next_deadline() const;
  // Takes the deadlines that have passed.
  [[nodiscard]] std::vector<CpuKey> due(Instant now);
  [[nodiscard]] const std::map<CpuKey, Task>& tasks() const { return tasks_; }
  [[nodiscard]] std::vector<CpuKey> live_keys() const;
  [[nodiscard]] const Resources& used() const { return used_; }
  [[nodiscard]] const CpuMap& cpus() const { return cpus_; }
  [[nodiscard]] std::size_t live() const { return live_; }
  [[nodiscard]] std::size_t live_requeueable() const { return live_requeueable_; }
  [[nodiscard]] std::size_t queued() const { return queued_; }
  // facts.requeueable was set after add().
  void count_requeueable(Task& task);

  [[nodiscard]] Status audit() const;

 private:
  Resources capacity_;
  Resources used_;
  CpuMap cpus_;
  std::map<CpuKey, Task> tasks_;
  std::set<std::pair<Instant, CpuKey>> deadlines_;
  std::size_t live_{};
  std::size_t live_requeueable_{};
  std::size_t queued_{};
};

}  // namespace muster::node

// One simulated machine: its kernel (processes, cpus), its launcher with the real run log's bytes, its power.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/exec/launcher_messages.hpp"
#include "tests/sim/truth.hpp"
#include "tests/sim/world.hpp"
#include "wire/model/resources.hpp"

namespace muster::sim {

// What tasks are like on this run.
struct TaskNature {
  Duration run_min = Duration::from_ms(5);
  Duration run_max = Duration::from_seconds(40);
  std::uint32_t fail_percent{10};        // of tasks end with an exit code that is not 0
  std::uint64_t spawn_fail_ppm{5'000};
  std::uint64_t exec_fail_ppm{10'000};
  std::uint32_t torn_log_percent{70};    // of power cuts drop what the run log did not sync
};

// The agent's end of the launcher's socket.
struct AgentEars {
  std::function<void(const node::LauncherHello&)> hello;
  std::function<void(const node::LauncherEvent&)> event;
  std::function<void()> lost;
};

// Owned by one run.
class Machine {
 public:
  Machine(World& world, Truth& truth, std::uint32_t index, Resources capacity, TaskNature nature);

  [[nodiscard]] const std::string& boot_id() const { return boot_id_; }
  [[nodiscard]] bool powered() const { return powered_; }
  [[nodiscard]] bool launcher_up() const { return launcher_up_; }
  [[nodiscard]] const Resources& capacity() const { return capacity_; }

  // An agent connects to the launcher (if it is up) and hears Hello, then events. One at a time.
  void connect(AgentEars ears);
  void disconnect();
  void send(const node::LauncherCommand& command);

  void crash_launcher();
  void start_launcher();
  void power_off();
  void power_on();

  // The kernel's word: no more is used than there is, and whole cpus belong to one task.
  void check_room() const;
  [[nodiscard]] bool idle() const { return processes_.empty(); }
  [[nodiscard]] std::size_t tasks_logged() const { return tasks_.size(); }
  // Called on Forget: the attempt's end must have been acknowledged.
  std::function<void(const TaskKey&)> on_forget;

 private:
  struct Known {                    // the launcher's memory, as its run log has it
    node::RecoveredTask task;
    std::uint64_t number{};         // start order
    bool kill_requested{};
    bool fenced{};
    std::int32_t kill_signal{};
    bool release_requested{};
    bool recovered{};               // of an earlier launcher, not ended yet
  };
  struct Processes {                // the kernel's memory
    std::uint64_t number{};         // tells one start of an attempt from another
    bool parked{};
    bool running{};
    bool orphaned{};                // its launcher died
    std::vector<std::uint32_t> cpus;
    std::uint32_t cpus_milli{};
    bool own_cpus{};
  };

  void tear_log();
  void take(const node::LauncherCommand& command);
  void start(const node::TaskStart& task);
  void spawned(const TaskKey& key, std::uint64_t number);
  void exec(const TaskKey& key);
  void exited(const TaskKey& key, std::uint64_t number, std::int32_t exit_code, std::int32_t signal, TaskState state);
  void end_recovered(const TaskKey& key);
  void end_at_fence();
  void kill(const TaskKey& key, std::int32_t signal, std::uint32_t grace_ms);
  void end(const TaskKey& key, TaskState state, TaskReason reason, std::int32_t exit_code, std::int32_t signal,
           std::string text);
  void tell(node::LauncherEvent event);
  void append(const std::string& record);
  void lose_agent();
  [[nodiscard]] std::int32_t exit_code_of(const TaskKey& key) const;

  World& world_;
  Truth& truth_;
  std::uint32_t index_;
  Resources capacity_;
  TaskNature nature_;
  std::string boot_id_;
  std::uint64_t boots_{};
  bool powered_{};
  bool launcher_up_{};
  std::uint64_t launcher_life_{};
  std::string log_;                        // the file's bytes
  std::vector<std::pair<Instant, std::size_t>> log_ends_;  // when it had how many bytes
  std::string log_replaced_;               // the file before it
  Instant power_off_at_;
  std::map<TaskKey, Known> tasks_;
  std::vector<node::AttemptKey> forgotten_;
  Instant fence_at_ = Instant::never();
  std::map<TaskKey, Processes> processes_;
  std::uint64_t next_number_{};
  std::optional<AgentEars> ears_;
  std::uint64_t connection_{};
  Instant last_to_agent_;
  Instant last_to_launcher_;
};

}  // namespace muster::sim

// The launcher: parent of all tasks of a node, outliving the agent. It alone knows how tasks end, so
// it is small and writes what it knows into the run log. One thread decides all; others only start processes.
//
//   Start ─► INTENT ─► set up ──┬─► parked ──Go──┐
//                      │        └────────────────┴─► STARTED ─► running ─► ending ─► ENDED ─► Forget
//                      └─ failure, Release, Kill of a parked task ─────────► ending
//
// `ending`: all ranks are gone; what they left is killed until nothing is left, and only then the end is said.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "node/exec/containment.hpp"
#include "node/exec/frame_stream.hpp"
#include "node/exec/launcher_codec.hpp"
#include "node/exec/launcher_messages.hpp"
#include "node/exec/process_scan.hpp"
#include "node/exec/rank_spawn.hpp"
#include "node/exec/run_log_file.hpp"
#include "node/exec/spawn_pool.hpp"
#include "node/exec/task_directory.hpp"
#include "node/exec/user_groups.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster::node {

// Owned by the main thread of the launcher process.
class Launcher {
 public:
  struct Options {
    std::string directory;                                    // of the socket, the run log and the lock
    bool plain{};                                             // use no control groups
    Duration idle_limit = Duration::from_seconds(60);         // without agent and tasks: exit
    Duration unkillable_after = Duration::from_seconds(10);   // of SIGKILL: say so
    Duration shutdown_grace = Duration::from_seconds(2);
    Duration fence_grace = Duration::from_seconds(2);         // well within the margin that follows the fence
  };

  // Takes the lock, recovers the run log, listens. conflict: another launcher runs in the directory.
  // malformed: the run log is damaged. io.
  [[nodiscard]] static Result<std::unique_ptr<Launcher>> create(const Options& options);
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
  ~Launcher();

  // Until Shutdown, SIGTERM or idle_limit.
  void run();

 private:
  enum class Stage : std::uint8_t { setting_up, parked, running, ending, ended };

  struct Rank {
    pid_t pid{};
    bool alive{};
    bool ready{};
    bool exec_failed{};
    std::uint64_t start_time_ticks{};
    RankEnd end;
  };

  struct Task {
    std::uint64_t token{};
    run_log::LoggedTask logged;  // what hello and the log say; its environments are dropped once they are used
    RecoveredTask& known = logged.known;
    Stage stage{Stage::setting_up};
    bool recovered{};     // of an earlier launcher: how its processes end can't be known
    TaskGroup group;
    int gate_fd{-1};
    std::vector<Rank> ranks;
    std::uint32_t ranks_alive{};
    std::uint32_t ranks_ready{};
    FileHandle report;    // what the task leaves there comes with its end
    std::optional<StartFailure> failure;
    bool failed_at_exec{};
    bool may_append{};    // its only rank may still append STARTED to the log
    bool go{};
    bool released{};
    bool kill_requested{};
    bool fenced{};        // killed because its fence passed
    bool rebind_again{};  // its ranks may have read their cpus before they changed
    bool out_of_memory{};
    int first_signal{};  // of the rank that was the first to die of one
    std::int64_t kill_at_ns{};     // 0 = no SIGKILL is due
    std::int64_t killing_since_ns{};
    std::int64_t due_ns{};
    std::int64_t check_interval_ns{};
    bool unkillable_said{};
    TaskUsage usage;
  };

  struct KeyHash {
    std::size_t operator()(const AttemptKey& key) const noexcept {
      return std::hash<AttemptId>{}(key.second) ^ mix64(key.first.value());
    }
  };

  explicit Launcher(const Options& options) : options_(options) {}

  // launcher_begin.cpp
  [[nodiscard]] Status take_lock();
  [[nodiscard]] Status recover();
  [[nodiscard]] Status open_descriptors();

  // launcher.cpp: loop, agent
  void watch(int fd, std::uint32_t events);
  void step();
  [[nodiscard]] int wait_ms() const;
  void accept_agent();
  void read_agent();
  void drop_agent();
  void send_agent();
  void say(LauncherEvent event);
  void commit();
  [[nodiscard]] bool compaction_is_due(std::size_t times) const;
  [[nodiscard]] bool holds_spawns();
  void compact();
  [[nodiscard]] std::vector<const RecoveredTask*> known_tasks() const;
  [[nodiscard]] std::vector<const run_log::LoggedTask*> logged_tasks() const;
  [[nodiscard]] Task* find(std::uint64_t token);
  [[nodiscard]] Task* find(FrameworkId framework, const AttemptId& attempt);
  [[nodiscard]] Task& add_task(TaskStart start);
  void on(const command::Forget& forget);
  void set_due(Task& task, std::int64_t at_ns);

  // launcher_start.cpp
  void on(command::Start& start);
  void on(const command::Go& go);
  void on(const command::Release& release);
  void spawn(Task& task);
  [[nodiscard]] Status check_task(const TaskStart& start) const;
  void start_rank(Task& task, std::uint32_t rank_index, std::unique_ptr<RankSetup> setup);
  void take_started();
  void add_process(Task& task, std::uint32_t rank_index, pid_t pid);
  void fail_rank(Task& task, std::uint32_t rank_index, int errno_value);
  [[nodiscard]] std::vector<std::uint32_t> allowed_of(const std::vector<std::uint32_t>& cpus) const;
  void read_reports();
  void on_report(const SpawnReport& report);
  void fail_start(Task& task, StartFailure failure);
  void close_gate(Task& task, char word);
  void allow_exec(Task& task);
  void appends_no_more(Task& task);

  // launcher_stepd.cpp
  [[nodiscard]] Result<FileHandle> open_stepd(Task& task);  // its input, if it has one
  void close_stepd(Task& task, event::Ended& ended);

  // launcher_end.cpp
  void on(const command::Kill& kill);
  void on(const command::Signal& signal);
  void on(const command::Fence& fence);
  void on(const command::Shutdown& shutdown);
  void end_at_fence();
  struct Exit {
    pid_t pid{};
    int status{};
    rusage usage{};
  };
  void reap();
  [[nodiscard]] bool on_exit(const Exit& exit);
  void on_rank_end(Task& task, Rank& rank, int status);
  void end_ranks(Task& task);
  void on_due(Task& task);
  void try_end(Task& task);
  void kill_tree(Task& task);
  void signal_tree(Task& task, int signal);
  [[nodiscard]] std::vector<ProcessInfo> find_leftovers(const Task& task, const std::vector<ProcessInfo>& all) const;
  [[nodiscard]] std::vector<ProcessInfo> find_leftovers(const Task& task) const;
  [[nodiscard]] bool has_leftovers(Task& task);
  void finish(Task& task);
  void begin_shutdown(bool kill_tasks);

  // launcher_rebind.cpp
  void on(const command::Rebind& rebind);
  void rebind_tasks();

  Options options_;
  SystemClock clock_;
  Now now_;
  std::string boot_id_;
  std::string launcher_id_;
  Containment containment_;
  std::vector<run_log::ContainmentRoot> roots_;  // ours and those of launchers before
  std::vector<std::uint32_t> allowed_cpus_;
  SpawnSettings spawn_settings_;
  RunLogFile log_;

  int epoll_fd_{-1};
  int signal_fd_{-1};
  int listen_fd_{-1};
  int report_read_fd_{-1};
  FrameStream agent_;
  CommandReader commands_;  // of this connection
  bool hello_due_{};
  bool agent_blocked_{};  // its socket is full: wait until it can be written

  std::uint64_t next_token_{1};
  std::map<std::uint64_t, std::unique_ptr<Task>> tasks_;  // by token: in start order
  std::unordered_map<AttemptKey, Task*, KeyHash> by_key_;
  std::unordered_map<pid_t, std::pair<Task*, std::size_t>> by_pid_;
  std::vector<Exit> early_exits_;  // of processes whose start was not known yet
  std::size_t unended_{};
  std::size_t setting_up_alone_{};  // children that may still append to the log
  std::set<std::pair<std::int64_t, std::uint64_t>> due_;
  UserGroups user_groups_;
  TaskDirectories directories_;
  std::deque<AttemptKey> forgotten_;  // at most kForgottenMax
  Instant fence_at_ = Instant::never();
  bool fence_done_{};

  // What waits for the run log's next write.
  std::vector<std::uint64_t> to_spawn_;
  std::vector<std::uint64_t> to_exec_;
  std::vector<std::uint64_t> to_rebind_;
  std::vector<LauncherEvent> to_say_;

  bool shutting_down_{};
  std::int64_t shutdown_since_ns_{};
  std::int64_t spawns_held_since_ns_{};
  bool done_{};
  std::int64_t idle_since_ns_{};
  SpawnPool pool_;  // goes first: its threads look at tasks
};

}  // namespace muster::node

// Containment: the control groups that hold a task's processes, limit them, and end them whole.
// For each controller cgroup v2, v1 or nothing is chosen at run time by trying it; without any
// (an ordinary user) it is "plain": affinity, sessions and /proc, and not_enforced() says what is missing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "node/exec/run_log.hpp"
#include "wire/base/result.hpp"
#include "wire/base/units.hpp"

namespace muster::node {

// The launcher's thread. The groups of one task. Move-only; the groups outlive the object until remove().
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(TaskGroup&& other) noexcept { *this = std::move(other); }
  TaskGroup& operator=(TaskGroup&& other) noexcept;
  ~TaskGroup() { close_joins(); }

  // A new process enters by clone3(CLONE_INTO_CGROUP) when clone_fd() >= 0, and by writing "0" into each of join_fds().
  [[nodiscard]] int clone_fd() const { return clone_fd_; }
  [[nodiscard]] const std::vector<int>& join_fds() const { return join_fds_; }
  void close_joins();

  // False: no group knows the task's processes; they must be looked for in /proc.
  [[nodiscard]] bool tracks_processes() const { return !kill_dir_.empty(); }
  [[nodiscard]] std::vector<pid_t> processes() const;
  // One try: SIGKILL to every process, forked meanwhile or not. They may need a moment to go.
  void kill_all() const;
  // True when no process is left and the groups are gone. False: something still runs in them.
  [[nodiscard]] bool remove();

  [[nodiscard]] Bytes memory_peak_bytes() const;  // 0 = not measured
  [[nodiscard]] std::uint64_t oom_kills() const;

 private:
  friend class Containment;
  [[nodiscard]] Status open_joins(bool clone_into);

  std::string kill_dir_;    // v2 group or v1 freezer
  bool kill_v2_{};
  std::string memory_dir_;  // v1 or v2 (then the same as kill_dir_)
  bool memory_v2_{};
  std::string cpuset_dir_;  // v1: shared by all tasks with the same cpus
  int clone_fd_{-1};
  std::vector<int> join_fds_;
};

// The launcher's thread.
class Containment {
 public:
  struct Options {
    std::string root;         // "" = the real system; tests put a fake /proc and /sys below it
    std::string launcher_id;  // groups are made under <own group>/muster-<launcher_id>
    bool plain{};             // use no control groups
  };
  struct Needs {
    Bytes memory_limit_bytes{};        // 0 = none
    std::vector<std::uint32_t> cpus;   // empty = all
  };

  // Never fails: the least it can be is plain.
  [[nodiscard]] static Containment detect(const Options& options);

  // "cgroup v2", "cgroup v1 (cpuset memory freezer)", "cgroup v1 (cpuset memory), v2 (kill)", "plain (…)".
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] std::vector<std::string> not_enforced() const;
  [[nodiscard]] bool tracks_processes() const { return !kill_root_.empty(); }
  [[nodiscard]] std::vector<run_log::ContainmentRoot> roots() const;

  // Makes the groups that are needed, and one that tracks the processes where there can be one.
  [[nodiscard]] Result<TaskGroup> create(const std::string& name, const Needs& needs) const;
  // The groups that a launcher before this one made for a task, if they still exist.
  [[nodiscard]] static TaskGroup adopt(const std::vector<run_log::ContainmentRoot>& roots, const std::string& name);
  // Removes the empty groups under the roots, and the roots. What is in use stays.
  static void remove_roots(const std::vector<run_log::ContainmentRoot>& roots);

 private:
  void detect_v1(const std::string& controller, const std::string& own, const std::string& launcher_id);
  void detect_v2(const std::string& mount, const std::string& own, const std::string& launcher_id, bool probe);

  std::string kill_root_;
  bool kill_v2_{};
  bool clone_into_{};
  std::string memory_root_;
  bool memory_v2_{};
  std::string cpuset_root_;
  bool cpuset_v2_{};
};

// Test of CLONE_INTO_CGROUP: forks a child that exits at once into the group. 0 or errno.
[[nodiscard]] int probe_clone_into(const std::string& group_dir);

}  // namespace muster::node

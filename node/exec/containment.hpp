// Containment: the control groups that hold tasks' processes, limit them, and end them whole.
// For each controller cgroup v2, v1 or nothing is chosen at run time by trying it; without any
// (an ordinary user) it is "plain": affinity, sessions and /proc, and not_enforced() says what is missing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/exec/run_log.hpp"
#include "node/exec/task_group.hpp"
#include "wire/base/result.hpp"
#include "wire/base/units.hpp"

namespace muster::node {

// The launcher's thread.
class Containment {
 public:
  struct Options {
    std::string root;         // "" = the real system; tests put a fake /proc and /sys below it
    std::string launcher_id;  // groups are made under <own group>/muster-<launcher_id>
    bool plain{};             // use no control groups
  };
  struct Needs {
    Bytes memory_limit_bytes{};       // 0 = none
    std::uint32_t processes_max{};    // and threads; 0 = no limit
    std::vector<std::uint32_t> cpus;  // empty = all
  };

  // Never fails: the least it can be is plain.
  [[nodiscard]] static Containment detect(const Options& options);

  // "cgroup v2 (…)", "cgroup v1 (cpuset memory pids freezer)", "cgroup v1 (cpuset memory), v2 (kill)", "plain (…)".
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] std::vector<std::string> not_enforced() const;
  [[nodiscard]] std::vector<run_log::ContainmentRoot> roots() const;

  // Groups for a task: one that tracks its processes where there can be one, and those that it needs.
  [[nodiscard]] Result<TaskGroup> take(const Needs& needs);
  // The task's cpus are others now: where cpusets are used, `processes` move to theirs.
  [[nodiscard]] Status rebind(const TaskGroup& group, const std::vector<std::uint32_t>& cpus,
                              const std::vector<pid_t>& processes);
  // Takes the groups back when no process is left in them; else false, and the task keeps them.
  [[nodiscard]] bool give_back(TaskGroup& group);

  // The tracking group (its directory, see TaskGroup::directory) in which a launcher before this one ran a
  // task. When it is under none of the roots, or its root can't be seen, the result tracks nothing.
  [[nodiscard]] static TaskGroup adopt(const std::vector<run_log::ContainmentRoot>& roots,
                                       const std::string& directory);
  // Removes the empty groups under the roots, and the roots. What is in use stays.
  static void remove_roots(const std::vector<run_log::ContainmentRoot>& roots);

 private:
  void detect_v1(const std::string& controller, const std::string& own);
  void detect_v2(const std::string& mount, const std::string& own);
  [[nodiscard]] Result<std::unique_ptr<TrackingGroup>> make_tracking();
  [[nodiscard]] Result<std::unique_ptr<MemoryGroup>> make_memory(const TrackingGroup* tracking);
  [[nodiscard]] Result<std::unique_ptr<PidsGroup>> make_pids();
  [[nodiscard]] Status limit_memory(TaskGroup& group, Bytes limit_bytes);
  [[nodiscard]] Status limit_processes(TaskGroup& group, std::uint32_t processes_max);
  [[nodiscard]] Result<int> cpuset_entry(const std::vector<std::uint32_t>& cpus);
  [[nodiscard]] Status make_v1(const std::string& root, std::string& dir, FileHandle& entry);
  [[nodiscard]] Result<std::string> make_numbered(const std::string& root);

  Options options_;
  std::string tracking_root_;
  bool tracking_v2_{};
  bool clone_into_{};
  std::string memory_root_;
  bool memory_v2_{};
  std::string pids_root_;
  bool pids_v2_{};
  std::string cpuset_root_;
  bool cpuset_v2_{};

  std::uint64_t next_number_{0};
  std::vector<std::unique_ptr<TrackingGroup>> free_tracking_;
  std::vector<std::unique_ptr<MemoryGroup>> free_memory_;
  std::vector<std::unique_ptr<PidsGroup>> free_pids_;
  std::map<std::string, FileHandle> cpusets_;  // v1: by cpu list, the file to enter by
};

}  // namespace muster::node

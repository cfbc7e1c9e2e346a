// The control groups of one task. Making and removing a group costs as much as starting a process, so
// the groups are used again: a task gets a tracking group (to kill it whole) and, with a limit, a memory
// group, both emptied by the task before; cpusets are shared by all tasks with the same cpus.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "node/exec/cgroup_files.hpp"
#include "wire/base/units.hpp"

namespace muster::node {

// v2 group or v1 freezer.
struct TrackingGroup {
  std::string dir;    // goes into the run log
  bool v2{};
  FileHandle events;  // v2: cgroup.events; v1: cgroup.procs
  FileHandle entry;   // v2: the directory for CLONE_INTO_CGROUP, else the file to write "0" into
  bool clone_into{};
  // Kernels compare a group's kill count with its parent's when a process is cloned into it, and kill the
  // newcomer: a group that was ever killed is not used again.
  bool killed{};
  std::uint32_t processes_max{};  // v2: what pids.max holds; 0 = nothing yet
};

struct MemoryGroup {
  std::string dir;
  bool v2{};
  Bytes limit_bytes{};
  FileHandle entry;  // v1 only: a v2 memory group is the tracking group itself
  FileHandle peak;
  FileHandle oom;
  FileHandle usage;
};

// v1: the number of processes and threads is limited.
struct PidsGroup {
  std::string dir;
  std::uint32_t processes_max{};
  FileHandle entry;
};

// The launcher's thread. Move-only. Containment makes it and takes it back.
class TaskGroup {
 public:
  // A new process enters by clone3(CLONE_INTO_CGROUP) when clone_fd() >= 0, and by writing "0" into each of join_fds().
  [[nodiscard]] int clone_fd() const;
  [[nodiscard]] const std::vector<int>& join_fds() const { return join_fds_; }

  // False: no group knows the task's processes; they must be looked for in /proc.
  [[nodiscard]] bool tracks_processes() const { return tracking_ != nullptr; }
  // Of the tracking group; "" when there is none.
  [[nodiscard]] std::string directory() const { return tracking_ ? tracking_->dir : std::string(); }
  [[nodiscard]] std::vector<pid_t> processes() const;
  [[nodiscard]] bool has_processes() const;
  // One try: SIGKILL to every process, forked meanwhile or not. They may need a moment to go.
  void kill_all();

  [[nodiscard]] Bytes memory_peak_bytes() const;  // 0 = not measured
  [[nodiscard]] std::uint64_t oom_kills() const;

 private:
  friend class Containment;
  std::unique_ptr<TrackingGroup> tracking_;
  std::unique_ptr<MemoryGroup> memory_;
  std::unique_ptr<PidsGroup> pids_;
  std::vector<int> join_fds_;  // owned by the groups
};

}  // namespace muster::node

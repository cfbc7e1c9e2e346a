// What the node agent and its launcher say to each other, as values.
// The agent's core produces commands and consumes events; launcher_codec turns both into bytes for
// the socket between the two processes; the simulator plays the launcher without bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "node/exec/shared_environment.hpp"
#include "wire/base/ids.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"
#include "wire/model/task_state.hpp"

namespace muster::node {

// Attempts are unique within their framework only.
using AttemptKey = std::pair<FrameworkId, AttemptId>;

// Attempts whose end is on record: so many, the last ones, are remembered so that none runs again.
inline constexpr std::size_t kForgottenMax = 65'536;
inline constexpr std::size_t kReportMax = 256 * 1024;

// One process of a task. Strings are final: nothing is left to expand.
struct RankStart {
  std::uint32_t rank{};                 // number within the job
  std::vector<std::string> environment; // "NAME=value", appended to TaskStart::environment (later wins)
  std::vector<std::uint32_t> cpus;      // OS cpu numbers to bind to; empty = no binding
  std::string stdout_path;              // absolute; opened O_APPEND|O_CREAT by the job's user; "" = /dev/null
  std::string stderr_path;              // "" = same file description as stdout
};

// Everything the launcher needs to run one attempt on this node.
struct TaskStart {
  FrameworkId framework;
  AttemptId attempt;
  JobId job;
  std::string name;                     // of the job, for people
  std::vector<std::string> argv;        // argv[0] is searched in the environment's PATH when it has no '/'
  SharedEnvironmentPtr shared_environment;  // null: nothing is shared
  std::vector<std::string> environment; // "NAME=value", appended to the shared one (later wins)
  std::string working_directory;
  std::string stdin_path;               // "" = /dev/null
  std::uint32_t uid{};
  std::uint32_t gid{};
  bool switch_user{};                   // false: run as the launcher's own user
  bool park{};                          // wait for Go before any rank execs
  bool requeueable{};                   // ends at the fence (command::Fence), with or without an agent
  Bytes memory_limit_bytes{};           // 0 = none
  std::uint32_t processes_max{};        // processes and threads of the task, all together; 0 = no limit
  std::uint32_t cpus_milli{};           // the task's share, for the cgroup
  std::vector<std::uint32_t> cpus;      // all cpus of the task, for the cgroup's cpuset; empty = all
  std::vector<RankStart> ranks;         // ≥ 1
  bool truncate_output{};               // first attempt truncates its output files, later ones append
  // Of a step daemon, which is the one rank of its task:
  std::string input;                    // its standard input holds this, instead of stdin_path; not in the run log
  bool has_report{};                    // its standard output is a memory file: what is in it becomes Ended::report
  std::string directory;                // made for the task (0700, its user's), gone at its end with all in it; "" = none
  // Carried through the run log unread, so that a restarted agent can restate the task:
  std::string agent_note;
};

namespace command {
struct Start { TaskStart task; };
struct Go { FrameworkId framework; AttemptId attempt; };       // release a parked task's ranks to exec
struct Release { FrameworkId framework; AttemptId attempt; };  // end a parked task: proven never executed
// SIGTERM (or `signal`) to every process of the task, SIGKILL to the whole tree `grace_ms` later.
struct Kill { FrameworkId framework; AttemptId attempt; int signal{15}; std::uint32_t grace_ms{}; };
struct Signal { FrameworkId framework; AttemptId attempt; int signal{}; };  // deliver, no more
// Its end was acknowledged: only that it is over is remembered. Also of attempts that the launcher never got.
struct Forget { FrameworkId framework; AttemptId attempt; };
// Every process of the task is bound to these OS cpus from now on: the pool that it shares has changed.
struct Rebind { FrameworkId framework; AttemptId attempt; std::vector<std::uint32_t> cpus; };
// Unless another Fence comes before `at` (of this machine's monotonic clock), the launcher ends all requeueable
// tasks then: whatever became of the agent, the framework may start them elsewhere soon after.
struct Fence { Instant at; };
struct Shutdown { bool kill_tasks{}; };                        // end all tasks if asked, then exit
}  // namespace command
using LauncherCommand = std::variant<command::Start, command::Go, command::Release, command::Kill, command::Signal,
                                     command::Forget, command::Rebind, command::Fence, command::Shutdown>;

struct RankProcess {
  std::uint32_t rank{};
  std::int32_t pid{};
  std::uint64_t start_time_ticks{};  // field 22 of /proc/PID/stat: tells a pid from its reuse
};

struct RankEnd {
  std::uint32_t rank{};
  std::int32_t exit_code{};  // 0..255, or 128 + signal
  std::int32_t signal{};     // 0 = exited by itself
};

struct TaskUsage {
  std::uint64_t cpu_time_us{};
  Bytes memory_peak_bytes{};  // 0 = not measured
};

namespace event {
struct Parked { FrameworkId framework; AttemptId attempt; };   // all ranks wait for Go
struct Started { FrameworkId framework; AttemptId attempt; WallTime started; std::vector<RankProcess> processes; };
// The one end of an attempt. `state` is finished, killed (after a Kill or at the fence), out_of_memory, start_failed,
// not_started (released) or lost. `exit_code`/`signal` are the worst rank's: a signal beats a code, else the largest code.
struct Ended {
  FrameworkId framework;
  AttemptId attempt;
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::int32_t signal{};
  std::string text;  // for start_failed: one sentence that names the thing
  WallTime started;  // 0 = never
  WallTime ended;
  std::vector<RankEnd> ranks;
  TaskUsage usage;
  std::string report;  // of a step daemon, at most kReportMax bytes
};
// A task could not be killed (uninterruptible): its resources must stay charged.
struct Unkillable { FrameworkId framework; AttemptId attempt; std::string text; };
}  // namespace event
using LauncherEvent = std::variant<event::Parked, event::Started, event::Ended, event::Unkillable>;

// What the run log says about one attempt, for an agent (or launcher) that comes up.
struct RecoveredTask {
  TaskStart task;               // as it was started (environment may be left out)
  enum class Phase : std::uint8_t { intent, parked, started, ended } phase{};
  std::vector<RankProcess> processes;
  WallTime started;
  event::Ended end;             // valid when phase is ended
};

// What the agent learns when it connects to its launcher: all unforgotten attempts, in start order.
struct LauncherHello {
  std::string boot_id;
  std::string containment;      // "cgroup v2", "cgroup v1 (cpuset memory pids freezer)", "plain (…)"
  std::vector<std::string> not_enforced;  // "memory limit", … said once
  std::vector<RecoveredTask> tasks;
  std::vector<AttemptKey> forgotten;      // oldest first, at most kForgottenMax
};

}  // namespace muster::node

// Processes as /proc shows them: who runs, and which of them belong to a task.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/exec/launcher_messages.hpp"

namespace muster::node {

struct ProcessInfo {
  pid_t pid{};
  pid_t parent{};
  pid_t session{};
  char state{};  // 'Z' and 'X' are dead
  std::uint64_t start_time_ticks{};
  [[nodiscard]] bool is_dead() const { return state == 'Z' || state == 'X' || state == 'x'; }
};

// The text of /proc/PID/stat. Pure.
[[nodiscard]] std::optional<ProcessInfo> parse_stat(std::string_view text);
[[nodiscard]] std::optional<ProcessInfo> read_process(pid_t pid);
[[nodiscard]] std::vector<ProcessInfo> scan_processes();

// What is known of a task whose processes are looked for without a cgroup.
struct TaskTraces {
  std::vector<RankProcess> ranks;
  std::string marker;          // "MUSTER_ATTEMPT_KEY=…", set in every rank's environment
  std::vector<pid_t> adopted;  // orphans attributed to the task
  pid_t launcher{};            // never a member, nor an ancestor that counts
};

// The living processes of the task: its ranks, all that descend from them, their sessions, and all
// whose environment carries the marker. A pid that was reused is told by its start time.
[[nodiscard]] std::vector<ProcessInfo> find_task_processes(const std::vector<ProcessInfo>& all,
                                                           const TaskTraces& traces);
[[nodiscard]] bool has_environment_entry(pid_t pid, std::string_view entry);

// Sends the signal if the process is still the one that was seen. False: it is gone.
bool signal_process(const ProcessInfo& process, int signal);

// Children of this process, dead ones included; nothing if the kernel does not tell.
[[nodiscard]] std::optional<std::vector<pid_t>> own_children();

}  // namespace muster::node

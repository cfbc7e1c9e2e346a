// From fork to exec: the process of one rank. The child does its whole set-up itself, so that a slow
// file system holds up only its own task, and reports each step's failure through one pipe.
//
//   fork ─► session, death signal, groups, affinity, limits, user, directory, stdio, command found
//     ├─ gated (several ranks, or parked): report ready ─► wait at the gate ─► 'G' exec │ else exit
//     └─ alone: append STARTED to the run log ─► report started ─► exec
//
// Until its exec a child holds the launcher's lock file open: who gets the lock knows that no child
// of a dead launcher can still append to the log or exec.
#pragma once

#include <signal.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "node/exec/containment.hpp"
#include "node/exec/launcher_messages.hpp"
#include "node/exec/start_failure.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

// What a child writes into the report pipe, whole. Both are the same program, so it travels as memory.
struct SpawnReport {
  std::uint64_t token{};  // of the task, as the launcher numbers them
  std::uint64_t start_time_ticks{};
  std::int64_t wall_ns{};
  std::int32_t pid{};
  std::uint32_t rank_index{};
  std::int32_t errno_value{};
  SpawnStep step{};
  std::uint8_t reserved[3]{};
};
static_assert(sizeof(SpawnReport) == 40);

// The same for all ranks; set once when the launcher starts.
struct SpawnSettings {
  pid_t launcher_pid{};
  int report_fd{-1};
  int lock_fd{-1};
  int null_fd{-1};          // /dev/null, for reading and writing
  rlimit open_files{};      // as the launcher found it
  std::string launcher_id;  // part of the environment marker
};

struct RankSpawn {
  const TaskStart& task;
  std::uint32_t rank_index{};
  std::uint64_t token{};
  const TaskGroup& group;
  const std::vector<gid_t>& supplementary_groups;
  int gate_fd{-1};  // read end; -1: the child is alone and appends STARTED to log_fd itself
  int log_fd{-1};
};

// The child's pid. io: the kernel refused.
[[nodiscard]] Result<pid_t> spawn_rank(const SpawnSettings& settings, const RankSpawn& spawn);

// "MUSTER_ATTEMPT_KEY=<launcher>:<framework>:<attempt>"
[[nodiscard]] std::string attempt_marker(const std::string& launcher_id, const TaskStart& task);

// The environment that a rank gets: one entry per name, later ones win, the marker last. Pure.
[[nodiscard]] std::vector<std::string> merge_environment(const std::vector<std::string>& task,
                                                         const std::vector<std::string>& rank, std::string marker);
// PATH in the environment, or the system's default. Pure.
[[nodiscard]] std::string search_path(const std::vector<std::string>& environment);

// All groups of the user. not_found: no such user on this machine.
[[nodiscard]] Result<std::vector<gid_t>> user_groups(std::uint32_t uid, std::uint32_t gid);

}  // namespace muster::node

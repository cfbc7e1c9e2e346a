// What the process of one rank needs between its clone and its exec, made ready before the clone: the child
// allocates nothing and takes no lock, so it may share the launcher's memory.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "node/exec/cgroup_files.hpp"
#include "node/exec/launcher_messages.hpp"
#include "node/exec/start_failure.hpp"
#include "node/exec/task_group.hpp"

namespace muster::node {

// The same for all ranks; set once when the launcher starts.
struct SpawnSettings {
  pid_t launcher_pid{};
  int report_fd{-1};
  int lock_fd{-1};
  int null_fd{-1};          // /dev/null, for reading and writing
  rlimit open_files{};      // as the launcher found it
  std::string launcher_id;  // part of the environment marker
};

// What a child has to say. Also what it writes into the report pipe, whole: both are the same program.
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

// Made by the launcher's thread; from push to take_done it belongs to a thread of the SpawnPool and its child.
struct RankSetup {
  const SpawnSettings* settings{};
  const TaskStart* task{};  // must outlive the child's set-up; its environments are not looked at
  int gate_fd{-1};          // read end; -1: the child is alone and appends STARTED to log_fd itself
  int log_fd{-1};
  FileHandle input;         // becomes descriptor 0, instead of the task's file
  int report_fd{-1};        // becomes descriptor 1; the task's own
  int clone_fd{-1};
  std::array<int, 4> join_fds{-1, -1, -1, -1};
  std::vector<unsigned long> cpu_mask;  // empty = no binding
  std::vector<gid_t> supplementary_groups;
  bool switch_user{};
  ProcessEnvironment environment;
  std::vector<char*> arguments;
  std::vector<std::string> commands;  // where argv[0] may be, in order
  std::string started_record;         // with room for what only the child knows

  SpawnReport report;                  // filled by the child
  bool reported{};                     // memory is shared: set when `report` says how it went
  std::atomic<pid_t> pid{0};           // set by the child first of all
  RankSetup* next{};                   // in the pool's lists
};

struct RankSpawn {
  const TaskStart& task;
  std::uint32_t rank_index{};
  std::uint64_t token{};
  const TaskGroup& group;
  const std::vector<gid_t>& supplementary_groups;
  int gate_fd{-1};
  int log_fd{-1};
  FileHandle input{};
  int report_fd{-1};
};

[[nodiscard]] std::unique_ptr<RankSetup> prepare_rank(const SpawnSettings& settings, RankSpawn spawn);

// "MUSTER_ATTEMPT_KEY=<launcher>:<framework>:<attempt>"
[[nodiscard]] std::string attempt_marker(const std::string& launcher_id, const TaskStart& task);

}  // namespace muster::node

// spawn_plan: from a launch (TaskSpec + LaunchEntry) and the cpus granted to what the launcher starts:
// environment, file names, bindings. Pure.
//
// The environment is the submitter's, without the variables that an outer job left in it (EnvironmentCache), then ours:
//   MUSTER_JOB_ID (an array element's is A_a) MUSTER_JOB_NAME MUSTER_SUBMIT_DIR MUSTER_TRY MUSTER_NTASKS
//   MUSTER_NODELIST (names, comma) MUSTER_NNODES MUSTER_NODE_NAME MUSTER_NODE_RANK MUSTER_LOCAL_NTASKS
//   MUSTER_CPUS_PER_TASK MUSTER_MEM_BYTES (of the node's share)
//   arrays: MUSTER_ARRAY_JOB_ID MUSTER_ARRAY_INDEX (= MUSTER_ARRAY_TASK_ID) _MIN _MAX _COUNT
//   executors: MUSTER_EXECUTOR_SOCKET MUSTER_EXECUTOR_TOKEN (32 hex digits) MUSTER_FRAMEWORK MUSTER_ATTEMPT (hi:lo)
//   each rank: MUSTER_RANK MUSTER_LOCAL_RANK MUSTER_CPUS ("0-3", as advertised)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "node/core/cpu_binding.hpp"
#include "node/exec/launcher_messages.hpp"
#include "node/topology/cpu_map.hpp"
#include "wire/model/resources.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

// The places that describe the node in a plan.
struct SpawnNode {
  std::string_view name;
  std::string_view endpoint;  // of the job conversation
  bool switch_user{};
  bool enforce_memory{};
  std::uint32_t processes_max{};
  const CpuBinding& binding;
  // Of step daemons.
  const Topology& topology;         // advertised
  std::string_view stepd_path;
  std::string_view jobs_directory;
  std::string_view step_listen;
};

struct SpawnLaunch {
  FrameworkId framework;
  const fb::TaskSpec& spec;
  const fb::LaunchEntry& entry;
  const Resources& shape;
  const CpuGrant& grant;
  bool park{};
  SharedEnvironmentPtr environment;  // of the submitter (EnvironmentCache)
  std::span<const std::uint8_t> spec_bytes;  // of `spec`
};

// What makes a launch impossible before anything is tried: one sentence, or "" when all is well.
[[nodiscard]] std::string launch_fault(const fb::TaskSpec& spec, const fb::LaunchEntry& entry);

// REQUIRES launch_fault() is empty. agent_note is left empty. What is no plain ranks gets a step daemon instead of them.
[[nodiscard]] TaskStart plan_spawn(const SpawnNode& node, const SpawnLaunch& launch);

// What plan_spawn and plan_stepd have in common: all but what runs.
[[nodiscard]] TaskStart plan_task(const SpawnNode& node, const SpawnLaunch& launch);
// The variables of the task, without those of a rank.
[[nodiscard]] std::vector<std::string> task_environment(const SpawnNode& node, const SpawnLaunch& launch);

// 32 hex digits.
[[nodiscard]] std::string format_token(std::uint64_t hi, std::uint64_t lo);

}  // namespace muster::node

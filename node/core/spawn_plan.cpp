#include "node/core/spawn_plan.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "node/core/file_pattern.hpp"
#include "node/core/stepd_plan.hpp"
#include "wire/base/units.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

constexpr std::uint32_t kRanksMax = 65'536;

// Collects NAME=value lines.
class Environment {
 public:
  void put(std::string_view name, std::string_view value) {
    std::string line;
    line.reserve(name.size() + 1 + value.size());
    line += name;
    line += '=';
    line += value;
    lines_.push_back(std::move(line));
  }
  void put(std::string_view name, std::uint64_t value) { put(name, std::string_view(std::to_string(value))); }
  [[nodiscard]] std::vector<std::string> take() { return std::move(lines_); }

 private:
  std::vector<std::string> lines_;
};

std::string job_id_text(const fb::TaskSpec& spec, const fb::LaunchEntry& entry) {
  std::string text = std::to_string(spec.job());
  return spec.is_array() ? text + "_" + std::to_string(entry.index()) : text;
}

bool has_zero_byte(const flatbuffers::String* s) { return text_of(s).find('\0') != std::string_view::npos; }

bool names_command(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* argv) {
  return argv != nullptr && argv->size() != 0 && !text_of(argv->Get(0)).empty();
}

// What is to run, by kind.
std::string command_fault(const fb::TaskSpec& spec) {
  switch (spec.kind()) {
    case fb::TaskKind::Ranks:
      return names_command(spec.argv()) ? "" : "the task names no command to run";
    case fb::TaskKind::Run:
      return spec.step() != nullptr && names_command(spec.step()->argv()) ? "" : "the task's step names no command to run";
    case fb::TaskKind::Batch:
      return spec.script() != nullptr && spec.script()->size() != 0 ? "" : "the task has no script to run";
    case fb::TaskKind::Allocation: return {};
  }
  return "tasks of kind " + std::to_string(static_cast<int>(spec.kind())) + " can't be started by this version";
}

}  // namespace

std::vector<std::string> task_environment(const SpawnNode& node, const SpawnLaunch& launch) {
  const fb::TaskSpec& spec = launch.spec;
  const fb::LaunchEntry& entry = launch.entry;
  Environment env;
  env.put("MUSTER_JOB_ID", job_id_text(spec, entry));
  env.put("MUSTER_JOB_NAME", text_of(spec.name()));
  env.put("MUSTER_SUBMIT_DIR", text_of(spec.working_directory()));
  env.put("MUSTER_TRY", std::max<std::uint64_t>(1, spec.try_number()));
  env.put("MUSTER_NTASKS", std::max<std::uint64_t>(spec.ntasks(), entry.ranks()));
  std::string nodes;
  std::uint64_t node_count = 0;
  if (spec.nodes() != nullptr) {
    for (const auto* name : *spec.nodes()) {
      nodes += (nodes.empty() ? "" : ",");
      nodes += text_of(name);
      ++node_count;
    }
  }
  env.put("MUSTER_NODELIST", nodes.empty() ? node.name : std::string_view(nodes));
  env.put("MUSTER_NNODES", std::max<std::uint64_t>(1, node_count));
  env.put("MUSTER_NODE_NAME", node.name);
  env.put("MUSTER_NODE_RANK", entry.member());
  env.put("MUSTER_LOCAL_NTASKS", entry.ranks());
  const std::uint32_t per_rank =
      spec.cpus_per_rank_milli() != 0 ? spec.cpus_per_rank_milli() : launch.shape.cpus_milli / entry.ranks();
  env.put("MUSTER_CPUS_PER_TASK", format_cpus(per_rank));
  env.put("MUSTER_MEM_BYTES", launch.shape.memory_bytes);
  if (spec.is_array()) {
    env.put("MUSTER_ARRAY_JOB_ID", spec.job());
    env.put("MUSTER_ARRAY_INDEX", entry.index());
    env.put("MUSTER_ARRAY_TASK_ID", entry.index());
    env.put("MUSTER_ARRAY_MIN", spec.array_min());
    env.put("MUSTER_ARRAY_MAX", spec.array_max());
    env.put("MUSTER_ARRAY_COUNT", spec.array_count());
  }
  if (spec.executor()) {
    env.put("MUSTER_EXECUTOR_SOCKET", node.endpoint);
    env.put("MUSTER_EXECUTOR_TOKEN", format_token(spec.token_hi(), spec.token_lo()));
    env.put("MUSTER_FRAMEWORK", launch.framework.value());
    env.put("MUSTER_ATTEMPT", to_string(from_fb(entry.attempt())));
  }
  return env.take();
}

std::string format_token(std::uint64_t hi, std::uint64_t lo) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%016llx%016llx", static_cast<unsigned long long>(hi),
                static_cast<unsigned long long>(lo));
  return text.data();
}

std::string launch_fault(const fb::TaskSpec& spec, const fb::LaunchEntry& entry) {
  if (std::string fault = command_fault(spec); !fault.empty()) {
    return fault;
  }
  if (entry.ranks() == 0) {
    return "a task without ranks can't be started by this version";
  }
  if (entry.ranks() > kRanksMax) {
    return "ranks: " + std::to_string(entry.ranks()) + " on one node, at most " + std::to_string(kRanksMax) +
           " can be started";
  }
  if (spec.argv() != nullptr) {
    for (const auto* word : *spec.argv()) {
      if (has_zero_byte(word)) {
        return "a command's word holds a zero byte";
      }
    }
  }
  if (has_zero_byte(spec.working_directory()) || has_zero_byte(spec.stdout_path()) ||
      has_zero_byte(spec.stderr_path()) || has_zero_byte(spec.stdin_path()) || has_zero_byte(spec.name())) {
    return "a path or name of the task holds a zero byte";
  }
  return {};
}

TaskStart plan_task(const SpawnNode& node, const SpawnLaunch& launch) {
  const fb::TaskSpec& spec = launch.spec;
  TaskStart start;
  start.framework = launch.framework;
  start.attempt = from_fb(launch.entry.attempt());
  start.job = JobId(spec.job());
  start.name = text_of(spec.name());
  start.working_directory = spec.working_directory() == nullptr ? "/" : text_of(spec.working_directory());
  start.uid = spec.uid();
  start.gid = spec.gid();
  start.switch_user = node.switch_user;
  start.park = launch.park;
  start.memory_limit_bytes = node.enforce_memory || spec.enforce_memory() ? launch.shape.memory_bytes : 0;
  start.processes_max = node.processes_max;
  start.requeueable = spec.requeueable();
  start.cpus_milli = launch.shape.cpus_milli;
  start.cpus = node.binding.os_cpus(launch.grant.cpus);
  start.truncate_output = !spec.append_output() && spec.try_number() <= 1;
  return start;
}

TaskStart plan_spawn(const SpawnNode& node, const SpawnLaunch& launch) {
  const fb::TaskSpec& spec = launch.spec;
  const fb::LaunchEntry& entry = launch.entry;
  if (spec.kind() != fb::TaskKind::Ranks) {
    return plan_stepd(node, launch);
  }
  TaskStart start = plan_task(node, launch);
  for (const auto* word : *spec.argv()) {
    start.argv.emplace_back(text_of(word));
  }
  start.shared_environment = launch.environment;
  start.environment = task_environment(node, launch);
  start.stdin_path = absolute_path(text_of(spec.stdin_path()), start.working_directory);

  PatternValues values = pattern_values(node.name, spec, entry);
  const std::string_view out_pattern =
      text_of(spec.stdout_path()).empty() ? default_output_pattern(spec.is_array()) : text_of(spec.stdout_path());
  const std::string_view err_pattern = text_of(spec.stderr_path());
  for (std::uint32_t local = 0; local < entry.ranks(); ++local) {
    values.rank = entry.first_rank() + local;
    RankStart rank;
    rank.rank = values.rank;
    const auto& cpus = local < launch.grant.ranks.size() ? launch.grant.ranks[local] : launch.grant.cpus;
    Environment env;
    env.put("MUSTER_RANK", rank.rank);
    env.put("MUSTER_LOCAL_RANK", local);
    env.put("MUSTER_CPUS", format_cpu_list(cpus));
    rank.environment = env.take();
    rank.cpus = node.binding.os_cpus(cpus);
    rank.stdout_path = absolute_path(expand_pattern(out_pattern, values), start.working_directory);
    if (!err_pattern.empty()) {
      rank.stderr_path = absolute_path(expand_pattern(err_pattern, values), start.working_directory);
      if (rank.stderr_path == rank.stdout_path) {
        rank.stderr_path.clear();  // one file, one description: appends do not tear
      }
    }
    start.ranks.push_back(std::move(rank));
  }
  return start;
}

}  // namespace muster::node

#include "node/step/step_environment.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "node/exec/task_variables.hpp"
#include "wire/model/cpu_list.hpp"
#include "wire/model/node_list.hpp"

namespace muster::node {
namespace {

constexpr std::uint64_t kMebi = 1024 * 1024;

class Lines {
 public:
  void put(std::string_view name, std::string_view value) {
    std::string line;
    line.reserve(name.size() + 1 + value.size());
    line += name;
    line += '=';
    line += value;
    lines_.push_back(std::move(line));
  }
  void put(std::string_view name, const std::string& value) { put(name, std::string_view(value)); }
  void put(std::string_view name, const char* value) { put(name, std::string_view(value)); }
  void put(std::string_view name, std::uint64_t value) { put(name, std::string_view(std::to_string(value))); }
  void put_if_any(std::string_view name, const std::string& value) {
    if (!value.empty()) {
      put(name, value);
    }
  }
  [[nodiscard]] EnvironmentLines take() { return std::move(lines_); }

 private:
  EnvironmentLines lines_;
};

std::string_view name_of(std::string_view line) { return line.substr(0, line.find('=')); }

std::vector<std::string> job_nodes(const fb::TaskSpecT& job, const fb::StepdPlanT& plan) {
  return job.nodes.empty() ? std::vector<std::string>{plan.node} : job.nodes;
}

std::vector<std::uint32_t> job_counts(const fb::TaskSpecT& job, const fb::StepdPlanT& plan) {
  if (!job.ranks_by_member.empty()) {
    return job.ranks_by_member;
  }
  return {std::max(plan.ranks, 1U)};
}

// Whole cpus of a rank: at least 1.
std::uint32_t cpus_of(std::uint32_t milli) { return std::max(1U, milli / 1000); }

// How many cpus the job has on each node; what other nodes have exclusively is not known here.
std::vector<std::uint32_t> cpus_per_node(const fb::TaskSpecT& job, const fb::StepdPlanT& plan) {
  const auto here = static_cast<std::uint32_t>(plan.cpus.size());
  std::vector<std::uint32_t> cpus;
  for (const std::uint32_t ranks : job_counts(job, plan)) {
    const std::uint64_t milli = std::uint64_t{ranks} * job.cpus_per_rank_milli;
    cpus.push_back(job.exclusive && here != 0 ? here : std::max<std::uint32_t>(1, static_cast<std::uint32_t>((milli + 999) / 1000)));
  }
  if (plan.member < cpus.size() && here != 0) {
    cpus[plan.member] = here;
  }
  return cpus;
}

void put_array(Lines& lines, const fb::TaskSpecT& job, const fb::StepdPlanT& plan) {
  lines.put("SLURM_ARRAY_JOB_ID", job.job);
  lines.put("SLURM_ARRAY_TASK_ID", plan.index);
  lines.put("SLURM_ARRAY_TASK_MIN", job.array_min);
  lines.put("SLURM_ARRAY_TASK_MAX", job.array_max);
  lines.put("SLURM_ARRAY_TASK_COUNT", job.array_count);
  const std::uint32_t width = job.array_max - job.array_min;
  const bool even = job.array_count > 1 && width % (job.array_count - 1) == 0;
  lines.put("SLURM_ARRAY_TASK_STEP", even ? width / (job.array_count - 1) : 1U);
}

std::string joined(const std::vector<std::uint32_t>& numbers) {
  std::string text;
  for (const std::uint32_t number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text;
}

bool mentions_any(const EnvironmentLines& lines, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return value_in(lines, name) != nullptr; });
}

// -c as written for the job or the step; 0 when nobody did.
std::uint32_t asked_cpus(const fb::TaskSpecT& job, const fb::StepSpecT* step) {
  if (step != nullptr && step->cpus_per_task > 1) {
    return step->cpus_per_task;
  }
  if (job.step && job.step->cpus_per_task != 0) {
    return step != nullptr && step->cpus_per_task != 0 ? step->cpus_per_task : job.step->cpus_per_task;
  }
  return job.cpus_per_rank_milli > 1000 ? cpus_of(job.cpus_per_rank_milli) : 0;
}

}  // namespace

const char* value_in(const EnvironmentLines& lines, std::string_view name) {
  const auto found = std::find_if(lines.rbegin(), lines.rend(), [&](const std::string& line) {
    return line.size() > name.size() && line[name.size()] == '=' && line.starts_with(name);
  });
  return found == lines.rend() ? nullptr : found->c_str() + name.size() + 1;
}

EnvironmentLines overlay(EnvironmentLines base, const EnvironmentLines& over) {
  EnvironmentLines lines;
  lines.reserve(base.size() + over.size());
  std::unordered_map<std::string, std::size_t> places;
  places.reserve(base.size() + over.size());
  const auto add = [&](std::string line) {
    const auto [place, fresh] = places.try_emplace(std::string(name_of(line)), lines.size());
    if (fresh) {
      lines.push_back(std::move(line));
    } else {
      lines[place->second] = std::move(line);
    }
  };
  std::for_each(base.begin(), base.end(), [&](std::string& line) { add(std::move(line)); });
  std::for_each(over.begin(), over.end(), add);
  return lines;
}

EnvironmentLines job_environment(const fb::TaskSpecT& job, const fb::StepdPlanT& plan) {
  Lines lines;
  const std::string id = std::to_string(job.job) + (job.is_array ? "_" + std::to_string(plan.index) : "");
  const std::vector<std::string> nodes = job_nodes(job, plan);
  const std::string node_list = format_node_list(nodes);
  const std::vector<std::uint32_t> counts = job_counts(job, plan);
  lines.put("SLURM_JOB_ID", id);
  lines.put("SLURM_JOBID", id);
  lines.put("SLURM_JOB_NAME", job.name);
  lines.put("SLURM_NTASKS", std::max(job.ntasks, 1U));
  lines.put("SLURM_NPROCS", std::max(job.ntasks, 1U));
  lines.put("SLURM_NNODES", nodes.size());
  lines.put("SLURM_JOB_NUM_NODES", nodes.size());
  lines.put("SLURM_NODELIST", node_list);
  lines.put("SLURM_JOB_NODELIST", node_list);
  lines.put("SLURM_TASKS_PER_NODE", format_counts(counts));
  if (job.ntasks_per_node != 0) {
    lines.put("SLURM_NTASKS_PER_NODE", job.ntasks_per_node);
  }
  if (const std::uint32_t cpus = asked_cpus(job, nullptr); cpus != 0) {
    lines.put("SLURM_CPUS_PER_TASK", cpus);
  }
  const std::vector<std::uint32_t> cpus = cpus_per_node(job, plan);
  lines.put("SLURM_CPUS_ON_NODE", plan.member < cpus.size() ? cpus[plan.member] : cpus.front());
  lines.put("SLURM_JOB_CPUS_PER_NODE", format_counts(cpus));
  if (job.memory_per_cpu_bytes != 0) {
    lines.put("SLURM_MEM_PER_CPU", job.memory_per_cpu_bytes / kMebi);
  } else if (job.memory_per_node_bytes != 0) {
    lines.put("SLURM_MEM_PER_NODE", job.memory_per_node_bytes / kMebi);
  }
  const char* const submit_dir = value_in(job.environment, "MUSTER_SUBMIT_DIR");
  lines.put("SLURM_SUBMIT_DIR", submit_dir != nullptr ? submit_dir : job.working_directory.c_str());
  lines.put("MUSTER_SUBMIT_DIR", submit_dir != nullptr ? submit_dir : job.working_directory.c_str());
  lines.put_if_any("SLURM_SUBMIT_HOST", job.submit_host);
  lines.put_if_any("SLURM_JOB_PARTITION", job.partition);
  lines.put_if_any("SLURM_JOB_ACCOUNT", job.account);
  lines.put_if_any("SLURM_JOB_QOS", job.qos);
  lines.put_if_any("SLURM_JOB_USER", job.user);
  lines.put("SLURM_JOB_UID", job.uid);
  lines.put("SLURM_JOB_GID", job.gid);
  lines.put("SLURM_CLUSTER_NAME", job.cluster.empty() ? "muster" : job.cluster.c_str());
  if (job.try_number > 1) {
    lines.put("SLURM_RESTART_COUNT", job.try_number - 1);
  }
  if (job.is_array) {
    put_array(lines, job, plan);
  }
  std::string gpus;
  for (const std::string& gpu : plan.gpus) {
    gpus += (gpus.empty() ? "" : ",") + gpu;
  }
  lines.put_if_any("SLURM_JOB_GPUS", gpus);
  lines.put("SLURMD_NODENAME", plan.node);
  // As Slurm has it in a batch script; ranks get their own.
  lines.put("SLURM_NODEID", plan.member);
  lines.put("SLURM_PROCID", "0");
  lines.put("SLURM_LOCALID", "0");
  return overlay(plan.environment, lines.take());
}

EnvironmentLines without_task_variables(EnvironmentLines lines) {
  std::erase_if(lines, [](const std::string& line) { return is_task_variable(name_of(line)); });
  return lines;
}

EnvironmentLines step_environment(const StepFacts& facts) {
  Lines lines;
  const std::vector<std::string> nodes = job_nodes(facts.job, facts.plan);
  std::vector<std::string> used;
  std::string comma_list;
  std::uint64_t place = 0;
  for (const StepLayout::Part& part : facts.layout.parts) {
    const std::string& name = part.member < nodes.size() ? nodes[part.member] : facts.plan.node;
    place = part.member == facts.plan.member ? used.size() : place;
    comma_list += (comma_list.empty() ? "" : ",") + name;
    used.push_back(name);
  }
  const std::string node_list = format_node_list(used);
  const std::string counts = format_counts(facts.layout.counts());
  const StepLayout::Part* const here = facts.layout.part_of(facts.plan.member);
  for (const char* name : {"SLURM_STEP_ID", "SLURM_STEPID", "MUSTER_STEP_ID"}) {
    lines.put(name, facts.number);
  }
  for (const char* name : {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS", "MUSTER_NTASKS"}) {
    lines.put(name, facts.layout.ntasks);
  }
  for (const char* name : {"SLURM_STEP_NUM_NODES", "SLURM_NNODES", "MUSTER_NNODES"}) {
    lines.put(name, used.size());
  }
  for (const char* name : {"SLURM_STEP_NODELIST", "SLURM_NODELIST"}) {
    lines.put(name, node_list);
  }
  for (const char* name : {"SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"}) {
    lines.put(name, counts);
  }
  for (const char* name : {"SLURM_NODEID", "MUSTER_NODE_RANK"}) {
    lines.put(name, place);
  }
  lines.put("MUSTER_NODELIST", comma_list);
  lines.put("MUSTER_LOCAL_NTASKS", here == nullptr ? 0 : here->ranks.size());
  lines.put("SLURM_DISTRIBUTION", facts.step.distribution.empty() ? "block" : facts.step.distribution.c_str());
  if (facts.step.ntasks_per_node != 0) {
    lines.put("SLURM_NTASKS_PER_NODE", facts.step.ntasks_per_node);
  }
  if (const std::uint32_t cpus = asked_cpus(facts.job, &facts.step); cpus != 0) {
    lines.put("SLURM_CPUS_PER_TASK", cpus);
    lines.put("MUSTER_CPUS_PER_TASK", cpus);
  }
  if (here != nullptr) {
    lines.put("SLURM_GTIDS", joined(here->ranks));
  }
  return lines.take();
}

EnvironmentLines rank_environment(const StepFacts& facts, std::uint32_t local, const RankBinding& binding,
                                  const EnvironmentLines& user) {
  Lines lines;
  const StepLayout::Part* const here = facts.layout.part_of(facts.plan.member);
  const std::uint32_t rank = here != nullptr && local < here->ranks.size() ? here->ranks[local] : 0;
  for (const char* name : {"SLURM_PROCID", "MUSTER_RANK"}) {
    lines.put(name, rank);
  }
  for (const char* name : {"SLURM_LOCALID", "MUSTER_LOCAL_RANK"}) {
    lines.put(name, local);
  }
  if (!binding.cpus.empty()) {
    lines.put("MUSTER_CPUS", format_cpu_list(binding.cpus));
  }
  const std::uint32_t cpus = asked_cpus(facts.job, &facts.step);
  if (cpus != 0) {
    if (!mentions_any(user, {"OMP_NUM_THREADS"})) {
      lines.put("OMP_NUM_THREADS", cpus);
    }
    const bool bound = facts.step.cpu_bind != "none" && !binding.cpus.empty();
    if (bound && !mentions_any(user, {"OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"})) {
      // A place for each thread: hardware threads when all of them are used, else cores.
      lines.put("OMP_PLACES", binding.cpus.size() <= cpus ? "threads" : "cores");
    }
  }
  return lines.take();
}

}  // namespace muster::node

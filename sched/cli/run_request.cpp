#include "sched/cli/run_request.hpp"

#include <array>
#include <cstdio>

namespace muster::cli {
Result<fb::StepSpecT> make_run_step(const JobOptions& options, const Surroundings& here) {
  struct JobOnly {
    bool given;
    const char* name;
  };
  const std::array<JobOnly, 5> job_only{{{options.array.has_value(), "--array"},
                                         {options.hold, "--hold"},
                                         {options.key.has_value(), "--key"},
                                         {options.requeue, "--requeue"},
                                         {options.tmp.has_value(), "--tmp"}}};
  for (const JobOnly& option : job_only) {
    if (option.given) {
      return fail(Errc::invalid_argument, std::string(option.name) + " is for jobs, and this is a step of job " +
                                              "that runs already; leave it out");
    }
  }
  auto request = make_job_request(options, here, fb::TaskKind::Run);
  if (!request) {
    return tl::unexpected(request.error());
  }
  fb::JobSpecT& job = request->spec;
  fb::StepSpecT step = job.step ? *job.step : fb::StepSpecT();
  step.name = job.name;
  step.argv = job.argv;
  step.environment = job.environment;
  step.working_directory = job.working_directory;
  const bool sized = options.ntasks || options.nodes || options.ntasks_per_node;
  step.ntasks = options.ntasks ? job.ntasks : 0;
  if (sized) {
    step.nodes_min = job.nodes_min;
    step.nodes_max = job.nodes_max;
    step.ntasks_per_node = job.ntasks_per_node;
  }
  if (options.nodes && !options.ntasks && !options.ntasks_per_node) {
    step.ntasks = job.ntasks;
  }
  step.cpus_per_task = options.cpus_per_task ? (job.cpus_per_task_milli + 999) / 1000 : 0;
  step.time_limit_ms = job.time_limit_ms;
  step.append_output = job.append_output;
  if (options.kill_grace) {
    step.kill_wait_ms = job.kill_grace_ms;
  }
  return step;
}

std::vector<std::string> allocation_environment(const fb::JobRowT& row, const StepPlace& place) {
  std::vector<std::string> lines;
  const auto put = [&](const std::string& name, const std::string& value) { lines.push_back(name + "=" + value); };
  std::string sockets;
  for (const std::string& endpoint : place.endpoints) {
    sockets += (sockets.empty() ? "" : " ") + endpoint;
  }
  std::array<char, 40> token{};
  std::snprintf(token.data(), token.size(), "%016llx%016llx", static_cast<unsigned long long>(place.token_hi),
                static_cast<unsigned long long>(place.token_lo));
  put("MUSTER_STEP_SOCKET", sockets);
  put("MUSTER_STEP_TOKEN", token.data());
  put("MUSTER_STEP_JOB", std::to_string(row.job));
  std::string nodes;
  std::size_t count = 0;
  for (const auto& element : row.elements) {
    for (const std::string& node : element->nodes) {
      nodes += (nodes.empty() ? "" : ",") + node;
      ++count;
    }
  }
  for (const char* prefix : {"MUSTER_", "SLURM_"}) {
    put(std::string(prefix) + "JOB_ID", std::to_string(row.job));
    put(std::string(prefix) + "NTASKS", std::to_string(row.ntasks));
    put(std::string(prefix) + "NNODES", std::to_string(count));
    put(std::string(prefix) + "NODELIST", nodes);
  }
  put("SLURM_JOBID", std::to_string(row.job));
  put("SLURM_JOB_NODELIST", nodes);
  put("SLURM_JOB_NUM_NODES", std::to_string(count));
  return lines;
}

}  // namespace muster::cli

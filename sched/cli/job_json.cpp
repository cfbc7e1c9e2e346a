#include <nlohmann/json.hpp>

#include "sched/cli/render_jobs.hpp"

namespace muster::cli {
namespace {

using nlohmann::ordered_json;

// Milliseconds since 1970: below 2^53, so every JSON reader keeps it whole. null = not yet.
ordered_json wall_ms(std::int64_t ns) { return ns <= 0 ? ordered_json(nullptr) : ordered_json(ns / 1'000'000); }

// Ended: a number; else null.
template <class Row>
void put_ending(ordered_json& json, const Row& row) {
  const bool ended = is_ended(row.state);
  json["exit_code"] = ended ? ordered_json(row.exit_code) : ordered_json(nullptr);
  json["signal"] = ended ? ordered_json(static_cast<int>(row.signal)) : ordered_json(nullptr);
}

ordered_json json_of(const fb::JobElementT& element, std::uint64_t job, bool is_array) {
  ordered_json json;
  json["id"] = is_array ? std::to_string(job) + "_" + std::to_string(element.index) : std::to_string(job);
  json["index"] = element.index;
  json["state"] = state_name(element.state);
  json["reason"] = element.reason;
  put_ending(json, element);
  json["try"] = element.try_number;
  json["started_ms"] = wall_ms(element.started_ns);
  json["ended_ms"] = wall_ms(element.ended_ns);
  json["nodes"] = element.nodes;
  json["cpus"] = element.cpus;
  json["memory_peak_bytes"] = element.memory_peak_bytes;
  json["cpu_time_us"] = element.cpu_time_us;
  return json;
}

ordered_json json_of(const fb::JobSpecT& spec) {
  ordered_json json;
  json["command"] = spec.argv;
  json["working_directory"] = spec.working_directory;
  json["nodes_min"] = spec.nodes_min;
  json["nodes_max"] = spec.nodes_max;
  json["ntasks_per_node"] = spec.ntasks_per_node;
  json["cpus_per_task_milli"] = spec.cpus_per_task_milli;
  json["memory_per_node_bytes"] = spec.memory_per_node_bytes;
  json["memory_per_cpu_bytes"] = spec.memory_per_cpu_bytes;
  json["gpus_per_task"] = spec.gpus_per_task;
  json["stdin"] = spec.stdin_path;
  json["stdout"] = spec.stdout_path;
  json["stderr"] = spec.stderr_path;
  json["requeue"] = spec.requeue;
  json["array"] = format_array(spec.array, spec.array_throttle);
  json["submit_host"] = spec.submit_host;
  json["comment"] = spec.comment;
  return json;
}

}  // namespace

nlohmann::ordered_json json_of(const fb::JobRowT& job) {
  ordered_json json;
  json["job_id"] = job.job;
  json["name"] = job.name;
  json["user"] = job.user;
  json["state"] = state_name(job.state);
  json["reason"] = job.reason;
  json["held"] = job.held;
  json["is_array"] = job.is_array;
  json["elements_total"] = job.elements_total;
  ordered_json counts = ordered_json::object();
  for (const auto& entry : job.counts) {
    counts[std::string(state_name(entry.state()))] = entry.count();
  }
  json["counts"] = counts;
  json["ntasks"] = job.ntasks;
  json["nodes"] = job.nodes_wanted;
  json["cpus_milli"] = job.cpus_milli;
  json["memory_bytes"] = job.memory_bytes;
  json["time_limit_ms"] = job.time_limit_ms;
  json["submitted_ms"] = wall_ms(job.submitted_ns);
  json["started_ms"] = wall_ms(job.started_ns);
  json["ended_ms"] = is_ended(job.state) ? wall_ms(job.ended_ns) : ordered_json(nullptr);
  put_ending(json, job);
  if (job.spec) {
    json["spec"] = json_of(*job.spec);
  }
  if (job.spec || !job.elements.empty()) {  // asked for with details
    ordered_json elements = ordered_json::array();
    for (const auto& element : job.elements) {
      elements.push_back(json_of(*element, job.job, job.is_array));
    }
    json["elements"] = elements;
  }
  return json;
}

}  // namespace muster::cli

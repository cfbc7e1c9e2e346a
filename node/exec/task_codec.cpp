#include "node/exec/task_codec.hpp"

namespace muster::node {
namespace {

bool is_known(TaskState state) { return to_string(state) != "unknown"; }
bool is_known(TaskReason reason) { return to_string(reason) != "unknown reason"; }

}  // namespace

void put_attempt(ByteWriter& out, FrameworkId framework, const AttemptId& attempt) {
  out.put(framework.value());
  out.put(attempt.hi);
  out.put(attempt.lo);
}

void get_attempt(ByteReader& in, FrameworkId& framework, AttemptId& attempt) {
  framework = FrameworkId(in.get<std::uint64_t>());
  attempt.hi = in.get<std::uint64_t>();
  attempt.lo = in.get<std::uint64_t>();
}

void put_attempts(ByteWriter& out, const std::vector<AttemptKey>& attempts) {
  out.put(static_cast<std::uint32_t>(attempts.size()));
  for (const auto& [framework, attempt] : attempts) {
    put_attempt(out, framework, attempt);
  }
}

std::vector<AttemptKey> get_attempts(ByteReader& in) {
  std::vector<AttemptKey> attempts(in.get_count(24));
  for (auto& [framework, attempt] : attempts) {
    get_attempt(in, framework, attempt);
  }
  return attempts;
}

void put_task(ByteWriter& out, const TaskStart& task, bool with_environment) {
  static const std::vector<std::string> kNone;
  put_attempt(out, task.framework, task.attempt);
  out.put(task.job.value());
  out.put_string(task.name);
  out.put_strings(task.argv);
  out.put_strings(with_environment ? task.environment : kNone);
  out.put_string(task.working_directory);
  out.put_string(task.stdin_path);
  out.put(task.uid);
  out.put(task.gid);
  out.put_bool(task.switch_user);
  out.put_bool(task.park);
  out.put_bool(task.requeueable);
  out.put(task.memory_limit_bytes);
  out.put(task.processes_max);
  out.put(task.cpus_milli);
  out.put_u32s(task.cpus);
  out.put_bool(task.truncate_output);
  out.put_string(task.agent_note);
  out.put_string(with_environment ? task.input : std::string());
  out.put_bool(task.has_report);
  out.put_string(task.directory);
  out.put(static_cast<std::uint32_t>(task.ranks.size()));
  for (const RankStart& rank : task.ranks) {
    out.put(rank.rank);
    out.put_strings(with_environment ? rank.environment : kNone);
    out.put_u32s(rank.cpus);
    out.put_string(rank.stdout_path);
    out.put_string(rank.stderr_path);
  }
}

TaskStart get_task(ByteReader& in, std::uint32_t version) {
  TaskStart task;
  get_attempt(in, task.framework, task.attempt);
  task.job = JobId(in.get<std::uint64_t>());
  task.name = in.get_string();
  task.argv = in.get_strings();
  task.environment = in.get_strings();
  task.working_directory = in.get_string();
  task.stdin_path = in.get_string();
  task.uid = in.get<std::uint32_t>();
  task.gid = in.get<std::uint32_t>();
  task.switch_user = in.get_bool();
  task.park = in.get_bool();
  task.requeueable = version > 1 && in.get_bool();
  task.memory_limit_bytes = in.get<std::uint64_t>();
  task.processes_max = version > 1 ? in.get<std::uint32_t>() : 0;
  task.cpus_milli = in.get<std::uint32_t>();
  task.cpus = in.get_u32s();
  task.truncate_output = in.get_bool();
  task.agent_note = in.get_string();
  if (version > 2) {
    task.input = in.get_string();
    task.has_report = in.get_bool();
    task.directory = in.get_string();
  }
  task.ranks.resize(in.get_count(20));
  for (RankStart& rank : task.ranks) {
    rank.rank = in.get<std::uint32_t>();
    rank.environment = in.get_strings();
    rank.cpus = in.get_u32s();
    rank.stdout_path = in.get_string();
    rank.stderr_path = in.get_string();
  }
  return task;
}

void put_processes(ByteWriter& out, const std::vector<RankProcess>& processes) {
  out.put(static_cast<std::uint32_t>(processes.size()));
  for (const RankProcess& process : processes) {
    out.put(process.rank);
    out.put_i32(process.pid);
    out.put(process.start_time_ticks);
  }
}

std::vector<RankProcess> get_processes(ByteReader& in) {
  std::vector<RankProcess> processes(in.get_count(16));
  for (RankProcess& process : processes) {
    process.rank = in.get<std::uint32_t>();
    process.pid = in.get_i32();
    process.start_time_ticks = in.get<std::uint64_t>();
  }
  return processes;
}

void put_ended(ByteWriter& out, const event::Ended& ended) {
  put_attempt(out, ended.framework, ended.attempt);
  out.put(static_cast<std::uint8_t>(ended.state));
  out.put(static_cast<std::uint8_t>(ended.reason));
  out.put_i32(ended.exit_code);
  out.put_i32(ended.signal);
  out.put_string(ended.text);
  out.put_i64(ended.started.ns());
  out.put_i64(ended.ended.ns());
  out.put(static_cast<std::uint32_t>(ended.ranks.size()));
  for (const RankEnd& rank : ended.ranks) {
    out.put(rank.rank);
    out.put_i32(rank.exit_code);
    out.put_i32(rank.signal);
  }
  out.put(ended.usage.cpu_time_us);
  out.put(ended.usage.memory_peak_bytes);
  out.put_string(ended.report);
}

event::Ended get_ended(ByteReader& in, std::uint32_t version) {
  event::Ended ended;
  get_attempt(in, ended.framework, ended.attempt);
  ended.state = static_cast<TaskState>(in.get<std::uint8_t>());
  ended.reason = static_cast<TaskReason>(in.get<std::uint8_t>());
  if (!is_known(ended.state) || !is_known(ended.reason)) {
    in.fail();
  }
  ended.exit_code = in.get_i32();
  ended.signal = in.get_i32();
  ended.text = in.get_string();
  ended.started = WallTime::from_ns(in.get_i64());
  ended.ended = WallTime::from_ns(in.get_i64());
  ended.ranks.resize(in.get_count(12));
  for (RankEnd& rank : ended.ranks) {
    rank.rank = in.get<std::uint32_t>();
    rank.exit_code = in.get_i32();
    rank.signal = in.get_i32();
  }
  ended.usage.cpu_time_us = in.get<std::uint64_t>();
  ended.usage.memory_peak_bytes = in.get<std::uint64_t>();
  if (version > 2) {
    ended.report = in.get_string();
  }
  return ended;
}

}  // namespace muster::node

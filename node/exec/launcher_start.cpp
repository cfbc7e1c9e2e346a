// Launcher: from Start to exec.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

#include "node/exec/launcher.hpp"
#include "node/exec/rank_spawn.hpp"
#include "wire/base/check.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

void drop_environment(TaskStart& task) {
  task.shared_environment.reset();
  std::string().swap(task.input);
  std::vector<std::string>().swap(task.environment);
  for (RankStart& rank : task.ranks) {
    std::vector<std::string>().swap(rank.environment);
  }
}

}  // namespace

void Launcher::on(command::Start& start) {
  if (Task* known = find(start.task.framework, start.task.attempt); known != nullptr) {
    // An attempt runs at most once: say again how far it is.
    const TaskStart& task = known->known.task;
    if (known->known.phase == RecoveredTask::Phase::ended) {
      say(known->known.end);
    } else if (known->known.phase == RecoveredTask::Phase::started) {
      say(event::Started{task.framework, task.attempt, known->known.started, known->known.processes});
    } else if (known->known.phase == RecoveredTask::Phase::parked) {
      say(event::Parked{task.framework, task.attempt});
    }
    return;
  }
  Task& task = add_task(std::move(start.task));
  fence_done_ = fence_done_ && !task.known.task.requeueable;
  log_.add(run_log::encode_intent(task.known.task));
  if (auto ok = check_task(task.known.task); !ok) {
    fail_start(task, {TaskReason::spawn_failed, 1, ok.error().text});
    return;
  }
  to_spawn_.push_back(task.token);
}

Status Launcher::check_task(const TaskStart& start) const {
  auto bad = [](std::string text) { return fail(Errc::invalid_argument, std::move(text)); };
  auto has_zero = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (shutting_down_) {
    return bad("the node is shutting down");
  }
  if (start.argv.empty() || start.argv.front().empty()) {
    return bad("the task has no command");
  }
  if (start.ranks.empty()) {
    return bad("the task has no ranks");
  }
  for (std::size_t i = 0; i < start.argv.size(); ++i) {
    if (has_zero(start.argv[i])) {
      return bad("argument " + std::to_string(i) + " of the command has a zero byte");
    }
  }
  if (start.ranks.size() != 1 && (!start.input.empty() || start.has_report)) {
    return bad("a task with an input or a report of its own must have one rank");
  }
  if (!start.directory.empty() && start.directory.front() != '/') {
    return bad("the task's directory " + start.directory + " is not absolute");
  }
  bool zero = has_zero(start.working_directory) || has_zero(start.stdin_path) || has_zero(start.directory);
  for (const RankStart& rank : start.ranks) {
    zero = zero || has_zero(rank.stdout_path) || has_zero(rank.stderr_path);
  }
  if (zero) {
    return bad("a file name of the task has a zero byte");
  }
  if (!start.cpus.empty() && allowed_of(start.cpus).empty()) {
    return bad("none of the task's cpus (" + format_cpu_list(start.cpus) + ") can be used on this node (" +
               format_cpu_list(allowed_cpus_) + ")");
  }
  return {};
}

std::vector<std::uint32_t> Launcher::allowed_of(const std::vector<std::uint32_t>& cpus) const {
  std::vector<std::uint32_t> allowed;
  std::copy_if(cpus.begin(), cpus.end(), std::back_inserter(allowed), [this](std::uint32_t cpu) {
    return std::binary_search(allowed_cpus_.begin(), allowed_cpus_.end(), cpu);
  });
  return allowed;
}

void Launcher::spawn(Task& task) {
  static const std::vector<gid_t> kNoGroups;
  const TaskStart& start = task.known.task;
  if (task.stage != Stage::setting_up) {
    return;  // ended before it came to this
  }
  const std::vector<gid_t>* supplementary = &kNoGroups;
  if (start.switch_user) {
    const auto& groups = user_groups_.of(start.uid, start.gid, now_.mono);
    if (!groups) {
      fail_start(task, {groups.error().code == Errc::not_found ? TaskReason::unknown_user : TaskReason::spawn_failed, 1,
                        groups.error().text});
      return;
    }
    supplementary = &*groups;
  }
  auto group = containment_.take({.memory_limit_bytes = start.memory_limit_bytes,
                                  .processes_max = start.processes_max,
                                  .cpus = allowed_of(start.cpus)});
  if (!group) {
    fail_start(task, {TaskReason::spawn_failed, 1, "control group can't be made: " + group.error().text});
    return;
  }
  task.group = std::move(*group);
  task.logged.group = task.group.directory();

  auto input = open_stepd(task);
  if (!input) {
    fail_start(task, {TaskReason::spawn_failed, 1, input.error().text});
    return;
  }
  const bool gated = start.park || start.ranks.size() > 1;
  std::array<int, 2> gate{-1, -1};
  if (gated && ::pipe2(gate.data(), O_CLOEXEC) != 0) {
    fail_start(task, {TaskReason::spawn_failed, 1, fail_errno(errno, "gate of the task").value().text});
    return;
  }
  task.gate_fd = gate[1];
  task.ranks.resize(start.ranks.size());
  for (std::uint32_t i = 0; i < start.ranks.size(); ++i) {
    Rank& rank = task.ranks[i];
    rank.end.rank = start.ranks[i].rank;
    start_rank(task, i, prepare_rank(spawn_settings_, {.task = start,
                                                       .rank_index = i,
                                                       .token = task.token,
                                                       .group = task.group,
                                                       .supplementary_groups = *supplementary,
                                                       .gate_fd = gate[0],
                                                       .log_fd = log_.fd(),
                                                       .input = std::move(*input),
                                                       .report_fd = task.report.fd()}));
    if (task.failure) {
      break;
    }
  }
  if (gated) {
    ::close(gate[0]);
  }
}

void Launcher::start_rank(Task& task, std::uint32_t rank_index, std::unique_ptr<RankSetup> setup) {
  Rank& rank = task.ranks[rank_index];
  rank.alive = true;
  ++task.ranks_alive;
  if (setup->gate_fd < 0) {
    task.may_append = true;
    ++setting_up_alone_;
  }
  if (can_share(*setup)) {
    pool_.push(std::move(setup));
  } else if (auto pid = fork_rank(*setup)) {
    add_process(task, rank_index, *pid);
  } else {
    fail_rank(task, rank_index, errno);
  }
}

void Launcher::add_process(Task& task, std::uint32_t rank_index, pid_t pid) {
  task.ranks[rank_index].pid = pid;
  by_pid_[pid] = {&task, rank_index};
}

// The kernel gave no process for it.
void Launcher::fail_rank(Task& task, std::uint32_t rank_index, int errno_value) {
  Rank& rank = task.ranks[rank_index];
  rank.alive = false;
  --task.ranks_alive;
  appends_no_more(task);
  fail_start(task, {TaskReason::spawn_failed, 1,
                    "rank " + std::to_string(rank.end.rank) + ": " +
                        fail_errno(errno_value, "process can't be created").value().text});
}

// What the pool's threads have started since the last time, and how.
void Launcher::take_started() {
  for (const auto& setup : pool_.take_done()) {
    const SpawnReport& report = setup->report;
    const auto it = tasks_.find(report.token);
    check(it != tasks_.end(), "a task lives as long as its ranks start");
    Task& task = *it->second;
    if (report.pid == 0) {
      fail_rank(task, report.rank_index, report.errno_value);
      continue;
    }
    add_process(task, report.rank_index, report.pid);
    if (setup->reported) {
      on_report(report);
    }
    const auto exit = std::find_if(early_exits_.begin(), early_exits_.end(),
                                   [&](const Exit& early) { return early.pid == report.pid; });
    if (exit != early_exits_.end()) {
      const Exit found = *exit;
      early_exits_.erase(exit);
      (void)on_exit(found);
    }
  }
  if (pool_.in_flight() == 0) {
    early_exits_.clear();  // orphans of tasks
  }
}

void Launcher::read_reports() {
  std::array<SpawnReport, 64> reports;  // filled by read
  while (true) {
    const ssize_t n = ::read(report_read_fd_, reports.data(), sizeof(reports));
    if (n <= 0) {
      return;
    }
    const std::size_t count = static_cast<std::size_t>(n) / sizeof(SpawnReport);
    for (std::size_t i = 0; i < count; ++i) {
      on_report(reports[i]);
    }
    if (count < reports.size()) {
      return;
    }
  }
}

void Launcher::on_report(const SpawnReport& report) {
  const auto it = tasks_.find(report.token);
  if (it == tasks_.end() || report.rank_index >= it->second->ranks.size()) {
    return;
  }
  Task& task = *it->second;
  Rank& rank = task.ranks[report.rank_index];
  const TaskStart& start = task.known.task;
  rank.start_time_ticks = report.start_time_ticks;
  if (task.rebind_again && (report.step == SpawnStep::ready || report.step == SpawnStep::started)) {
    to_rebind_.push_back(task.token);
  }
  switch (report.step) {
    case SpawnStep::ready: {
      rank.ready = true;
      ++task.ranks_ready;
      if (task.stage != Stage::setting_up || task.failure || task.released || task.ranks_ready < task.ranks.size()) {
        return;
      }
      if (start.park && !task.go) {
        task.stage = Stage::parked;
        task.known.phase = RecoveredTask::Phase::parked;
        drop_environment(task.known.task);
        say(event::Parked{start.framework, start.attempt});
      } else {
        allow_exec(task);
      }
      return;
    }
    case SpawnStep::started: {
      log_.count_foreign_record();
      appends_no_more(task);
      task.stage = Stage::running;
      task.known.phase = RecoveredTask::Phase::started;
      task.known.started = WallTime::from_ns(report.wall_ns);
      task.known.processes = {{rank.end.rank, report.pid, report.start_time_ticks}};
      drop_environment(task.known.task);
      say(event::Started{start.framework, start.attempt, task.known.started, task.known.processes});
      return;
    }
    default: break;
  }
  StartFailure failure =
      describe_start_failure(start, start.ranks[report.rank_index], report.step, report.errno_value,
                             ProcessEnvironment(start.shared_environment, start.environment,
                                                start.ranks[report.rank_index].environment, {})
                                 .search_path());
  if (report.step == SpawnStep::exec) {
    // The gate was open: ranks beside it may have begun. How the task ends is said in finish().
    rank.exec_failed = true;
    if (!task.failure) {
      task.failure = std::move(failure);
      task.failed_at_exec = true;
      if (task.ranks.size() > 1 && task.kill_at_ns == 0) {
        task.kill_at_ns = now_.mono.ns() + 100'000'000;
        set_due(task, task.kill_at_ns);
      }
    }
    return;
  }
  appends_no_more(task);
  fail_start(task, std::move(failure));
}

void Launcher::appends_no_more(Task& task) {
  if (task.may_append) {
    task.may_append = false;
    --setting_up_alone_;
  }
}

// A failure before any rank executed anything ends the whole task.
void Launcher::fail_start(Task& task, StartFailure failure) {
  if (!task.failure) {
    task.failure = std::move(failure);
  }
  drop_environment(task.known.task);
  end_ranks(task);
}

void Launcher::close_gate(Task& task, char word) {
  if (task.gate_fd < 0) {
    return;
  }
  const std::string words(task.ranks.size(), word);
  [[maybe_unused]] const ssize_t n = ::write(task.gate_fd, words.data(), words.size());
  ::close(task.gate_fd);
  task.gate_fd = -1;
}

// STARTED goes into the log; commit() opens the gate once it is there.
void Launcher::allow_exec(Task& task) {
  const TaskStart& start = task.known.task;
  task.stage = Stage::running;
  task.known.phase = RecoveredTask::Phase::started;
  task.known.started = now_.wall;
  task.known.processes.clear();
  for (const Rank& rank : task.ranks) {
    task.known.processes.push_back({rank.end.rank, rank.pid, rank.start_time_ticks});
  }
  drop_environment(task.known.task);
  log_.add(run_log::encode_started(start.framework, start.attempt, task.known.started, task.known.processes,
                                   task.logged.group));
  to_exec_.push_back(task.token);
  say(event::Started{start.framework, start.attempt, task.known.started, task.known.processes});
}

void Launcher::on(const command::Go& go) {
  Task* task = find(go.framework, go.attempt);
  if (task == nullptr || task->released || task->failure) {
    return;
  }
  if (task->stage == Stage::parked) {
    allow_exec(*task);
  } else if (task->stage == Stage::setting_up) {
    task->go = true;
  }
}

void Launcher::on(const command::Release& release) {
  Task* task = find(release.framework, release.attempt);
  if (task == nullptr || !task->known.task.park || (task->stage != Stage::parked && task->stage != Stage::setting_up)) {
    return;
  }
  task->released = true;
  end_ranks(*task);
}

}  // namespace muster::node

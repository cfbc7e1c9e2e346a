// Launcher: kills, child exits, leftovers, and the one end of an attempt.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "node/exec/launcher.hpp"

namespace muster::node {
namespace {

constexpr std::int64_t kCheckNsMin = 1'000'000;
constexpr std::int64_t kCheckNsMax = 200'000'000;

std::uint64_t cpu_time_us(const rusage& usage) {
  auto us = [](const timeval& t) { return t.tv_sec * 1'000'000 + t.tv_usec; };
  return static_cast<std::uint64_t>(us(usage.ru_utime) + us(usage.ru_stime));
}

}  // namespace

void Launcher::on(const command::Kill& kill) {
  Task* task = find(kill.framework, kill.attempt);
  if (task == nullptr || task->stage == Stage::ended) {
    return;
  }
  if (task->stage == Stage::parked || (task->stage == Stage::setting_up && task->gate_fd >= 0)) {
    task->released = true;
    task->kill_requested = true;
    end_ranks(*task);
    return;
  }
  if (task->stage == Stage::setting_up && task->ranks.empty()) {
    task->released = true;  // not spawned yet
    task->kill_requested = true;
    end_ranks(*task);
    return;
  }
  if (task->stage != Stage::ending) {
    task->kill_requested = true;
  }
  const std::int64_t kill_at = now_.mono.ns() + std::int64_t{kill.grace_ms} * 1'000'000;
  if (task->kill_at_ns == 0 || kill_at < task->kill_at_ns) {
    task->kill_at_ns = kill_at;
  }
  if (kill.grace_ms > 0) {
    signal_tree(*task, kill.signal);
  }
  set_due(*task, std::min(task->kill_at_ns, task->due_ns == 0 ? task->kill_at_ns : task->due_ns));
}

void Launcher::on(const command::Signal& signal) {
  Task* task = find(signal.framework, signal.attempt);
  if (task != nullptr && (task->stage == Stage::running || task->stage == Stage::ending)) {
    signal_tree(*task, signal.signal);
  }
}

void Launcher::on(const command::Fence& fence) {
  fence_at_ = fence.at;
  fence_done_ = false;
}

// The agent is dead or stuck, or has no master either: what may be started elsewhere must end here.
void Launcher::end_at_fence() {
  fence_done_ = true;
  for (const auto& [token, task] : tasks_) {
    if (task->known.task.requeueable && task->stage != Stage::ended && !task->recovered) {
      task->fenced = task->fenced || !task->kill_requested;
      on(command::Kill{task->known.task.framework, task->known.task.attempt, SIGTERM,
                       static_cast<std::uint32_t>(options_.fence_grace.ms())});
    }
  }
}

void Launcher::on(const command::Shutdown& shutdown) { begin_shutdown(shutdown.kill_tasks); }

void Launcher::begin_shutdown(bool kill_tasks) {
  shutting_down_ = true;
  shutdown_since_ns_ = now_.mono.ns();
  if (!kill_tasks) {
    return;
  }
  for (const auto& [token, task] : tasks_) {
    on(command::Kill{task->known.task.framework, task->known.task.attempt, SIGTERM,
                     static_cast<std::uint32_t>(options_.shutdown_grace.ms())});
  }
}

void Launcher::reap() {
  std::vector<Exit> exits;
  Exit one{};
  while ((one.pid = ::wait4(-1, &one.status, WNOHANG, &one.usage)) > 0) {
    exits.push_back(one);
  }
  read_reports();  // whatever they reported, they did before they ended
  take_started();
  now_ = clock_.now();
  for (const Exit& exit : exits) {
    if (!on_exit(exit) && pool_.in_flight() > 0) {
      early_exits_.push_back(exit);  // an orphan of some task, or a rank that was faster than the thread that started it
    }
  }
}

bool Launcher::on_exit(const Exit& exit) {
  const auto it = by_pid_.find(exit.pid);
  if (it == by_pid_.end()) {
    return false;
  }
  auto [task, index] = it->second;
  by_pid_.erase(it);
  task->usage.cpu_time_us += cpu_time_us(exit.usage);
  task->usage.memory_peak_bytes += static_cast<Bytes>(exit.usage.ru_maxrss) * 1024;
  on_rank_end(*task, task->ranks[index], exit.status);
  return true;
}

void Launcher::on_rank_end(Task& task, Rank& rank, int status) {
  rank.alive = false;
  --task.ranks_alive;
  appends_no_more(task);
  if (WIFSIGNALED(status)) {
    rank.end.signal = WTERMSIG(status);
    rank.end.exit_code = 128 + rank.end.signal;
    if (task.first_signal == 0) {
      task.first_signal = rank.end.signal;
    }
  } else {
    rank.end.exit_code = WEXITSTATUS(status);
  }
  if (task.stage == Stage::setting_up || task.stage == Stage::parked) {
    if (!task.failure && !task.released && !task.kill_requested) {
      task.failure = StartFailure{TaskReason::spawn_failed, 1,
                                  "rank " + std::to_string(rank.end.rank) + " ended before its start" +
                                      (rank.end.signal != 0 ? " by signal " + std::to_string(rank.end.signal) : "")};
    }
    if (task.stage == Stage::setting_up && !task.known.task.park && task.ranks.size() == 1 && !task.failure) {
      task.released = true;  // killed before it wrote STARTED
    }
  }
  if (rank.end.signal == SIGKILL && task.group.oom_kills() > 0) {
    task.out_of_memory = true;
    if (task.ranks_alive > 0 && task.kill_at_ns == 0) {
      task.kill_at_ns = now_.mono.ns();
      set_due(task, task.kill_at_ns);
    }
  }
  if (task.ranks_alive == 0 || task.stage == Stage::setting_up || task.stage == Stage::parked) {
    end_ranks(task);
  }
}

// Ends ranks that never executed; with none left, goes on to the task's end.
void Launcher::end_ranks(Task& task) {
  close_gate(task, 'X');
  if (task.ranks_alive > 0) {
    for (const Rank& rank : task.ranks) {
      if (rank.alive && rank.pid > 0) {
        ::kill(rank.pid, SIGKILL);  // our child, not reaped yet
      }
    }
    return;
  }
  if (task.stage == Stage::ending || task.stage == Stage::ended) {
    return;
  }
  task.stage = Stage::ending;
  if (!task.out_of_memory && task.group.oom_kills() > 0) {
    task.out_of_memory = true;
  }
  if (const Bytes peak = task.group.memory_peak_bytes(); peak > 0) {
    task.usage.memory_peak_bytes = peak;
  }
  try_end(task);
}

void Launcher::on_due(Task& task) {
  if (task.stage == Stage::ended) {
    return;
  }
  if (task.stage == Stage::ending) {
    try_end(task);
    return;
  }
  if (task.kill_at_ns == 0) {
    return;
  }
  if (now_.mono.ns() < task.kill_at_ns) {
    set_due(task, task.kill_at_ns);
    return;
  }
  kill_tree(task);
}

// In stage ending: finishes when nothing is left of the task, else kills and comes back.
void Launcher::try_end(Task& task) {
  if (!has_leftovers(task)) {
    finish(task);
    return;
  }
  if (now_.mono.ns() < task.kill_at_ns) {
    // Within the grace of a Kill what the ranks left may end by itself.
    task.check_interval_ns = std::clamp(task.check_interval_ns * 2, kCheckNsMin, std::int64_t{20'000'000});
    set_due(task, std::min(task.kill_at_ns, now_.mono.ns() + task.check_interval_ns));
    return;
  }
  kill_tree(task);
}

void Launcher::kill_tree(Task& task) {
  const std::int64_t now_ns = now_.mono.ns();
  if (task.killing_since_ns == 0) {
    task.killing_since_ns = now_ns;
    task.check_interval_ns = 0;
  }
  if (task.group.tracks_processes()) {
    task.group.kill_all();
  } else {
    // What is forked between the look and the kill is found by the next look.
    for (int pass = 0; pass < 3; ++pass) {
      const std::vector<ProcessInfo> left = find_leftovers(task);
      if (left.empty()) {
        break;
      }
      for (const ProcessInfo& process : left) {
        signal_process(process, SIGKILL);
      }
    }
  }
  if (!task.unkillable_said && now_ns - task.killing_since_ns >= options_.unkillable_after.ns()) {
    task.unkillable_said = true;
    std::string text = "processes can't be killed:";
    std::vector<pid_t> pids = task.group.processes();
    if (!task.group.tracks_processes()) {
      for (const ProcessInfo& process : find_leftovers(task)) {
        pids.push_back(process.pid);
      }
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(pids.size(), 8); ++i) {
      text += " " + std::to_string(pids[i]);
    }
    say(event::Unkillable{task.known.task.framework, task.known.task.attempt, text});
  }
  task.check_interval_ns = std::clamp(task.check_interval_ns * 2, kCheckNsMin, kCheckNsMax);
  set_due(task, now_ns + task.check_interval_ns);
}

void Launcher::signal_tree(Task& task, int signal) {
  if (signal <= 0 || signal >= NSIG) {
    return;
  }
  if (task.group.tracks_processes()) {
    for (pid_t pid : task.group.processes()) {
      ::kill(pid, signal);
    }
    return;
  }
  for (const ProcessInfo& process : find_leftovers(task)) {
    signal_process(process, signal);
  }
}

std::vector<ProcessInfo> Launcher::find_leftovers(const Task& task) const {
  return find_leftovers(task, scan_processes());
}

std::vector<ProcessInfo> Launcher::find_leftovers(const Task& task, const std::vector<ProcessInfo>& all) const {
  TaskTraces traces;
  traces.launcher = ::getpid();
  traces.marker = attempt_marker(launcher_id_, task.known.task);
  traces.ranks = task.known.processes;
  if (traces.ranks.empty()) {
    for (const Rank& rank : task.ranks) {
      if (rank.pid > 0) {
        traces.ranks.push_back({rank.end.rank, rank.pid, rank.start_time_ticks});
      }
    }
  }
  // Orphans become our children. One that left its session and its environment is this task's if it
  // can be no other's; what can be another's waits for the end of that one.
  if (!task.recovered) {
    for (const ProcessInfo& info : all) {
      if (info.parent != traces.launcher || info.is_dead() || by_pid_.contains(info.pid) || pool_.is_child(info.pid)) {
        continue;
      }
      const bool may_be_other =
          std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& entry) {
            const Task& other = *entry.second;
            return &other != &task && !other.recovered && other.stage != Stage::ended && !other.ranks.empty() &&
                   other.ranks.front().start_time_ticks <= info.start_time_ticks;
          });
      if (!may_be_other) {
        traces.adopted.push_back(info.pid);
      }
    }
  }
  return find_task_processes(all, traces);
}

// Gives the task's groups back when nothing is left in them: that is the proof.
bool Launcher::has_leftovers(Task& task) {
  if (task.group.tracks_processes()) {
    return !containment_.give_back(task.group);
  }
  if (!task.recovered) {
    // Whatever the ranks left was handed to us: no child but living ranks means nothing is left.
    if (const auto children = own_children();
        children &&
        std::all_of(children->begin(), children->end(), [this](pid_t pid) { return by_pid_.contains(pid) || pool_.is_child(pid); })) {
      return !containment_.give_back(task.group);
    }
  }
  return !find_leftovers(task).empty() || !containment_.give_back(task.group);
}

void Launcher::finish(Task& task) {
  event::Ended ended;
  ended.framework = task.known.task.framework;
  ended.attempt = task.known.task.attempt;
  ended.started = task.known.started;
  ended.ended = now_.wall;
  ended.usage = task.usage;
  const bool started = task.known.phase == RecoveredTask::Phase::started;
  if (task.recovered) {
    ended.state = started ? TaskState::lost : TaskState::not_started;
    ended.reason = TaskReason::launcher_died;
    ended.text = "the node's launcher was killed";
  } else {
    for (const Rank& rank : task.ranks) {
      ended.ranks.push_back(rank.end);
      ended.exit_code = std::max(ended.exit_code, rank.end.exit_code);
    }
    if (task.first_signal != 0) {
      ended.signal = task.first_signal;
      ended.exit_code = 128 + task.first_signal;
    }
    const bool none_executed =
        std::all_of(task.ranks.begin(), task.ranks.end(), [](const Rank& rank) { return rank.exec_failed; });
    if (task.failure && (!task.failed_at_exec || none_executed)) {
      ended.state = TaskState::start_failed;
      ended.reason = task.failure->reason;
      ended.text = task.failure->text;
      ended.exit_code = task.failure->exit_code;
      ended.signal = 0;
      ended.ranks.clear();
    } else if (!started && task.released) {
      ended.state = TaskState::not_started;
      ended.reason = task.fenced           ? TaskReason::fenced
                     : task.kill_requested ? TaskReason::kill_requested
                                           : TaskReason::released;
      ended.exit_code = 0;
      ended.signal = 0;
      ended.ranks.clear();
    } else if (task.out_of_memory) {
      ended.state = TaskState::out_of_memory;
      ended.reason = TaskReason::memory_limit;
      ended.text = "a process was killed because the task reached its memory limit of " +
                   format_bytes(task.known.task.memory_limit_bytes);
    } else if (task.kill_requested) {
      ended.state = TaskState::killed;
      ended.reason = task.fenced ? TaskReason::fenced : TaskReason::kill_requested;
    } else if (task.failure) {
      // Some ranks executed, others could not.
      ended.state = TaskState::finished;
      ended.text = task.failure->text;
      ended.exit_code = task.failure->exit_code;
      ended.signal = 0;
    } else {
      ended.state = TaskState::finished;
    }
  }
  close_stepd(task, ended);
  task.stage = Stage::ended;
  task.known.phase = RecoveredTask::Phase::ended;
  task.known.end = ended;
  if (task.due_ns != 0) {
    due_.erase({task.due_ns, task.token});
    task.due_ns = 0;
  }
  task.ranks = {};
  --unended_;
  log_.add(run_log::encode_ended(ended));
  say(std::move(ended));
}

}  // namespace muster::node

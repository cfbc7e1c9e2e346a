// NodeCore and its launcher: what it reports, and what it knows after either of them was gone.
#include <algorithm>

#include "node/core/impl.hpp"

namespace muster::node {
namespace {

// Far enough, and no overflow.
Duration time_limit(const AgentNote& facts) {
  constexpr std::uint64_t kYearsMs = std::uint64_t{100} * 365 * 86'400'000;
  return Duration::from_ms(static_cast<std::int64_t>(std::min(facts.time_limit_ms, kYearsMs)));
}

}  // namespace

void NodeCore::Impl::command(LauncherCommand what) {
  if (launcher_up) {
    to_launcher.push_back(std::move(what));
  }
}

void NodeCore::Impl::take_hello(const LauncherHello& hello, Now now) {
  const bool first = !launcher_seen;
  launcher_up = true;
  launcher_seen = true;
  boot = hello.boot_id.empty() ? config.boot_id : hello.boot_id;
  to_launcher.clear();
  fence_done = false;
  fence_told = Instant::never();
  for (const auto& [framework, attempt] : hello.forgotten) {
    remember_forgotten({framework, attempt});
  }
  // Queued tasks were never the launcher's; what is named now may end and let them start.
  std::set<CpuKey> named;
  for (const auto& [key, task] : book.tasks()) {
    if (task.state == TaskState::queued) {
      named.insert(key);
    }
  }
  // Ends first: they are reported before the starts of what followed them.
  for (const bool ended : {true, false}) {
    for (const RecoveredTask& recovered : hello.tasks) {
      if ((recovered.phase == RecoveredTask::Phase::ended) == ended) {
        named.insert({recovered.task.framework, recovered.task.attempt});
        take_recovered(recovered, now);
      }
    }
  }
  tell_fence();
  for (const CpuKey& key : book.live_keys()) {
    if (named.contains(key)) {
      continue;
    }
    Task& task = *book.find(key);
    if (task.state == TaskState::launching && task.start) {
      // Not in the run log: nothing of it was ever started. (Again) from the beginning, unless its end was asked for.
      if (task.end_cause != TaskReason::none) {
        finish(task, TaskState::not_started, task.end_cause, now);
      } else {
        task.with_launcher = true;
        command(command::Start{*task.start});
      }
    } else {
      task.text = "the launcher came back without it";
      task.with_launcher = false;
      finish(task, TaskState::lost, TaskReason::launcher_died, now);
    }
  }
  rebind_pool(true);  // whoever spoke to the launcher before us may not have come to it
  if (transport_up && (first || phase == Phase::closed)) {
    open_life(now);
  }
}

void NodeCore::Impl::take_recovered(const RecoveredTask& recovered, Now now) {
  const CpuKey key{recovered.task.framework, recovered.task.attempt};
  if (forgotten.contains(key)) {
    command(command::Forget{key.framework, key.attempt});
    return;
  }
  Task* task = book.find(key);
  if (task == nullptr) {
    task = &book.add(key);
    task->job = recovered.task.job;
    task->name = recovered.task.name;
    if (auto note = decode_note(recovered.task.agent_note)) {
      task->facts = *std::move(note);
    } else {
      task->text = note.error().text;
    }
    book.count_requeueable(*task);
    if (recovered.phase != RecoveredTask::Phase::ended) {
      if (const Status charged = book.adopt(*task); !charged) {
        task->text = "taken over, not all of it charged: " + charged.error().text;
      }
    }
  }
  task->with_launcher = true;
  if (!task->live()) {
    if (recovered.phase != RecoveredTask::Phase::ended) {
      command(command::Kill{key.framework, key.attempt, 9, 0});  // we have reported its end: nothing of it may live
    }
    return;
  }
  switch (recovered.phase) {
    case RecoveredTask::Phase::intent:
      break;  // its next event comes
    case RecoveredTask::Phase::parked:
      parked(*task, now);
      break;
    case RecoveredTask::Phase::started:
      started(*task, recovered.started, now);
      break;
    case RecoveredTask::Phase::ended:
      take_event(recovered.end, now);
      return;
  }
  if (task->release_sent || task->kill) {
    send_end(*task);
  }
}

void NodeCore::Impl::parked(Task& task, Now now) {
  if (leaving) {
    return;
  }
  task.start.reset();
  if (task.state == TaskState::running) {
    return;
  }
  if (task.go) {
    command(command::Go{task.key.framework, task.key.attempt});  // the first one did not reach the launcher
    task.state = TaskState::prepared;
    return;
  }
  if (task.state != TaskState::prepared) {
    task.state = TaskState::prepared;
    if (!task.release_sent) {
      book.set_deadline(task, now.mono + prepare_silence);
    }
  }
  prepared_news.insert(task.key);
}

void NodeCore::Impl::started(Task& task, WallTime at, Now now) {
  task.start.reset();
  if (task.state == TaskState::running) {
    return;
  }
  task.state = TaskState::running;
  prepared_news.erase(task.key);
  task.started = at == WallTime{} ? now.wall : at;
  book.set_deadline(task, Instant::never());
  if (task.facts.time_limit_ms != 0) {
    // The limit counts from the recorded start, also when an earlier agent saw it.
    const Duration limit = time_limit(task.facts);
    const auto ran = Duration::from_ns(std::max<std::int64_t>(0, now.wall.ns() - task.started.ns()));
    book.set_deadline(task, now.mono + (limit - std::min(ran, limit)));
  }
  news(task);
}

void NodeCore::Impl::take_event(const event::Parked& event, Now now) {
  Task* task = book.find({event.framework, event.attempt});
  if (task != nullptr && task->live()) {
    parked(*task, now);
  }
}

void NodeCore::Impl::take_event(const event::Started& event, Now now) {
  Task* task = book.find({event.framework, event.attempt});
  if (task != nullptr && task->live()) {
    started(*task, event.started, now);
  }
}

void NodeCore::Impl::take_event(const event::Ended& event, Now now) {
  const CpuKey key{event.framework, event.attempt};
  Task* task = book.find(key);
  if (task == nullptr) {
    command(command::Forget{key.framework, key.attempt});
    return;
  }
  if (!task->live()) {
    return;
  }
  task->exit_code = event.exit_code;
  task->signal = event.signal;
  if (!event.text.empty()) {
    // Of a task that has run the text must say where: others of its gang have the same command.
    task->text = (event.state == TaskState::finished ? "node " + config.name + ": " : std::string()) + event.text;
  }
  if (event.started != WallTime{}) {
    task->started = event.started;
  }
  task->ended = event.ended;
  task->usage = event.usage;
  take_report(*task, event);
  for (const RankEnd& end : event.ranks) {
    if (end.exit_code == event.exit_code && end.signal == event.signal &&
        (end.exit_code != 0 || end.signal != 0)) {
      task->failed_rank = static_cast<std::int32_t>(end.rank);
      break;
    }
  }
  TaskState state = is_terminal(event.state) ? event.state : TaskState::lost;
  TaskReason reason = event.reason;
  if (state == TaskState::killed) {
    reason = task->end_cause != TaskReason::none ? task->end_cause : event.reason;
    if (task->end_cause == TaskReason::none && reason != TaskReason::fenced && task->facts.time_limit_ms != 0 &&
        event.ended.ns() - event.started.ns() >= time_limit(task->facts).ns()) {
      reason = TaskReason::time_limit;  // an agent before us asked for it and could not hear the end
    }
    if (reason == TaskReason::time_limit) {
      state = TaskState::timed_out;
    } else if (reason == TaskReason::none) {
      reason = TaskReason::kill_requested;
    }
  } else if (state == TaskState::not_started) {
    if (task->end_cause != TaskReason::none) {
      reason = task->end_cause;
    } else if (reason == TaskReason::none) {
      reason = TaskReason::released;
    }
  }
  finish(*task, state, reason, now);
  if (defects.forget_before_ack) {
    command(command::Forget{key.framework, key.attempt});
  }
}

void NodeCore::Impl::take_event(const event::Unkillable& event, Now now) {
  Task* task = book.find({event.framework, event.attempt});
  if (task == nullptr || !task->live()) {
    return;
  }
  // Its resources stay charged, and nothing more is started beside it.
  task->text = event.text;
  if (task->state == TaskState::running) {
    news(*task);
  }
  const std::string reason = "attempt " + to_string(event.attempt) + " can't be killed: " + event.text;
  if (!memory.drained) {
    set_drained(true, reason);
    if (phase != Phase::closed) {
      close_life(now, Duration{});  // the registration tells the master
    }
  }
}

}  // namespace muster::node

// NodeCore: who ends a task and what its end is called.
//
//   asked by        parked or launching (gang)     running, launcher says killed
//   NodeKill        not_started/<reason>           killed/<reason>
//   Release         not_started/released           killed/gang_failed (only gangs)
//   time limit      –                              timed_out/time_limit
//   fence           not_started/fenced             killed/fenced
//   no Go in time   not_started/prepare_silence    –
// A queued task ends as not_started: by a Release or a new life of the link as recalled, by the rest as above.
// The first cause stays. A task that ends by itself all the same has ended by itself.
#include <algorithm>

#include "node/core/impl.hpp"

namespace muster::node {
namespace {
constexpr Duration kFenceStepMax = Duration::from_ms(250);
constexpr std::uint32_t kFenceGraceMsMax = 2'000;  // the end must be complete within the fence's margin
}  // namespace

std::uint32_t NodeCore::Impl::grace_of(const Task& task) const {
  return task.facts.kill_grace_ms != 0 ? task.facts.kill_grace_ms
                                       : static_cast<std::uint32_t>(config.kill_grace.ms());
}

void NodeCore::Impl::ask_end(Task& task, const KillAsk& ask, Now now) {
  if (!task.live()) {
    return;
  }
  if (task.end_cause == TaskReason::none) {
    task.end_cause = ask.cause;
  }
  if (!task.with_launcher) {
    finish(task, TaskState::not_started, task.end_cause, now);
    return;
  }
  if (task.facts.gang && !task.go && task.state != TaskState::running) {
    if (!task.release_sent) {
      task.release_sent = true;
      book.set_deadline(task, Instant::never());
      command(command::Release{task.key.framework, task.key.attempt});
    }
    return;
  }
  const std::uint32_t grace = ask.grace_ms != 0 ? ask.grace_ms : grace_of(task);
  // A repeated kill goes on only if it is harsher.
  if (task.kill && grace >= task.kill->grace_ms && (ask.signal != 9 || task.kill->signal == 9)) {
    return;
  }
  task.kill = Task::KillSent{ask.signal, grace};
  send_end(task);
}

// Says (again) what was asked for.
void NodeCore::Impl::send_end(Task& task) {
  if (task.release_sent) {
    command(command::Release{task.key.framework, task.key.attempt});
  } else if (task.kill) {
    command(command::Kill{task.key.framework, task.key.attempt, task.kill->signal, task.kill->grace_ms});
  }
}

void NodeCore::Impl::finish(Task& task, TaskState state, TaskReason reason, Now now) {
  const bool was_queued = task.state == TaskState::queued;
  book.end(task, state, reason);
  if (task.ended == WallTime{}) {
    task.ended = now.wall;
  }
  prepared_news.erase(task.key);
  executors.drop(task.key);
  task.stepd.reset();
  news(task);
  gathered_ends += was_queued ? 0 : 1;
  leave_line(task, was_queued, now);
}

void NodeCore::Impl::news(Task& task) { task.seq = outbox.put(task.key, task.seq); }

void NodeCore::Impl::forget(const CpuKey& key) {
  // The launcher's run log remembers for the agents after this one, also what never came to a start.
  command(command::Forget{key.framework, key.attempt});
  book.erase(key);
  remember_forgotten(key);
}

void NodeCore::Impl::remember_forgotten(const CpuKey& key) {
  if (forgotten.insert(key).second) {
    forgotten_order.push_back(key);
    if (forgotten_order.size() > kForgottenMax) {
      forgotten.erase(forgotten_order.front());
      forgotten_order.pop_front();
    }
  }
}

// Cut off from every master for the fence time: what the framework may start elsewhere must end here.
void NodeCore::Impl::fence_now(Now now) {
  fence_done = true;
  end_queued(TaskReason::fenced, now);  // nothing new is begun that nobody may know of
  for (const CpuKey& key : book.live_keys()) {
    Task& task = *book.find(key);
    if (task.facts.requeueable) {
      ask_end(task, {.cause = TaskReason::fenced, .grace_ms = std::min(grace_of(task), kFenceGraceMsMax)}, now);
    }
  }
}

// The launcher counts the fence too, for when we can't. It hears of contact in steps: no more than a few times a second.
void NodeCore::Impl::tell_fence() {
  const Instant at = last_contact + fence;
  if (!launcher_up || book.live_requeueable() == 0 || at == fence_told) {
    return;
  }
  const bool is_small_step =
      fence_told != Instant::never() && at > fence_told && at - fence_told < std::min(kFenceStepMax, fence / 8);
  if (!is_small_step) {
    fence_told = at;
    command(command::Fence{at});
  }
}

void NodeCore::Impl::leave(Now now) {
  leaving = true;
  end_queued(TaskReason::drained, now);
  for (const CpuKey& key : book.live_keys()) {
    Task& task = *book.find(key);
    book.set_deadline(task, Instant::never());
    if (task.end_cause == TaskReason::none) {
      task.end_cause = TaskReason::drained;
    }
  }
  command(command::Shutdown{true});
}

void NodeCore::Impl::deadline_passed(Task& task, Now now) {
  if (task.state == TaskState::prepared) {
    ask_end(task, {.cause = TaskReason::prepare_silence}, now);
  } else if (task.state == TaskState::running) {
    ask_end(task, {.cause = TaskReason::time_limit}, now);
  }
}

}  // namespace muster::node

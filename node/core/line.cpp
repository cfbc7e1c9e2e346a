// NodeCore: tasks in line. A queued task holds nothing and is unknown to the launcher; when nothing of the task before it
// is left, it starts at once with that task's cpus. What ends while it is queued leaves the line, and what follows
// it moves up.
#include "node/core/impl.hpp"

namespace muster::node {

void NodeCore::Impl::launch_after(Task& task, const AttemptId& after, Waiting waiting, Now now) {
  const FrameworkId framework = task.key.framework;
  task.waiting = std::make_unique<Waiting>(std::move(waiting));
  // One that was taken out of the line while this was on its way stood behind another.
  task.after = after;
  const Task* before = book.find({framework, after});
  while (before != nullptr && before->ended_in_line) {
    task.after = before->after;
    before = book.find({framework, task.after});
  }
  book.enqueue(task);
  if (leaving) {
    finish(task, TaskState::not_started, TaskReason::drained, now);
    return;
  }
  if (before == nullptr || (before->live() && (before->facts.gang || before->successor != AttemptId{}))) {
    finish(task, TaskState::not_started, TaskReason::predecessor_ended, now);
    return;
  }
  if (!before->live()) {
    start_next(task, {}, now);  // its cpus may have gone to others meanwhile
    return;
  }
  book.find(before->key)->successor = task.key.attempt;
  if (defects.start_successor_early && before->state == TaskState::running) {
    const std::unique_ptr<Waiting> early = std::move(task.waiting);
    book.dequeue(task);
    task.facts.cpus = before->facts.cpus;
    task.text = "started early";
    CpuGrant grant;
    grant.cpus = task.facts.cpus;
    begin(task, early->entry, *early->spec, grant, false, now);
  }
}

void NodeCore::Impl::leave_line(Task& task, bool was_queued, Now now) {
  task.waiting.reset();
  task.ended_in_line = was_queued;
  Task* next = nullptr;
  if (task.successor != AttemptId{}) {
    next = book.find({task.key.framework, std::exchange(task.successor, AttemptId{})});
  }
  if (was_queued) {
    if (Task* before = book.find({task.key.framework, task.after}); before != nullptr && before->successor == task.key.attempt) {
      before->successor = next != nullptr ? next->key.attempt : AttemptId{};
    }
    if (next != nullptr) {
      next->after = task.after;
    }
  } else if (next != nullptr && next->state == TaskState::queued) {
    start_next(*next, task.facts.cpus, now);
  }
}

// REQUIRES: it is queued, and nothing of what it followed is left.
void NodeCore::Impl::start_next(Task& task, std::span<const std::uint32_t> cpus, Now now) {
  const std::unique_ptr<Waiting> waiting = std::move(task.waiting);
  book.dequeue(task);
  task.after = AttemptId{};
  auto room = book.charge_on(task, cpus);
  if (!room) {
    task.text = "node " + config.name + " has no room: " + room.error().text;
    finish(task, TaskState::start_failed, TaskReason::no_room, now);
    return;
  }
  begin(task, waiting->entry, *waiting->spec, *room, false, now);
}

void NodeCore::Impl::end_queued(TaskReason reason, Now now) {
  if (book.queued() == 0) {
    return;
  }
  for (const CpuKey& key : book.live_keys()) {
    if (Task& task = *book.find(key); task.state == TaskState::queued) {
      finish(task, TaskState::not_started, reason, now);
    }
  }
}

}  // namespace muster::node

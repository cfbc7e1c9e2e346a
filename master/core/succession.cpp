// Lines: tasks that wait on their node for another to end, and take over its resources in the step in which its end
// arrives. The first row of a line holds them, the others are queued and hold nothing; what ends while it is queued
// leaves, and the next moves up.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::join_line(TaskIndex index, TaskIndex predecessor) {
  Task& task = tasks[index];
  check(tasks.holds(predecessor) && tasks[predecessor].successor.is_none(), "line: two successors of one task");
  task.state = TaskState::queued;
  task.predecessor = predecessor;
  tasks[predecessor].successor = index;
  ++frameworks[task.framework].queued;
  ++queued_total;
  ++probe.queued;
  task_marks.mark(index.slot);
}

void MasterCore::Impl::leave_line(TaskIndex index) {
  Task& task = tasks[index];
  if (task.predecessor.is_none()) {
    return;
  }
  const TaskIndex before = std::exchange(task.predecessor, TaskIndex{});
  const TaskIndex after = std::exchange(task.successor, TaskIndex{});
  tasks[before].successor = after;
  if (!after.is_none()) {
    tasks[after].predecessor = before;
  }
  --frameworks[task.framework].queued;
  --queued_total;
}

bool MasterCore::Impl::hand_over(TaskIndex index) {
  Task& task = tasks[index];
  const TaskIndex next = std::exchange(task.successor, TaskIndex{});
  if (next.is_none()) {
    return false;
  }
  Task& heir = tasks[next];
  heir.predecessor = TaskIndex{};
  heir.state = TaskState::launching;
  heir.release_wanted = heir.release_due = false;  // its turn has come
  heir.charged = true;
  task.charged = false;
  --frameworks[task.framework].queued;
  --queued_total;
  ++probe.handed_over;
  task_marks.mark(index.slot);
  task_marks.mark(next.slot);
  if (defect(&MasterDefects::free_what_is_handed_over)) {
    ledger.corrupt_free(task.node, tasks.shape(task));
    allocator.node_freed(task.node);
  }
  return true;
}

// Its node does not have it and never will: nothing of it can run.
void MasterCore::Impl::drop_queued(TaskIndex index, TaskReason reason) {
  leave_line(index);
  const Task& task = tasks[index];
  say(task.framework, {task.attempt, task.node, TaskState::not_started, reason});
  remove_task(index);
}

void MasterCore::Impl::recall_task(TaskIndex index) {
  Task& task = tasks[index];
  if (task.state != TaskState::queued || task.release_wanted) {
    return;
  }
  if (!task.launch_sent) {
    drop_queued(index, TaskReason::recalled);
    return;
  }
  task.release_wanted = task.release_due = true;
  due(index);
}

void MasterCore::Impl::recall_node(NodeIndex node) {
  if (queued_total == 0) {
    return;
  }
  std::vector<TaskIndex> rows;
  tasks.list(node, rows);
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (tasks.holds(*row) && tasks[*row].state == TaskState::queued) {
      ++probe.recalled;
      recall_task(*row);
    }
  }
}

// Whoever has more than another that waits lets it have the slots that come free: its lines end, the newest first, as
// many as are wanted.
void MasterCore::Impl::recall_for_poorer(Now now) {
  for (std::uint32_t at = 0; at < frameworks.count() && queued_total > 0; ++at) {
    const FrameworkIndex holder{at};
    if (frameworks[holder].queued == 0 || !allocator.poorer_waits(holder)) {
      continue;
    }
    std::vector<TaskIndex> rows;
    std::uint64_t ended = 0;  // lines
    for (std::uint32_t slot = tasks.of(holder).tail; slot != kNone; slot = tasks.at(slot).framework_prev) {
      const Task& task = tasks.at(slot);
      if (task.state != TaskState::queued) {
        continue;
      }
      // The last of its line stands for all of it.
      if (!task.successor.is_none()) {
        continue;
      }
      if (ended >= allocator.wanted_by_poorer(holder, task.node, now.mono)) {
        continue;
      }
      ++ended;
      for (TaskIndex row = tasks.index_at(slot); tasks[row].state == TaskState::queued; row = tasks[row].predecessor) {
        rows.push_back(row);
      }
    }
    for (const TaskIndex row : rows) {
      probe.recalled += tasks[row].release_wanted ? 0 : 1;
      recall_task(row);
    }
  }
}

void MasterCore::Impl::on_recall(Link& link, const fb::Frame& frame, const fb::Recall& message) {
  if (message.attempts() == nullptr) {
    return;
  }
  for (const fb::AttemptRef* ref : *message.attempts()) {
    const AttemptId attempt = from_fb(ref->attempt());
    const NodeIndex node{ref->node()};
    const TaskIndex task = tasks.find(link.framework, attempt);
    if (!task.is_none() && !is_terminal(tasks[task].state)) {
      recall_task(task);
    } else if (!task.is_none() || nodes.has(node)) {
      reconcile_on({link.framework, frameworks[link.framework].incarnation, {attempt, ref->boot()}},
                   task.is_none() ? node : tasks[task].node);
    } else {
      refuse_in_life(link, frame, fb::RefusedCode::UnknownNode, "node index " + std::to_string(node.value()),
                     "attempt " + to_string(attempt) + " is not known, nor is this node in this epoch");
    }
  }
}

}  // namespace muster::master

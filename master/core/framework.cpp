// Frameworks between subscriptions: kills, silence, failover.
#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::on_kill(Link& link, const fb::Frame& frame, const fb::Kill& message, Now now) {
  if (message.attempts() == nullptr) {
    return;
  }
  for (const fb::AttemptRef* ref : *message.attempts()) {
    const AttemptId attempt = from_fb(ref->attempt());
    const NodeIndex node{ref->node()};
    const TaskIndex task = tasks.find(link.framework, attempt);
    if (!task.is_none()) {
      kill_task(task, message, now);
    } else if (nodes.has(node)) {
      reconcile_on({link.framework, frameworks[link.framework].incarnation, {attempt, ref->boot()}}, node);
    } else {
      refuse_in_life(link, frame, fb::RefusedCode::UnknownNode, "node index " + std::to_string(node.value()),
                     "attempt " + to_string(attempt) + " is not known, nor is this node in this epoch");
    }
  }
}

void MasterCore::Impl::kill_task(TaskIndex index, const fb::Kill& message, Now now) {
  Task& task = tasks[index];
  ++probe.kills;
  if (is_terminal(task.state)) {
    reconcile_on({task.framework, frameworks[task.framework].incarnation, {task.attempt, 0}}, task.node);
    return;
  }
  if (message.only_signal()) {
    task.signal_number = message.signal();
    task.signal_due = true;
    due(index);
    return;
  }
  if (task.gang != kNoGang && gangs[task.gang.value()].phase == GangPhase::preparing) {
    const GangIndex gang = task.gang;
    const std::uint32_t generation = gangs.generation(gang.value());
    gang_release(gang, now);
    gang_forget(gang, generation);
    return;
  }
  want_kill(index, TaskReason::kill_requested, message.signal(), message.grace_ms());
}

FrameworkIndex MasterCore::Impl::framework_of_report(FrameworkId id, Now now) {
  FrameworkIndex index = frameworks.find(id);
  if (index != kNoFramework) {
    return index;
  }
  index = frameworks.find_or_add(id);
  framework_out.resize(frameworks.count());
  FrameworkEntry& framework = frameworks[index];
  framework.name = "framework-" + std::to_string(id.value());
  framework.role = "default";
  framework.reported = true;
  framework.last_heard = now.mono;
  framework.failover_timeout = config.framework_failover;
  allocator.set_role(index, framework.role);
  ++frameworks_reported;
  ++frameworks_away;
  arm_framework(index);
  framework_marks.mark(index.value());
  return index;
}

void MasterCore::Impl::arm_framework(FrameworkIndex index) {
  FrameworkEntry& framework = frameworks[index];
  const Instant at = heard_at(framework) + config.node_silence;
  if (at < framework.timer_at) {
    framework.timer_at = at;
    timers.add(at, TimerKind::framework, index.value());
  }
}

void MasterCore::Impl::on_framework_timer(FrameworkIndex index, Now now) {
  FrameworkEntry& framework = frameworks[index];
  if (framework.gone || (framework.connected() && !framework.silent)) {
    return;
  }
  const Instant heard = heard_at(framework);
  Instant next = heard + config.node_silence;
  if (now.mono >= next) {
    rescind_framework(index, fb::RescindReason::LeaseEnded);
    if (framework.failover_timeout == Duration{}) {
      return;
    }
    next = std::max(next, heard + framework.failover_timeout);
  }
  if (now.mono >= next) {
    framework_gone(index, now);
  } else if (next < framework.timer_at) {
    framework.timer_at = next;
    timers.add(next, TimerKind::framework, index.value());
  }
}

// Nobody waits for its tasks any more: they end, and nobody has to acknowledge that.
void MasterCore::Impl::framework_gone(FrameworkIndex index, Now now) {
  close_link(frameworks[index].link, now);
  FrameworkEntry& framework = frameworks[index];
  framework.gone = true;
  allocator.set_wants(index, {});
  framework_marks.mark(index.value());
  std::vector<TaskIndex> rows;
  tasks.list(index, rows);
  for (const TaskIndex row : rows) {
    if (!tasks.holds(row)) {
      continue;
    }
    Task& task = tasks[row];
    task.unacknowledged = false;
    const NodeIndex node = task.node;
    if (task.declared) {
      // Kept: its node may come back with it.
    } else if (is_terminal(task.state)) {
      remove_task(row);
    } else if (task.state == TaskState::queued && !task.launch_sent) {
      drop_queued(row, TaskReason::recalled);
    } else if (task.gang != kNoGang && gangs[task.gang.value()].phase == GangPhase::preparing) {
      const GangIndex gang = task.gang;
      const std::uint32_t generation = gangs.generation(gang.value());
      gang_release(gang, now);
      gang_forget(gang, generation);
    } else {
      want_kill(row, TaskReason::kill_requested, 15, 0);
    }
    advance(channel_of(node, index));
  }
}

}  // namespace muster::master

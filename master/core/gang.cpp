// Gangs: prepared everywhere, then Go; otherwise released, or killed once a Go has left.
#include "master/core/impl.hpp"

namespace muster::master {
namespace {
constexpr std::uint32_t kGangKillGraceMs = 5000;
}  // namespace

void MasterCore::Impl::begin_gang(GangIndex index, Now now) {
  ++probe.gangs;
  Gang& gang = gangs[index.value()];
  gang.live = static_cast<std::uint32_t>(gang.members.size());
  gang.deadline = now.mono + config.gang_silence;
  timers.add(gang.deadline, TimerKind::gang, index.value(), gangs.generation(index.value()));
}

void MasterCore::Impl::gang_prepared(TaskIndex member, Now now) {
  Task& task = tasks[member];
  if (task.gang == kNoGang) {
    return;
  }
  const GangIndex index = task.gang;
  Gang& gang = gangs[index.value()];
  if (gang.phase == GangPhase::preparing && !task.ready) {
    task.ready = true;
    ++gang.ready;
    if (gang.ready == gang.members.size() || defect(&MasterDefects::go_before_all_prepared)) {
      gang_go(index, now);
    }
  }
}

void MasterCore::Impl::gang_progress(TaskIndex member, Now now) {
  Task& task = tasks[member];
  if (task.gang == kNoGang) {
    return;
  }
  const GangIndex index = task.gang;
  const std::uint32_t generation = gangs.generation(index.value());
  Gang& gang = gangs[index.value()];
  const bool ended = is_terminal(task.state);
  if (ended) {
    task.gang = kNoGang;
    --gang.live;
    gang.ready -= task.ready ? 1 : 0;
  }
  if (gang.phase == GangPhase::preparing) {
    gang_release(index, now);  // it ended, or it ran without a Go
  } else if (gang.phase == GangPhase::going) {
    const bool never_ran = proves_not_started(task.state) || task.state == TaskState::lost;
    if (ended && never_ran) {
      gang_kill(index, now);
    } else if (!ended && !task.ready) {
      task.ready = true;
      ++gang.ready;
    }
  }
  gang_forget(index, generation);
}

void MasterCore::Impl::gang_go(GangIndex index, Now now) {
  ++probe.gangs_started;
  Gang& gang = gangs[index.value()];
  gang.phase = GangPhase::going;
  gang.ready = 0;
  gang.deadline = now.mono + config.gang_silence;
  timers.add(gang.deadline, TimerKind::gang, index.value(), gangs.generation(index.value()));
  for (const TaskIndex member : gang.members) {
    if (tasks.holds(member) && tasks[member].gang == index) {
      tasks[member].ready = false;
      tasks[member].go_due = true;
      due(member);
    }
  }
}

// No Go has left: nobody runs anything.
void MasterCore::Impl::gang_release(GangIndex index, Now now) {
  ++probe.gangs_released;
  gangs[index.value()].phase = GangPhase::releasing;
  const std::vector<TaskIndex> members = gangs[index.value()].members;
  for (const TaskIndex member : members) {
    if (!tasks.holds(member) || tasks[member].gang != index) {
      continue;
    }
    Task& task = tasks[member];
    if (!task.launch_sent) {
      declare(member, TaskState::not_started, TaskReason::released, now);
      continue;
    }
    task.release_wanted = task.release_due = true;
    due(member);
  }
}

// A Go has left: it counts as started, and all of it ends.
void MasterCore::Impl::gang_kill(GangIndex index, Now) {
  ++probe.gangs_failed;
  gangs[index.value()].phase = GangPhase::killing;
  const std::vector<TaskIndex> members = gangs[index.value()].members;
  for (const TaskIndex member : members) {
    if (!tasks.holds(member) || tasks[member].gang != index) {
      continue;
    }
    Task& task = tasks[member];
    if (task.go_sent) {
      want_kill(member, TaskReason::gang_failed, 15, kGangKillGraceMs);
    } else {
      task.go_due = false;
      task.release_wanted = task.release_due = true;
      due(member);
    }
  }
}

void MasterCore::Impl::gang_forget(GangIndex index, std::uint32_t generation) {
  if (!gangs.holds(index.value(), generation)) {
    return;
  }
  Gang& gang = gangs[index.value()];
  const bool all_run = gang.phase == GangPhase::going && gang.ready == gang.live;
  if (gang.live != 0 && !all_run) {
    return;
  }
  for (const TaskIndex member : gang.members) {
    if (tasks.holds(member) && tasks[member].gang == index) {
      tasks[member].gang = kNoGang;
    }
  }
  gangs.remove(index.value());
}

void MasterCore::Impl::on_gang_timer(GangIndex index, std::uint32_t generation, Now now) {
  if (!gangs.holds(index.value(), generation) || gangs[index.value()].deadline > now.mono) {
    return;
  }
  if (gangs[index.value()].phase == GangPhase::preparing) {
    gang_release(index, now);
  } else if (gangs[index.value()].phase == GangPhase::going) {
    gang_kill(index, now);
  }
  gang_forget(index, generation);
}

}  // namespace muster::master

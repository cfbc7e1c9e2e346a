#include "node/exec/task_group.hpp"

#include <signal.h>

#include "node/exec/system_files.hpp"

namespace muster::node {

int TaskGroup::clone_fd() const { return tracking_ && tracking_->clone_into ? tracking_->entry.fd() : -1; }

std::vector<pid_t> TaskGroup::processes() const {
  std::vector<pid_t> pids;
  if (tracking_) {
    collect_processes(tracking_->dir, pids);
  }
  return pids;
}

bool TaskGroup::has_processes() const {
  if (!tracking_) {
    return false;
  }
  if (tracking_->v2 && tracking_->events) {
    return number_after(tracking_->events.read(), "populated") != 0;
  }
  return !processes().empty();
}

void TaskGroup::kill_all() {
  if (!tracking_) {
    return;
  }
  tracking_->killed = true;
  if (tracking_->v2 && write_existing(tracking_->dir + "/cgroup.kill", "1")) {
    return;
  }
  // Frozen processes can't fork away; a kill takes effect when they thaw (v1) or at once (v2).
  const bool v2 = tracking_->v2;
  const std::string state = tracking_->dir + (v2 ? "/cgroup.freeze" : "/freezer.state");
  (void)write_existing(state, v2 ? "1" : "FROZEN");
  for (pid_t pid : processes()) {
    ::kill(pid, SIGKILL);
  }
  (void)write_existing(state, v2 ? "0" : "THAWED");
}

Bytes TaskGroup::memory_peak_bytes() const { return memory_ && memory_->peak ? first_number(memory_->peak.read()) : 0; }

std::uint64_t TaskGroup::oom_kills() const {
  return memory_ && memory_->oom ? number_after(memory_->oom.read(), "oom_kill") : 0;
}

}  // namespace muster::node

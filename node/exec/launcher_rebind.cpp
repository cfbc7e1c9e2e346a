// Launcher: running tasks move to other cpus.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "node/exec/cpu_affinity.hpp"
#include "node/exec/launcher.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {
constexpr int kPassesMax = 4;
}

void Launcher::on(const command::Rebind& rebind) {
  Task* const task = find(rebind.framework, rebind.attempt);
  if (task == nullptr || task->recovered || task->stage == Stage::ending || task->stage == Stage::ended ||
      allowed_of(rebind.cpus).empty()) {
    return;
  }
  TaskStart& start = task->known.task;
  start.cpus = rebind.cpus;
  for (RankStart& rank : start.ranks) {
    rank.cpus = rebind.cpus;
  }
  if (!task->ranks.empty()) {
    task->rebind_again = task->stage == Stage::setting_up;
    to_rebind_.push_back(task->token);
  }
}

// All that were asked for since the last step, with one look at the system's processes for those that no group
// tracks. What is forked meanwhile has its parent's old cpus, so it looks again until it finds nothing new.
void Launcher::rebind_tasks() {
  if (to_rebind_.empty()) {
    return;
  }
  std::sort(to_rebind_.begin(), to_rebind_.end());
  to_rebind_.erase(std::unique(to_rebind_.begin(), to_rebind_.end()), to_rebind_.end());
  std::vector<Task*> tasks;
  for (const std::uint64_t token : std::exchange(to_rebind_, {})) {
    if (Task* const task = find(token); task != nullptr && task->stage != Stage::ended) {
      tasks.push_back(task);
    }
  }
  std::set<pid_t> bound;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    std::optional<std::vector<ProcessInfo>> all;
    bool is_new = false;
    for (Task* const task : tasks) {
      const std::vector<std::uint32_t> cpus = allowed_of(task->known.task.cpus);
      std::vector<pid_t> pids;
      if (task->group.tracks_processes()) {
        pids = task->group.processes();
      } else {
        if (!all) {
          all = scan_processes();
        }
        for (const ProcessInfo& process : find_leftovers(*task, *all)) {
          pids.push_back(process.pid);
        }
      }
      std::erase_if(pids, [&bound](pid_t pid) { return !bound.insert(pid).second; });
      if (pids.empty()) {
        continue;
      }
      is_new = true;
      std::string failure;
      if (auto moved = containment_.rebind(task->group, cpus, pids); !moved) {
        failure = moved.error().text;
      }
      for (const pid_t pid : pids) {
        if (const int error = set_process_affinity(pid, cpus); error != 0) {
          failure = "process " + std::to_string(pid) + ": " + std::strerror(error);
        }
      }
      if (!failure.empty()) {
        std::fprintf(stderr, "muster-launcher: a task can't be bound to cpus %s: %s\n", format_cpu_list(cpus).c_str(),
                     failure.c_str());
      }
    }
    if (!is_new) {
      break;
    }
  }
}

}  // namespace muster::node

// Containment: groups are made, given to a task and taken back.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "node/exec/containment.hpp"
#include "node/exec/system_files.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kFreeGroupsMax = 256;
constexpr std::size_t kCpusetsMax = 256;
constexpr std::uint32_t kProcessesUnlimited = 4'194'304;  // as many as the kernel can count
// What a task leaves charged (files in memory, cache) counts against the next one in the same group, so
// a group with more than this is not used again.
constexpr Bytes kLeftChargedBytesMax = Bytes{2} << 20U;

}  // namespace

// A number that no group has yet: one of an earlier launcher may still hold processes.
Result<std::string> Containment::make_numbered(const std::string& root) {
  while (true) {
    std::string name = "t" + std::to_string(++next_number_);
    const std::string dir = root + "/" + name;
    if (::mkdir(dir.c_str(), 0755) == 0 || (errno == EEXIST && !options_.root.empty())) {
      return name;
    }
    if (errno != EEXIST) {
      return fail_errno(errno, dir);
    }
  }
}

Status Containment::make_v1(const std::string& root, std::string& dir, FileHandle& entry) {
  auto name = make_numbered(root);
  if (!name) {
    return tl::unexpected(name.error());
  }
  dir = root + "/" + *name;
  entry = open_file(dir + "/tasks", O_WRONLY);
  if (!entry) {
    const int error = errno;
    ::rmdir(dir.c_str());
    return fail_errno(error, dir);
  }
  return {};
}

Result<std::unique_ptr<TrackingGroup>> Containment::make_tracking() {
  auto name = make_numbered(tracking_root_);
  if (!name) {
    return tl::unexpected(name.error());
  }
  auto group = std::make_unique<TrackingGroup>();
  group->dir = tracking_root_ + "/" + *name;
  group->v2 = tracking_v2_;
  group->clone_into = clone_into_;
  // Into a v1 group a single-threaded process enters by `tasks`, which takes no lock against forks.
  const bool v1 = !tracking_v2_;
  group->entry = clone_into_ ? open_file(group->dir, O_RDONLY | O_DIRECTORY)
                             : open_file(group->dir + (v1 ? "/tasks" : "/cgroup.procs"), O_WRONLY);
  const int error = errno;
  if (tracking_v2_) {
    group->events = open_file(group->dir + "/cgroup.events", O_RDONLY);
  }
  if (!group->entry) {
    ::rmdir(group->dir.c_str());
    return fail_errno(error, group->dir);
  }
  return group;
}

Result<std::unique_ptr<MemoryGroup>> Containment::make_memory(const TrackingGroup* tracking) {
  auto group = std::make_unique<MemoryGroup>();
  group->v2 = memory_v2_;
  if (memory_v2_) {
    group->dir = tracking->dir;
    (void)write_existing(group->dir + "/memory.swap.max", "0");
    (void)write_existing(group->dir + "/memory.oom.group", "1");
    group->peak = open_file(group->dir + "/memory.peak", O_RDONLY);
    group->oom = open_file(group->dir + "/memory.events", O_RDONLY);
    return group;
  }
  if (auto made = make_v1(memory_root_, group->dir, group->entry); !made) {
    return tl::unexpected(made.error());
  }
  group->peak = open_file(group->dir + "/memory.max_usage_in_bytes", O_RDWR);
  group->oom = open_file(group->dir + "/memory.oom_control", O_RDONLY);
  group->usage = open_file(group->dir + "/memory.usage_in_bytes", O_RDONLY);
  return group;
}

Result<int> Containment::cpuset_entry(const std::vector<std::uint32_t>& cpus) {
  const std::string list = format_cpu_list(cpus);
  if (const auto it = cpusets_.find(list); it != cpusets_.end()) {
    return it->second.fd();
  }
  if (cpusets_.size() >= kCpusetsMax) {
    std::erase_if(cpusets_, [this](const auto& one) { return remove_group(cpuset_root_ + "/cpus-" + one.first); });
  }
  const std::string dir = cpuset_root_ + "/cpus-" + list;
  auto mems = read_file(cpuset_root_ + "/cpuset.mems");
  Status done;
  if (!make_dir(dir)) {
    done = fail_errno(errno, dir);
  }
  if (done) {
    done = write_existing(dir + "/cpuset.cpus", list);
  }
  if (done) {
    done = write_existing(dir + "/cpuset.mems", mems ? without_newline(*mems) : "0");
  }
  FileHandle entry = done ? open_file(dir + "/tasks", O_WRONLY) : FileHandle();
  if (done && !entry) {
    done = fail_errno(errno, dir);
  }
  if (!done) {
    ::rmdir(dir.c_str());
    return tl::unexpected(done.error());
  }
  return cpusets_.emplace(list, std::move(entry)).first->second.fd();
}

Result<std::unique_ptr<PidsGroup>> Containment::make_pids() {
  auto group = std::make_unique<PidsGroup>();
  if (auto made = make_v1(pids_root_, group->dir, group->entry); !made) {
    return tl::unexpected(made.error());
  }
  return group;
}

Status Containment::limit_memory(TaskGroup& group, Bytes limit_bytes) {
  if (!free_memory_.empty()) {
    group.memory_ = std::move(free_memory_.back());
    free_memory_.pop_back();
    group.memory_->peak.write("0");
  } else if (auto made = make_memory(group.tracking_.get())) {
    group.memory_ = std::move(*made);
  } else {
    return tl::unexpected(made.error());
  }
  MemoryGroup& memory = *group.memory_;
  if (memory.limit_bytes != limit_bytes) {
    const std::string limit = std::to_string(limit_bytes);
    // With a swap limit beside it the order matters: the smaller first lowered, last raised.
    const std::string swap = memory.dir + "/memory.memsw.limit_in_bytes";
    if (!memory_v2_) {
      (void)write_existing(swap, limit);
    }
    const char* file = memory_v2_ ? "/memory.max" : "/memory.limit_in_bytes";
    if (auto done = write_existing(memory.dir + file, limit); !done) {
      return done;
    }
    if (!memory_v2_) {
      (void)write_existing(swap, limit);
    }
    memory.limit_bytes = limit_bytes;
  }
  if (memory.entry) {
    group.join_fds_.push_back(memory.entry.fd());
  }
  return {};
}

Status Containment::limit_processes(TaskGroup& group, std::uint32_t processes_max) {
  if (!pids_v2_) {
    if (!free_pids_.empty()) {
      group.pids_ = std::move(free_pids_.back());
      free_pids_.pop_back();
    } else if (auto made = make_pids()) {
      group.pids_ = std::move(*made);
    } else {
      return tl::unexpected(made.error());
    }
    group.join_fds_.push_back(group.pids_->entry.fd());
  }
  std::uint32_t& written = pids_v2_ ? group.tracking_->processes_max : group.pids_->processes_max;
  if (written != processes_max) {
    const std::string& dir = pids_v2_ ? group.tracking_->dir : group.pids_->dir;
    if (auto done = write_existing(dir + "/pids.max", std::to_string(processes_max)); !done) {
      return done;
    }
    written = processes_max;
  }
  return {};
}

Result<TaskGroup> Containment::take(const Needs& needs) {
  TaskGroup group;
  auto give_up = [&](const Error& why) -> Result<TaskGroup> {
    (void)give_back(group);
    return tl::unexpected(why);
  };
  if (!tracking_root_.empty()) {
    if (!free_tracking_.empty()) {
      group.tracking_ = std::move(free_tracking_.back());
      free_tracking_.pop_back();
    } else if (auto made = make_tracking()) {
      group.tracking_ = std::move(*made);
    } else {
      return give_up(made.error());
    }
    if (!clone_into_) {
      group.join_fds_.push_back(group.tracking_->entry.fd());
    }
  }
  if (needs.memory_limit_bytes > 0 && !memory_root_.empty()) {
    if (auto done = limit_memory(group, needs.memory_limit_bytes); !done) {
      return give_up(done.error());
    }
  }
  if (!needs.cpus.empty() && !cpuset_root_.empty()) {
    if (cpuset_v2_) {
      if (auto done = write_existing(group.tracking_->dir + "/cpuset.cpus", format_cpu_list(needs.cpus)); !done) {
        return give_up(done.error());
      }
    } else if (auto entry = cpuset_entry(needs.cpus)) {
      group.join_fds_.push_back(*entry);
    } else {
      return give_up(entry.error());
    }
  }
  // A v2 group that is used again has the limit of the task before.
  if (!pids_root_.empty() && (needs.processes_max > 0 || (pids_v2_ && group.tracking_->processes_max > 0))) {
    if (auto done = limit_processes(group, needs.processes_max > 0 ? needs.processes_max : kProcessesUnlimited); !done) {
      return give_up(done.error());
    }
  }
  return group;
}

Status Containment::rebind(const TaskGroup& group, const std::vector<std::uint32_t>& cpus,
                           const std::vector<pid_t>& processes) {
  if (cpuset_root_.empty()) {
    return {};
  }
  if (cpuset_v2_) {
    return write_existing(group.tracking_->dir + "/cpuset.cpus", format_cpu_list(cpus));
  }
  if (auto entry = cpuset_entry(cpus); !entry) {
    return tl::unexpected(entry.error());
  }
  Status done;
  const std::string file = cpuset_root_ + "/cpus-" + format_cpu_list(cpus) + "/cgroup.procs";
  for (const pid_t pid : processes) {
    if (auto moved = write_existing(file, std::to_string(pid)); !moved && is_file("/proc/" + std::to_string(pid))) {
      done = moved;
    }
  }
  return done;
}

bool Containment::give_back(TaskGroup& group) {
  if (group.has_processes()) {
    return false;
  }
  if (group.memory_ && !group.memory_->v2) {
    const MemoryGroup& memory = *group.memory_;
    if (group.oom_kills() == 0 && free_memory_.size() < kFreeGroupsMax && memory.usage &&
        first_number(memory.usage.read()) <= kLeftChargedBytesMax) {
      free_memory_.push_back(std::move(group.memory_));
    } else if (!remove_group(memory.dir)) {
      return false;
    }
  }
  if (group.pids_) {
    if (free_pids_.size() < kFreeGroupsMax) {
      free_pids_.push_back(std::move(group.pids_));
    } else if (!remove_group(group.pids_->dir)) {
      return false;
    }
  }
  if (group.tracking_) {
    // With v2 limits the group's counters can't be set back.
    const bool has_limits = cpuset_v2_ || (group.memory_ && group.memory_->v2);
    const bool ours = group.tracking_->entry.fd() >= 0;
    if (ours && !group.tracking_->killed && !has_limits && free_tracking_.size() < kFreeGroupsMax) {
      free_tracking_.push_back(std::move(group.tracking_));
    } else if (!remove_group(group.tracking_->dir)) {
      return false;
    }
  }
  group = TaskGroup();
  return true;
}

}  // namespace muster::node

#include "node/exec/containment.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "node/exec/cgroup_places.hpp"
#include "node/exec/system_files.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kFreeGroupsMax = 256;
constexpr std::size_t kCpusetsMax = 256;
// What a task leaves charged (files in memory, cache) counts against the next one in the same group, so
// a group with more than this is not used again.
constexpr Bytes kLeftChargedBytesMax = Bytes{2} << 20U;

}  // namespace

void Containment::detect_v1(const std::string& controller, const std::string& own) {
  const std::string root = own + "/muster-" + options_.launcher_id;
  if (!make_dir(root)) {
    return;
  }
  if (controller == "freezer") {
    if (is_file(root + "/freezer.state")) {
      tracking_root_ = root;
      return;
    }
  } else if (controller == "memory") {
    if (is_file(root + "/memory.limit_in_bytes")) {
      memory_root_ = root;
      return;
    }
  } else if (controller == "cpuset") {
    // Empty at first; nothing can enter before both are set, cpus and mems.
    bool ok = true;
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
      auto value = read_file(own + file);
      ok = ok && value && write_existing(root + file, without_newline(*value)).has_value();
    }
    if (ok) {
      cpuset_root_ = root;
      return;
    }
  }
  ::rmdir(root.c_str());
}

void Containment::detect_v2(const std::string& mount, const std::string& own) {
  struct Candidate {
    std::string root;
    bool memory{};
    bool cpuset{};
    bool clone_into{};
    [[nodiscard]] int score() const { return 1 + static_cast<int>(memory) + static_cast<int>(cpuset); }
  };
  const bool probe = options_.root.empty();
  const bool want_memory = memory_root_.empty();
  const bool want_cpuset = cpuset_root_.empty();
  const int best_score = 1 + static_cast<int>(want_memory) + static_cast<int>(want_cpuset);
  Candidate best;
  // The own group first, then its parents: a group that holds processes can't pass controllers on, but a
  // parent (a delegated slice, or for root the top) may. Only the own group's settings are changed.
  for (std::string group = own;; group.erase(group.rfind('/'))) {
    Candidate candidate;
    candidate.root = group + "/muster-" + options_.launcher_id;
    if (make_dir(candidate.root)) {
      const bool may_enable = group == own;
      candidate.memory =
          want_memory && passes_on(group, "memory", may_enable) && passes_on(candidate.root, "memory", true);
      candidate.cpuset =
          want_cpuset && passes_on(group, "cpuset", may_enable) && passes_on(candidate.root, "cpuset", true);
      bool enters = true;
      if (const std::string trial = candidate.root + "/trial"; probe) {
        enters = false;
        if (make_dir(trial)) {
          const int error = probe_clone_into(trial);
          candidate.clone_into = error == 0;
          // Kernels before 5.7 don't know the call; there a process enters by itself, which root may.
          enters = error == 0 || ((error == ENOSYS || error == EINVAL || error == E2BIG) && ::geteuid() == 0);
          ::rmdir(trial.c_str());
        }
      }
      if (enters && (best.root.empty() || candidate.score() > best.score())) {
        if (!best.root.empty()) {
          ::rmdir(best.root.c_str());
        }
        best = candidate;
      } else {
        ::rmdir(candidate.root.c_str());
      }
    }
    if (group.size() <= mount.size() || (!best.root.empty() && best.score() == best_score)) {
      break;
    }
  }
  if (best.root.empty()) {
    return;
  }
  if (!tracking_root_.empty()) {
    ::rmdir(tracking_root_.c_str());  // the freezer is not needed: v2 kills better
  }
  tracking_root_ = best.root;
  tracking_v2_ = true;
  clone_into_ = best.clone_into;
  if (best.memory) {
    memory_root_ = best.root;
    memory_v2_ = true;
  }
  if (best.cpuset) {
    cpuset_root_ = best.root;
    cpuset_v2_ = true;
  }
}

Containment Containment::detect(const Options& options) {
  Containment containment;
  containment.options_ = options;
  if (options.plain) {
    return containment;
  }
  auto mountinfo = read_file(options.root + "/proc/self/mountinfo");
  auto self_cgroup = read_file(options.root + "/proc/self/cgroup");
  if (!mountinfo || !self_cgroup) {
    return containment;
  }
  const CgroupPlaces places = parse_cgroup_places(*mountinfo, *self_cgroup);
  for (const char* controller : {"freezer", "memory", "cpuset"}) {
    if (const auto it = places.v1.find(controller); it != places.v1.end()) {
      containment.detect_v1(controller, options.root + it->second.own);
    }
  }
  if (places.v2) {
    containment.detect_v2(options.root + places.v2->mount, options.root + places.v2->own);
  }
  return containment;
}

std::string Containment::describe() const {
  std::string v1;
  std::string v2;
  auto add = [&](bool there, bool in_v2, const char* name) {
    if (there) {
      std::string& list = in_v2 ? v2 : v1;
      list += (list.empty() ? "" : " ") + std::string(name);
    }
  };
  add(!cpuset_root_.empty(), cpuset_v2_, "cpuset");
  add(!memory_root_.empty(), memory_v2_, "memory");
  add(!tracking_root_.empty(), tracking_v2_, tracking_v2_ ? "kill" : "freezer");
  if (v1.empty() && v2.empty()) {
    return "plain (affinity, sessions and /proc)";
  }
  if (v1.empty()) {
    return "cgroup v2 (" + v2 + ")";
  }
  return "cgroup v1 (" + v1 + ")" + (v2.empty() ? "" : ", v2 (" + v2 + ")");
}

std::vector<std::string> Containment::not_enforced() const {
  std::vector<std::string> list;
  if (memory_root_.empty()) {
    list.emplace_back("memory limits");
  }
  if (cpuset_root_.empty()) {
    list.emplace_back("cpu binding of processes that change their own affinity");
  }
  if (tracking_root_.empty()) {
    list.emplace_back("the end of processes that leave their session, their parents and their environment");
  }
  return list;
}

std::vector<run_log::ContainmentRoot> Containment::roots() const {
  std::vector<run_log::ContainmentRoot> roots;
  if (!tracking_root_.empty()) {
    roots.push_back({tracking_v2_ ? "v2" : "freezer", tracking_root_});
  }
  if (!memory_root_.empty() && !memory_v2_) {
    roots.push_back({"memory", memory_root_});
  }
  if (!cpuset_root_.empty() && !cpuset_v2_) {
    roots.push_back({"cpuset", cpuset_root_});
  }
  return roots;
}

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
  auto name = make_numbered(memory_root_);
  if (!name) {
    return tl::unexpected(name.error());
  }
  group->dir = memory_root_ + "/" + *name;
  group->peak = open_file(group->dir + "/memory.max_usage_in_bytes", O_RDWR);
  group->oom = open_file(group->dir + "/memory.oom_control", O_RDONLY);
  group->usage = open_file(group->dir + "/memory.usage_in_bytes", O_RDONLY);
  group->entry = open_file(group->dir + "/tasks", O_WRONLY);
  if (!group->entry) {
    const int error = errno;
    ::rmdir(group->dir.c_str());
    return fail_errno(error, group->dir);
  }
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

Result<TaskGroup> Containment::take(const Needs& needs) {
  TaskGroup group;
  auto give_up = [&](const Error& why) -> Result<TaskGroup> {
    (void)give_back(group);
    return tl::unexpected(why);
  };
  const bool limits_memory = needs.memory_limit_bytes > 0 && !memory_root_.empty();
  const bool limits_cpus = !needs.cpus.empty() && !cpuset_root_.empty();
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
  if (limits_memory) {
    if (!free_memory_.empty()) {
      group.memory_ = std::move(free_memory_.back());
      free_memory_.pop_back();
      group.memory_->peak.write("0");
    } else if (auto made = make_memory(group.tracking_.get())) {
      group.memory_ = std::move(*made);
    } else {
      return give_up(made.error());
    }
    MemoryGroup& memory = *group.memory_;
    if (memory.limit_bytes != needs.memory_limit_bytes) {
      const std::string limit = std::to_string(needs.memory_limit_bytes);
      // With a swap limit beside it the order matters: the smaller first lowered, last raised.
      const std::string swap = memory.dir + "/memory.memsw.limit_in_bytes";
      if (!memory_v2_) {
        (void)write_existing(swap, limit);
      }
      const char* file = memory_v2_ ? "/memory.max" : "/memory.limit_in_bytes";
      if (auto done = write_existing(memory.dir + file, limit); !done) {
        return give_up(done.error());
      }
      if (!memory_v2_) {
        (void)write_existing(swap, limit);
      }
      memory.limit_bytes = needs.memory_limit_bytes;
    }
    if (memory.entry) {
      group.join_fds_.push_back(memory.entry.fd());
    }
  }
  if (limits_cpus) {
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
  return group;
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

TaskGroup Containment::adopt(const std::vector<run_log::ContainmentRoot>& roots, const std::string& directory) {
  TaskGroup group;
  for (const run_log::ContainmentRoot& root : roots) {
    if ((root.kind == "v2" || root.kind == "freezer") && directory.starts_with(root.path + "/") && is_dir(root.path)) {
      group.tracking_ = std::make_unique<TrackingGroup>();
      group.tracking_->dir = directory;
      group.tracking_->v2 = root.kind == "v2";
    }
  }
  return group;
}

void Containment::remove_roots(const std::vector<run_log::ContainmentRoot>& roots) {
  for (const run_log::ContainmentRoot& root : roots) {
    remove_group(root.path);
  }
}

}  // namespace muster::node

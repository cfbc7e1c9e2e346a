#include "node/exec/containment.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "node/exec/cgroup_places.hpp"
#include "node/exec/system_files.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

bool make_dir(const std::string& path) { return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }
bool is_dir(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}
bool is_file(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// A group's entries cost three system calls, but groups within a task's group are rare, so ask only
// for the link count first: a group without subgroups has 2.
std::vector<std::string> subgroups(const std::string& dir) {
  std::vector<std::string> names;
  struct stat info {};
  if (::stat(dir.c_str(), &info) != 0 || info.st_nlink == 2) {
    return names;
  }
  DIR* handle = ::opendir(dir.c_str());
  if (handle == nullptr) {
    return names;
  }
  while (const dirent* entry = ::readdir(handle)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
      names.push_back(dir + "/" + entry->d_name);
    }
  }
  ::closedir(handle);
  return names;
}

void collect_processes(const std::string& dir, std::vector<pid_t>& pids) {
  if (auto text = read_file(dir + "/cgroup.procs")) {
    const char* p = text->data();
    const char* const end = p + text->size();
    while (p != end) {
      pid_t pid = 0;
      auto [after, error] = std::from_chars(p, end, pid);
      if (error != std::errc{}) {
        break;
      }
      if (pid > 0) {
        pids.push_back(pid);
      }
      p = after;
      while (p != end && *p == '\n') {
        ++p;
      }
    }
  }
  for (const std::string& sub : subgroups(dir)) {
    collect_processes(sub, pids);
  }
}

// True when the group is gone. A group with a living process can't be removed, so this also verifies.
bool remove_group(const std::string& dir) {
  if (::rmdir(dir.c_str()) == 0 || errno == ENOENT) {
    return true;
  }
  const std::vector<std::string> subs = subgroups(dir);
  bool all = true;
  for (const std::string& sub : subs) {
    all = remove_group(sub) && all;
  }
  return all && !subs.empty() && (::rmdir(dir.c_str()) == 0 || errno == ENOENT);
}

bool lists(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t at = words.find_first_of(" \n");
    if (words.substr(0, at) == word) {
      return true;
    }
    if (at == std::string_view::npos) {
      return false;
    }
    words.remove_prefix(at + 1);
  }
  return false;
}

// In `group`, lets subgroups use the controller. May change an existing group only if `may_enable`.
bool passes_on(const std::string& group, const std::string& controller, bool may_enable) {
  auto enabled = read_file(group + "/cgroup.subtree_control");
  if (enabled && lists(*enabled, controller)) {
    return true;
  }
  auto available = read_file(group + "/cgroup.controllers");
  return may_enable && available && lists(*available, controller) &&
         write_existing(group + "/cgroup.subtree_control", "+" + controller).has_value();
}

}  // namespace

int probe_clone_into(const std::string& group_dir) {
  const int fd = ::open(group_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return errno;
  }
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<std::uint64_t>(fd);
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
  if (pid == 0) {
    ::_exit(0);
  }
  const int error = pid < 0 ? errno : 0;
  ::close(fd);
  if (pid > 0) {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
  }
  return error;
}

TaskGroup& TaskGroup::operator=(TaskGroup&& other) noexcept {
  if (this != &other) {
    close_joins();
    kill_dir_ = std::exchange(other.kill_dir_, {});
    kill_v2_ = other.kill_v2_;
    memory_dir_ = std::exchange(other.memory_dir_, {});
    memory_v2_ = other.memory_v2_;
    cpuset_dir_ = std::exchange(other.cpuset_dir_, {});
    clone_fd_ = std::exchange(other.clone_fd_, -1);
    join_fds_ = std::exchange(other.join_fds_, {});
  }
  return *this;
}

void TaskGroup::close_joins() {
  if (clone_fd_ >= 0) {
    ::close(clone_fd_);
    clone_fd_ = -1;
  }
  for (int fd : join_fds_) {
    ::close(fd);
  }
  join_fds_.clear();
}

Status TaskGroup::open_joins(bool clone_into) {
  std::vector<std::string> dirs;
  if (kill_v2_ && clone_into) {
    clone_fd_ = ::open(kill_dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (clone_fd_ < 0) {
      return fail_errno(errno, kill_dir_);
    }
  } else if (!kill_dir_.empty()) {
    dirs.push_back(kill_dir_);
  }
  if (!memory_dir_.empty() && memory_dir_ != kill_dir_) {
    dirs.push_back(memory_dir_);
  }
  if (!cpuset_dir_.empty() && cpuset_dir_ != kill_dir_) {
    dirs.push_back(cpuset_dir_);
  }
  for (const std::string& dir : dirs) {
    const std::string path = dir + "/cgroup.procs";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
      return fail_errno(errno, path);
    }
    join_fds_.push_back(fd);
  }
  return {};
}

std::vector<pid_t> TaskGroup::processes() const {
  std::vector<pid_t> pids;
  if (!kill_dir_.empty()) {
    collect_processes(kill_dir_, pids);
  }
  return pids;
}

void TaskGroup::kill_all() const {
  if (kill_dir_.empty()) {
    return;
  }
  if (kill_v2_ && write_existing(kill_dir_ + "/cgroup.kill", "1")) {
    return;
  }
  // Frozen processes can't fork away; a kill takes effect when they thaw (v1) or at once (v2).
  const std::string state = kill_dir_ + (kill_v2_ ? "/cgroup.freeze" : "/freezer.state");
  (void)write_existing(state, kill_v2_ ? "1" : "FROZEN");
  for (pid_t pid : processes()) {
    ::kill(pid, SIGKILL);
  }
  (void)write_existing(state, kill_v2_ ? "0" : "THAWED");
}

bool TaskGroup::remove() {
  close_joins();
  if (!kill_dir_.empty()) {
    if (!remove_group(kill_dir_)) {
      return false;
    }
    if (memory_dir_ == kill_dir_) {
      memory_dir_.clear();
    }
    kill_dir_.clear();
  }
  if (!memory_dir_.empty()) {
    if (!remove_group(memory_dir_)) {
      return false;
    }
    memory_dir_.clear();
  }
  cpuset_dir_.clear();
  return true;
}

Bytes TaskGroup::memory_peak_bytes() const {
  if (memory_dir_.empty()) {
    return 0;
  }
  auto text = read_file(memory_dir_ + (memory_v2_ ? "/memory.peak" : "/memory.max_usage_in_bytes"));
  return text ? first_number(*text) : 0;
}

std::uint64_t TaskGroup::oom_kills() const {
  if (memory_dir_.empty()) {
    return 0;
  }
  auto text = read_file(memory_dir_ + (memory_v2_ ? "/memory.events" : "/memory.oom_control"));
  return text ? number_after(*text, "oom_kill") : 0;
}

void Containment::detect_v1(const std::string& controller, const std::string& own, const std::string& launcher_id) {
  const std::string root = own + "/muster-" + launcher_id;
  if (!make_dir(root)) {
    return;
  }
  if (controller == "freezer") {
    if (is_file(root + "/freezer.state")) {
      kill_root_ = root;
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
      while (value && !value->empty() && value->back() == '\n') {
        value->pop_back();
      }
      ok = ok && value && write_existing(root + file, *value).has_value();
    }
    if (ok) {
      cpuset_root_ = root;
      return;
    }
  }
  ::rmdir(root.c_str());
}

void Containment::detect_v2(const std::string& mount, const std::string& own, const std::string& launcher_id,
                            bool probe) {
  struct Candidate {
    std::string root;
    bool memory{};
    bool cpuset{};
    bool clone_into{};
    [[nodiscard]] int score() const { return 1 + static_cast<int>(memory) + static_cast<int>(cpuset); }
  };
  const bool want_memory = memory_root_.empty();
  const bool want_cpuset = cpuset_root_.empty();
  const int best_score = 1 + static_cast<int>(want_memory) + static_cast<int>(want_cpuset);
  Candidate best;
  // The own group first, then its parents: a group that holds processes can't pass controllers on, but a
  // parent (a delegated slice, or for root the top) may. Only the own group's settings are changed.
  for (std::string group = own;; group.erase(group.rfind('/'))) {
    Candidate candidate;
    candidate.root = group + "/muster-" + launcher_id;
    if (make_dir(candidate.root)) {
      const bool may_enable = group == own;
      candidate.memory = want_memory && passes_on(group, "memory", may_enable) &&
                         passes_on(candidate.root, "memory", true);
      candidate.cpuset = want_cpuset && passes_on(group, "cpuset", may_enable) &&
                         passes_on(candidate.root, "cpuset", true);
      bool enters = true;
      const std::string trial = candidate.root + "/trial";
      if (probe) {
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
  if (!kill_root_.empty()) {
    ::rmdir(kill_root_.c_str());  // the freezer is not needed: v2 kills better
  }
  kill_root_ = best.root;
  kill_v2_ = true;
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
      containment.detect_v1(controller, options.root + it->second.own, options.launcher_id);
    }
  }
  if (places.v2) {
    containment.detect_v2(options.root + places.v2->mount, options.root + places.v2->own, options.launcher_id,
                          options.root.empty());
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
  add(!kill_root_.empty(), kill_v2_, kill_v2_ ? "kill" : "freezer");
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
  if (kill_root_.empty()) {
    list.emplace_back("the end of processes that leave their session, their parents and their environment");
  }
  return list;
}

std::vector<run_log::ContainmentRoot> Containment::roots() const {
  std::vector<run_log::ContainmentRoot> roots;
  if (!kill_root_.empty()) {
    roots.push_back({kill_v2_ ? "v2" : "freezer", kill_root_});
  }
  if (!memory_root_.empty() && !memory_v2_) {
    roots.push_back({"memory", memory_root_});
  }
  if (!cpuset_root_.empty() && !cpuset_v2_) {
    roots.push_back({"cpuset", cpuset_root_});
  }
  return roots;
}

Result<TaskGroup> Containment::create(const std::string& name, const Needs& needs) const {
  TaskGroup group;
  auto give_up = [&group](Status why) -> Result<TaskGroup> {
    (void)group.remove();
    return tl::unexpected(why.error());
  };
  if (!kill_root_.empty()) {
    const std::string dir = kill_root_ + "/" + name;
    if (!make_dir(dir)) {
      return fail_errno(errno, dir);
    }
    group.kill_dir_ = dir;
    group.kill_v2_ = kill_v2_;
  }
  if (needs.memory_limit_bytes > 0 && !memory_root_.empty()) {
    const std::string dir = memory_root_ + "/" + name;
    const std::string limit = std::to_string(needs.memory_limit_bytes);
    if (!make_dir(dir)) {
      return give_up(fail_errno(errno, dir));
    }
    group.memory_dir_ = dir;
    group.memory_v2_ = memory_v2_;
    if (auto done = write_existing(dir + (memory_v2_ ? "/memory.max" : "/memory.limit_in_bytes"), limit); !done) {
      return give_up(done);
    }
    if (memory_v2_) {
      (void)write_existing(dir + "/memory.swap.max", "0");
      (void)write_existing(dir + "/memory.oom.group", "1");
    } else {
      (void)write_existing(dir + "/memory.memsw.limit_in_bytes", limit);
    }
  }
  if (!needs.cpus.empty() && !cpuset_root_.empty()) {
    const std::string list = format_cpu_list(needs.cpus);
    if (cpuset_v2_) {
      group.cpuset_dir_ = cpuset_root_ + "/" + name;
      if (auto done = write_existing(group.cpuset_dir_ + "/cpuset.cpus", list); !done) {
        return give_up(done);
      }
    } else {
      // Nothing is counted in a cpuset, so all tasks with the same cpus share one.
      group.cpuset_dir_ = cpuset_root_ + "/cpus-" + list;
      if (::mkdir(group.cpuset_dir_.c_str(), 0755) == 0) {
        auto mems = read_file(cpuset_root_ + "/cpuset.mems");
        while (mems && !mems->empty() && mems->back() == '\n') {
          mems->pop_back();
        }
        Status done = write_existing(group.cpuset_dir_ + "/cpuset.cpus", list);
        if (done) {
          done = write_existing(group.cpuset_dir_ + "/cpuset.mems", mems ? *mems : "0");
        }
        if (!done) {
          ::rmdir(group.cpuset_dir_.c_str());
          return give_up(done);
        }
      } else if (errno != EEXIST) {
        return give_up(fail_errno(errno, group.cpuset_dir_));
      }
    }
  }
  if (auto done = group.open_joins(clone_into_); !done) {
    return give_up(done);
  }
  return group;
}

TaskGroup Containment::adopt(const std::vector<run_log::ContainmentRoot>& roots, const std::string& name) {
  TaskGroup group;
  for (const run_log::ContainmentRoot& root : roots) {
    const std::string dir = root.path + "/" + name;
    if (!is_dir(dir)) {
      continue;
    }
    if (root.kind == "v2" || root.kind == "freezer") {
      group.kill_dir_ = dir;
      group.kill_v2_ = root.kind == "v2";
      if (group.kill_v2_ && is_file(dir + "/memory.max")) {
        group.memory_dir_ = dir;
        group.memory_v2_ = true;
      }
    } else if (root.kind == "memory") {
      group.memory_dir_ = dir;
      group.memory_v2_ = false;
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

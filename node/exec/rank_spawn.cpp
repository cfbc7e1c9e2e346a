#include "node/exec/rank_spawn.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>
#include <unordered_map>

#include "node/exec/process_scan.hpp"
#include "node/exec/run_log.hpp"

namespace muster::node {
namespace {

constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

// Runs in the child, which is single-threaded like its parent, so all of libc may be used.
class Child {
 public:
  Child(const SpawnSettings& settings, const RankSpawn& spawn)
      : settings_(settings), spawn_(spawn), task_(spawn.task), rank_(spawn.task.ranks[spawn.rank_index]) {}

  [[noreturn]] void run() {
    begin_session();
    enter_groups();
    bind_cpus();
    set_limits();
    become_user();
    if (!task_.working_directory.empty() && ::chdir(task_.working_directory.c_str()) != 0) {
      give_up(SpawnStep::directory, errno);
    }
    open_stdio();
    prepare_command();
    if (spawn_.gate_fd >= 0) {
      wait_at_gate();
    } else {
      append_started();
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(command_.c_str(), arguments_.data(), environment_.data());
    give_up(SpawnStep::exec, errno);
  }

 private:
  void report(SpawnStep step, int error) const {
    SpawnReport report;
    report.token = spawn_.token;
    report.start_time_ticks = start_time_ticks_;
    report.wall_ns = started_.ns();
    report.pid = ::getpid();
    report.rank_index = spawn_.rank_index;
    report.errno_value = error;
    report.step = step;
    while (::write(settings_.report_fd, &report, sizeof(report)) < 0 && errno == EINTR) {
    }
  }
  [[noreturn]] void give_up(SpawnStep step, int error) const {
    report(step, error);
    ::_exit(127);
  }

  // Dies with the launcher: a launcher that is gone can't say how its tasks end.
  void die_with_launcher() const {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != settings_.launcher_pid) {
      ::_exit(127);
    }
  }

  void begin_session() {
    die_with_launcher();
    if (::setsid() < 0) {
      give_up(SpawnStep::session, errno);
    }
  }

  void enter_groups() const {
    for (int fd : spawn_.group.join_fds()) {
      if (::pwrite(fd, "0", 1, 0) != 1) {
        give_up(SpawnStep::group, errno);
      }
    }
  }

  void bind_cpus() const {
    if (rank_.cpus.empty()) {
      return;
    }
    const std::uint32_t last = *std::max_element(rank_.cpus.begin(), rank_.cpus.end());
    const std::size_t bytes = CPU_ALLOC_SIZE(last + 1);
    cpu_set_t* set = CPU_ALLOC(last + 1);
    CPU_ZERO_S(bytes, set);
    for (std::uint32_t cpu : rank_.cpus) {
      CPU_SET_S(cpu, bytes, set);
    }
    if (::sched_setaffinity(0, bytes, set) != 0) {
      give_up(SpawnStep::affinity, errno);
    }
    CPU_FREE(set);
  }

  void set_limits() const {
    rlimit core{};
    if (::getrlimit(RLIMIT_CORE, &core) == 0) {
      core.rlim_cur = 0;
      ::setrlimit(RLIMIT_CORE, &core);
    }
    if (::setrlimit(RLIMIT_NOFILE, &settings_.open_files) != 0) {
      give_up(SpawnStep::limits, errno);
    }
    ::umask(022);
  }

  void become_user() const {
    if (!task_.switch_user) {
      return;
    }
    if (::geteuid() == 0 || task_.uid != ::geteuid()) {
      if (::setgroups(spawn_.supplementary_groups.size(), spawn_.supplementary_groups.data()) != 0 ||
          ::setresgid(task_.gid, task_.gid, task_.gid) != 0 || ::setresuid(task_.uid, task_.uid, task_.uid) != 0) {
        give_up(SpawnStep::user, errno);
      }
      die_with_launcher();  // a change of user clears the death signal
    }
  }

  // Non-blocking open: a FIFO without a peer must not hold the child for ever.
  static int open_file(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
    if (fd >= 0) {
      ::fcntl(fd, F_SETFL, flags & O_APPEND);
    }
    return fd;
  }

  // REQUIRES: descriptors 0 to 2 are open in the launcher, so none of ours is one of them.
  void open_stdio() const {
    const int write_flags = O_WRONLY | O_APPEND | O_CREAT | (task_.truncate_output ? O_TRUNC : 0);
    auto install = [this](const std::string& path, int flags, int target, SpawnStep step) {
      const int fd = path.empty() ? settings_.null_fd : open_file(path, flags);
      if (fd < 0 || ::dup2(fd, target) < 0) {
        give_up(step, errno);
      }
    };
    install(task_.stdin_path, O_RDONLY, 0, SpawnStep::input);
    install(rank_.stdout_path, write_flags, 1, SpawnStep::output);
    if (rank_.stderr_path.empty() || rank_.stderr_path == rank_.stdout_path) {
      ::dup2(1, 2);
    } else {
      install(rank_.stderr_path, write_flags, 2, SpawnStep::error_output);
    }
  }

  static int check_executable(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
      return errno;
    }
    if (S_ISDIR(info.st_mode)) {
      return EISDIR;
    }
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 ? 0 : errno;
  }

  // Finds the command now, as the user and in the directory of the task, so that what is missing is
  // known while the rank is parked.
  void prepare_command() {
    environment_texts_ =
        merge_environment(task_.environment, rank_.environment, attempt_marker(settings_.launcher_id, task_));
    for (std::string& entry : environment_texts_) {
      environment_.push_back(entry.data());
    }
    environment_.push_back(nullptr);
    for (const std::string& argument : task_.argv) {
      arguments_.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments_.push_back(nullptr);

    const std::string& name = task_.argv.front();
    int error = ENOENT;
    if (name.find('/') != std::string::npos) {
      command_ = name;
      error = check_executable(name);
    } else if (!name.empty()) {
      const std::string path = search_path(environment_texts_);
      for (std::size_t at = 0; at <= path.size() && error != 0;) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        const std::string directory = path.substr(at, end - at);
        command_ = (directory.empty() ? "." : directory) + "/" + name;
        const int found = check_executable(command_);
        if (found == 0 || (found != ENOENT && found != ENOTDIR && error == ENOENT)) {
          error = found;
        }
        at = end + 1;
      }
    }
    if (error != 0) {
      give_up(SpawnStep::resolve, error);
    }
    if (auto self = read_process(::getpid())) {
      start_time_ticks_ = self->start_time_ticks;
    }
  }

  // Parked children must not keep other tasks' gates and the agent's connection open.
  void close_inherited() const {
    std::array<int, 3> keep{settings_.report_fd, settings_.lock_fd, spawn_.gate_fd};
    std::sort(keep.begin(), keep.end());
    int next = 3;
    for (int fd : keep) {
      if (fd > next) {
        ::syscall(SYS_close_range, next, fd - 1, 0);
      }
      next = std::max(next, fd + 1);
    }
    ::syscall(SYS_close_range, next, ~0U, 0);
  }

  void wait_at_gate() const {
    close_inherited();
    report(SpawnStep::ready, 0);
    char word = 0;
    ssize_t n = 0;
    do {
      n = ::read(spawn_.gate_fd, &word, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1 || word != 'G') {
      ::_exit(125);  // released, or the launcher is gone
    }
  }

  void append_started() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    started_ = WallTime::from_ns(static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec);
    const std::string record =
        run_log::encode_started(task_.framework, task_.attempt, started_,
                                {RankProcess{rank_.rank, ::getpid(), start_time_ticks_}}, spawn_.group.directory());
    const ssize_t n = ::write(spawn_.log_fd, record.data(), record.size());
    if (n != static_cast<ssize_t>(record.size())) {
      give_up(SpawnStep::log, n < 0 ? errno : ENOSPC);
    }
    report(SpawnStep::started, 0);
  }

  const SpawnSettings& settings_;
  const RankSpawn& spawn_;
  const TaskStart& task_;
  const RankStart& rank_;
  std::uint64_t start_time_ticks_{};
  WallTime started_;
  std::string command_;
  std::vector<std::string> environment_texts_;
  std::vector<char*> environment_;
  std::vector<char*> arguments_;
};

}  // namespace

Result<pid_t> spawn_rank(const SpawnSettings& settings, const RankSpawn& spawn) {
  pid_t pid = -1;
  if (spawn.group.clone_fd() >= 0) {
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(spawn.group.clone_fd());
    pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
  } else {
    pid = ::fork();
  }
  if (pid < 0) {
    return fail_errno(errno, "process can't be created");
  }
  if (pid == 0) {
    Child(settings, spawn).run();
  }
  return pid;
}

std::string attempt_marker(const std::string& launcher_id, const TaskStart& task) {
  return "MUSTER_ATTEMPT_KEY=" + launcher_id + ":" + std::to_string(task.framework.value()) + ":" +
         std::to_string(task.attempt.hi) + ":" + std::to_string(task.attempt.lo);
}

std::vector<std::string> merge_environment(const std::vector<std::string>& task, const std::vector<std::string>& rank,
                                           std::string marker) {
  std::vector<std::string> merged;
  merged.reserve(task.size() + rank.size() + 1);
  std::unordered_map<std::string, std::size_t> places;
  auto add = [&](const std::string& entry) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || entry.find('\0') != std::string::npos) {
      return;
    }
    auto [it, is_new] = places.try_emplace(entry.substr(0, equals), merged.size());
    if (is_new) {
      merged.push_back(entry);
    } else {
      merged[it->second] = entry;
    }
  };
  for (const std::string& entry : task) {
    add(entry);
  }
  for (const std::string& entry : rank) {
    add(entry);
  }
  add(marker);
  return merged;
}

std::string search_path(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) {
      return entry.substr(5);
    }
  }
  return kDefaultPath;
}

Result<std::vector<gid_t>> user_groups(std::uint32_t uid, std::uint32_t gid) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  int error = 0;
  while ((error = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found)) == ERANGE &&
         buffer.size() < (std::size_t{1} << 22U)) {
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr) {
    return fail(Errc::not_found, "user id " + std::to_string(uid) + " is unknown on this node" +
                                     (error != 0 ? std::string(": ") + std::strerror(error) : std::string()));
  }
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  if (::getgrouplist(found->pw_name, gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(found->pw_name, gid, groups.data(), &count) < 0) {
      return fail(Errc::io, "groups of user " + std::string(found->pw_name) + " can't be read");
    }
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

}  // namespace muster::node

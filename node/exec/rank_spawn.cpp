#include "node/exec/rank_spawn.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string_view>

#include "node/exec/process_scan.hpp"
#include "node/exec/run_log.hpp"

namespace muster::node {
namespace {

// Runs in the child, whose memory may be the launcher's: no allocation, no lock, and system calls where libc's
// wrappers would speak to other threads.
class Child {
 public:
  Child(RankSetup& setup, bool shares_memory)
      : settings_(*setup.settings),
        setup_(setup),
        task_(*setup.task),
        rank_(task_.ranks[setup.report.rank_index]),
        shares_memory_(shares_memory) {}

  [[noreturn]] void run() {
    setup_.pid.store(static_cast<pid_t>(::syscall(SYS_getpid)), std::memory_order_release);
    setup_.report.pid = setup_.pid.load(std::memory_order_relaxed);
    begin_session();
    enter_groups();
    if (shares_memory_) {
      leave_shared_files();
    }
    bind_cpus();
    set_limits();
    become_user();
    if (!task_.working_directory.empty() && ::chdir(task_.working_directory.c_str()) != 0) {
      give_up(SpawnStep::directory, errno);
    }
    open_stdio();
    find_command();
    read_start_time();
    if (setup_.gate_fd >= 0) {
      wait_at_gate();
    } else {
      append_started();
    }
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(command_, setup_.arguments.data(), setup_.environment.pointers());
    give_up(SpawnStep::exec, errno);
  }

 private:
  void report(SpawnStep step, int error) {
    SpawnReport& report = setup_.report;
    report.errno_value = error;
    report.step = step;
    if (shares_memory_) {
      setup_.reported = true;
      return;
    }
    while (::write(settings_.report_fd, &report, sizeof(report)) < 0 && errno == EINTR) {
    }
  }
  [[noreturn]] void give_up(SpawnStep step, int error) {
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

  void enter_groups() {
    for (int fd : setup_.join_fds) {
      if (fd >= 0 && ::pwrite(fd, "0", 1, 0) != 1) {
        give_up(SpawnStep::group, errno);
      }
    }
  }

  // The launcher's table of files is shared until here and may hold hundreds that a copy would take and exec
  // would close again: only the low ones are copied.
  void leave_shared_files() {
    const int last = std::max({settings_.report_fd, settings_.lock_fd, settings_.null_fd, setup_.log_fd,
                               setup_.input.fd(), setup_.report_fd, 2});
    if (::syscall(SYS_close_range, last + 1, ~0U, CLOSE_RANGE_UNSHARE) != 0 && ::unshare(CLONE_FILES) != 0) {
      give_up(SpawnStep::limits, errno);
    }
  }

  void bind_cpus() {
    const auto& mask = setup_.cpu_mask;
    if (!mask.empty() && ::syscall(SYS_sched_setaffinity, 0, mask.size() * sizeof(mask[0]), mask.data()) < 0) {
      give_up(SpawnStep::affinity, errno);
    }
  }

  void set_limits() {
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

  void become_user() {
    if (!setup_.switch_user) {
      return;
    }
    const auto& groups = setup_.supplementary_groups;
    if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0 ||
        ::syscall(SYS_setresgid, task_.gid, task_.gid, task_.gid) != 0 ||
        ::syscall(SYS_setresuid, task_.uid, task_.uid, task_.uid) != 0) {
      give_up(SpawnStep::user, errno);
    }
    die_with_launcher();  // a change of user clears the death signal
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
  void open_stdio() {
    const int write_flags = O_WRONLY | O_APPEND | O_CREAT | (task_.truncate_output ? O_TRUNC : 0);
    auto install = [this](const std::string& path, int flags, int target, SpawnStep step) {
      const int fd = path.empty() ? settings_.null_fd : open_file(path, flags);
      if (fd < 0 || ::dup2(fd, target) < 0) {
        give_up(step, errno);
      }
    };
    auto take = [this](int fd, int target, SpawnStep step) {
      if (::dup2(fd, target) < 0) {
        give_up(step, errno);
      }
    };
    if (setup_.input) {
      take(setup_.input.fd(), 0, SpawnStep::input);
    } else {
      install(task_.stdin_path, O_RDONLY, 0, SpawnStep::input);
    }
    const bool reports = setup_.report_fd >= 0;
    if (reports) {
      take(setup_.report_fd, 1, SpawnStep::output);
    } else {
      install(rank_.stdout_path, write_flags, 1, SpawnStep::output);
    }
    if (!reports && (rank_.stderr_path.empty() || rank_.stderr_path == rank_.stdout_path)) {
      ::dup2(1, 2);
    } else {
      install(rank_.stderr_path, write_flags, 2, SpawnStep::error_output);
    }
  }

  static int check_executable(const char* path) {
    struct stat info {};
    if (::stat(path, &info) != 0) {
      return errno;
    }
    if (S_ISDIR(info.st_mode)) {
      return EISDIR;
    }
    return ::faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : errno;
  }

  // Finds the command now, as the user and in the directory of the task, so that what is missing is
  // known while the rank is parked.
  void find_command() {
    int error = ENOENT;
    for (const std::string& place : setup_.commands) {
      const int found = check_executable(place.c_str());
      if (found == 0) {
        command_ = place.c_str();
        return;
      }
      if (error == ENOENT && found != ENOENT && (found != ENOTDIR || setup_.commands.size() == 1)) {
        error = found;
      }
    }
    give_up(SpawnStep::resolve, error);
  }

  void read_start_time() {
    std::array<char, 1024> text;  // filled by read
    const int fd = ::open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : ::read(fd, text.data(), text.size());
    if (fd >= 0) {
      ::close(fd);
    }
    if (const auto self = parse_stat(std::string_view(text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))))) {
      setup_.report.start_time_ticks = self->start_time_ticks;
    }
  }

  // Parked children must not keep other tasks' gates and the agent's connection open.
  void close_inherited() const {
    std::array<int, 3> keep{settings_.report_fd, settings_.lock_fd, setup_.gate_fd};
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

  void wait_at_gate() {
    close_inherited();
    report(SpawnStep::ready, 0);
    char word = 0;
    ssize_t n = 0;
    do {
      n = ::read(setup_.gate_fd, &word, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1 || word != 'G') {
      ::_exit(125);  // released, or the launcher is gone
    }
  }

  void append_started() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    SpawnReport& report = setup_.report;
    report.wall_ns = static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
    std::string& record = setup_.started_record;
    run_log::complete_started(record, WallTime::from_ns(report.wall_ns),
                              {rank_.rank, report.pid, report.start_time_ticks});
    const ssize_t n = ::write(setup_.log_fd, record.data(), record.size());
    if (n != static_cast<ssize_t>(record.size())) {
      give_up(SpawnStep::log, n < 0 ? errno : ENOSPC);
    }
    this->report(SpawnStep::started, 0);
  }

  const SpawnSettings& settings_;
  RankSetup& setup_;
  const TaskStart& task_;
  const RankStart& rank_;
  bool shares_memory_;
  const char* command_{};
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kWatched = true;
#else
constexpr bool kWatched = false;
#endif
#if defined(__x86_64__)
constexpr bool kClonesIntoGroups = true;
#else
constexpr bool kClonesIntoGroups = false;
#endif

int run_child(void* setup) { Child(*static_cast<RankSetup*>(setup), true).run(); }

#if defined(__x86_64__)
// clone3 with a stack of its own, which libc does not offer: `child` runs on it and must not return.
long clone3_on_stack(clone_args& args, int (*child)(void*), void* argument) {
  long result = SYS_clone3;
  register int (*function)(void*) asm("r12") = child;
  register void* parameter asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&args), "S"(sizeof(args)), "r"(function), "r"(parameter)
      : "rcx", "r11", "memory");
  return result;
}
#endif

}  // namespace

Result<pid_t> fork_rank(RankSetup& setup) {
  pid_t pid = -1;
  if (setup.clone_fd >= 0) {
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(setup.clone_fd);
    pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
  } else {
    pid = ::fork();
  }
  if (pid < 0) {
    return fail_errno(errno, "process can't be created");
  }
  if (pid == 0) {
    Child(setup, false).run();
  }
  return pid;
}

bool can_ever_share() { return !kWatched; }

bool can_share(const RankSetup& setup) {
  return !kWatched && setup.gate_fd < 0 && (setup.clone_fd < 0 || kClonesIntoGroups);
}

pid_t share_rank(RankSetup& setup, std::span<std::byte> stack) {
  constexpr int kFlags = CLONE_VM | CLONE_VFORK | CLONE_FILES;
#if defined(__x86_64__)
  if (setup.clone_fd >= 0) {
    clone_args args{};
    args.flags = kFlags | CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.stack = reinterpret_cast<std::uint64_t>(stack.data());
    args.stack_size = stack.size();
    args.cgroup = static_cast<std::uint64_t>(setup.clone_fd);
    return static_cast<pid_t>(clone3_on_stack(args, run_child, &setup));
  }
#endif
  const int pid = ::clone(run_child, stack.data() + stack.size(), kFlags | SIGCHLD, &setup);
  return pid < 0 ? -errno : pid;
}

}  // namespace muster::node

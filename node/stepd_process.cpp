#include "node/stepd_process.hpp"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>

#include "node/exec/command_places.hpp"

namespace muster::node {
namespace {

constexpr int kFirstInherited = 3;

rlimit open_files{};  // as we found it; zero: as it is

// What fails between vfork and exec.
enum class Stage : std::uint8_t { none, session, directory, binding, exec };

struct ChildPlan {
  std::array<int, 3> stdio{-1, -1, -1};
  std::vector<int> inherit;             // become 3, 4, …
  const char* directory{};
  std::vector<unsigned long> cpu_mask;
  std::vector<std::string> places;      // where the command may be, in order
  std::vector<char*> argv;
  std::vector<char*> environment;
  bool terminal{};
  bool local_memory{};
  // filled by the child, whose memory is ours
  Stage failed_at{Stage::none};
  int error{};
};

// Runs in the child on our memory: system calls only.
[[noreturn]] void run_child(ChildPlan& plan) {
  const auto give_up = [&](Stage stage, int error) {
    plan.failed_at = stage;
    plan.error = error;
    ::_exit(127);
  };
  ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::syscall(SYS_setsid) < 0) {
    give_up(Stage::session, errno);
  }
  for (int target = 0; target < 3; ++target) {
    ::syscall(SYS_dup3, plan.stdio[static_cast<std::size_t>(target)], target, 0);
  }
  if (plan.terminal) {
    ::ioctl(0, TIOCSCTTY, 0);
  }
  for (std::size_t i = 0; i < plan.inherit.size(); ++i) {
    ::syscall(SYS_dup3, plan.inherit[i], kFirstInherited + static_cast<int>(i), 0);
  }
  if (!plan.cpu_mask.empty() &&
      ::syscall(SYS_sched_setaffinity, 0, plan.cpu_mask.size() * sizeof(unsigned long), plan.cpu_mask.data()) < 0) {
    give_up(Stage::binding, errno);
  }
  if (plan.local_memory) {
    ::syscall(SYS_set_mempolicy, MPOL_LOCAL, nullptr, 0);  // a kernel without NUMA has nothing to refuse
  }
  if (open_files.rlim_max != 0) {
    ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &open_files, nullptr);
  }
  if (::chdir(plan.directory) != 0) {
    give_up(Stage::directory, errno);
  }
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < 32; ++signal) {
    ::sigaction(signal, &standard, nullptr);
  }
  std::array<unsigned char, 8> no_signals{};
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, no_signals.data(), nullptr, no_signals.size());
  int error = ENOENT;
  for (const std::string& place : plan.places) {
    ::execve(place.c_str(), plan.argv.data(), plan.environment.data());
    if (errno != ENOENT && errno != ENOTDIR) {
      error = errno;
      if (errno != EACCES) {
        break;
      }
    }
  }
  give_up(Stage::exec, error);
  __builtin_unreachable();
}

StartFault fault_of(const ChildPlan& plan, const std::string& command) {
  const std::string why = std::strerror(plan.error);
  switch (plan.failed_at) {
    case Stage::directory: return {1, "working directory '" + std::string(plan.directory) + "': " + why};
    case Stage::binding: return {1, "cpus can't be bound: " + why};
    case Stage::session: return {1, "session: " + why};
    default: break;
  }
  if (plan.error == ENOENT || plan.error == ENOTDIR) {
    return {127, "command '" + command + "' was not found"};
  }
  return {plan.error == EACCES || plan.error == ENOEXEC ? 126 : 1, "command '" + command + "' can't be executed: " + why};
}

// Descriptors that are closed again on the way out.
class Closing {
 public:
  ~Closing() {
    for (const int fd : fds_) {
      ::close(fd);
    }
  }
  int keep(int fd) {
    if (fd >= 0) {
      fds_.push_back(fd);
    }
    return fd;
  }

 private:
  std::vector<int> fds_;
};

// "#!/bin/bash -e" → what to run before the script's path; the kernel's way: one argument at most.
std::vector<std::string> interpreter_words(const std::vector<std::uint8_t>& script) {
  const std::string_view text(reinterpret_cast<const char*>(script.data()), std::min<std::size_t>(script.size(), 4096));
  if (!text.starts_with("#!")) {
    return {"/bin/sh"};
  }
  std::string_view line = text.substr(2, text.find_first_of("\r\n") - 2);
  const auto trim = [](std::string_view s) {
    const auto from = s.find_first_not_of(" \t");
    return from == std::string_view::npos ? std::string_view() : s.substr(from, s.find_last_not_of(" \t") + 1 - from);
  };
  line = trim(line);
  if (line.empty()) {
    return {"/bin/sh"};
  }
  const auto space = line.find_first_of(" \t");
  std::vector<std::string> words{std::string(line.substr(0, space))};
  if (space != std::string_view::npos) {
    words.emplace_back(trim(line.substr(space)));
  }
  return words;
}

}  // namespace

void raise_open_files() {
  if (::getrlimit(RLIMIT_NOFILE, &open_files) == 0) {
    rlimit most = open_files;
    most.rlim_cur = most.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &most);
  }
}

StepFiles::~StepFiles() {
  for (const auto& [path, fd] : open_) {
    ::close(fd);
  }
}

Result<int> StepFiles::output(const std::string& path, bool truncate) {
  if (const auto known = open_.find(path); known != open_.end()) {
    return known->second;
  }
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (truncate ? O_TRUNC : 0), 0644);
  if (fd < 0) {
    return fail_errno(errno, "output file '" + path + "'");
  }
  ::fcntl(fd, F_SETFL, O_APPEND);
  open_.emplace(path, fd);
  return fd;
}

tl::expected<StartedRank, StartFault> start_rank(const step_out::StartRank& rank, const RankExtras& extras, StepFiles& files) {
  ChildPlan plan;
  StartedRank started;
  Closing closing;
  std::vector<int> ours;
  const auto no = [&](std::string text, std::int32_t code = 1) {
    for (const int fd : ours) {
      ::close(fd);
    }
    return tl::unexpected(StartFault{code, std::move(text)});
  };
  const int null_fd = closing.keep(::open("/dev/null", O_RDWR | O_CLOEXEC));
  plan.stdio = {null_fd, null_fd, null_fd};
  const auto make_pipe = [&](bool to_child, int target) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
      return -1;
    }
    const int mine = to_child ? ends[1] : ends[0];
    plan.stdio[static_cast<std::size_t>(target)] = closing.keep(to_child ? ends[0] : ends[1]);
    ::fcntl(mine, F_SETFL, O_NONBLOCK);
    ours.push_back(mine);
    return mine;
  };
  if (rank.pty) {
    int master = -1;
    int slave = -1;
    winsize size{rank.rows, rank.columns, 0, 0};
    if (::openpty(&master, &slave, nullptr, nullptr, rank.rows != 0 ? &size : nullptr) != 0) {
      return no(std::string("a terminal can't be made: ") + std::strerror(errno));
    }
    ::fcntl(master, F_SETFD, FD_CLOEXEC);
    ::fcntl(slave, F_SETFD, FD_CLOEXEC);
    ::fcntl(master, F_SETFL, O_NONBLOCK);
    closing.keep(slave);
    ours.push_back(master);
    plan.stdio = {slave, slave, slave};
    plan.terminal = true;
    started.pipes = {master, master, -1};
  } else {
    if (!rank.stdin_path.empty()) {
      const int fd = closing.keep(::open(rank.stdin_path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
      if (fd < 0) {
        return no("input file '" + rank.stdin_path + "': " + std::strerror(errno));
      }
      plan.stdio[0] = fd;
    } else if (rank.stdin_pipe && (started.pipes.input = make_pipe(true, 0)) < 0) {
      return no(std::string("a pipe can't be made: ") + std::strerror(errno));
    }
    if (!rank.stdout_path.empty()) {
      auto fd = files.output(rank.stdout_path, rank.truncate_output);
      if (!fd) {
        return no(fd.error().text);
      }
      plan.stdio[1] = plan.stdio[2] = *fd;
    } else if (rank.stdout_pipe && (started.pipes.output = make_pipe(false, 1)) < 0) {
      return no(std::string("a pipe can't be made: ") + std::strerror(errno));
    }
    if (!rank.stderr_path.empty()) {
      auto fd = files.output(rank.stderr_path, rank.truncate_error);
      if (!fd) {
        return no(fd.error().text);
      }
      plan.stdio[2] = *fd;
    } else if (rank.stderr_pipe && (started.pipes.error = make_pipe(false, 2)) < 0) {
      return no(std::string("a pipe can't be made: ") + std::strerror(errno));
    }
  }
  // The target numbers are low; what is inherited moves out of their way first.
  std::vector<std::string> lines = extras.environment;
  int number = kFirstInherited;
  for (const auto& inherit : extras.inherit) {
    const int high = closing.keep(::fcntl(inherit.fd, F_DUPFD_CLOEXEC, 64));
    plan.inherit.push_back(high);
    lines.push_back(inherit.variable + "=" + std::to_string(number++));
  }
  for (int& fd : plan.stdio) {
    if (fd < kFirstInherited + static_cast<int>(plan.inherit.size())) {
      fd = closing.keep(::fcntl(fd, F_DUPFD_CLOEXEC, 64));
    }
  }
  std::map<std::string_view, const char*> environment;  // later wins
  const auto add_lines = [&](const std::vector<std::string>& from) {
    for (const std::string& line : from) {
      environment[std::string_view(line).substr(0, line.find('='))] = line.c_str();
    }
  };
  if (rank.environment) {
    add_lines(*rank.environment);
  }
  add_lines(rank.rank_environment);
  add_lines(lines);
  for (const auto& [name, line] : environment) {
    plan.environment.push_back(const_cast<char*>(line));
  }
  plan.environment.push_back(nullptr);
  const auto path = environment.find("PATH");
  const std::string search = path == environment.end() ? "/usr/local/bin:/usr/bin:/bin" : std::string(path->second).substr(5);
  std::vector<std::string> words = rank.argv;
  if (rank.script != nullptr) {
    words = interpreter_words(*rank.script);
    words.push_back(extras.script_path);
    words.insert(words.end(), rank.argv.begin() + 1, rank.argv.end());
  }
  for (const std::string& word : words) {
    plan.argv.push_back(const_cast<char*>(word.c_str()));
  }
  plan.argv.push_back(nullptr);
  plan.places = command_places(words.front(), search);
  if (words.front().find('/') == std::string::npos && plan.places.empty()) {
    return no("command '" + words.front() + "' was not found", 127);
  }
  plan.directory = rank.working_directory.c_str();
  plan.local_memory = rank.local_memory;
  for (const std::uint32_t cpu : rank.os_cpus) {
    constexpr std::size_t kBits = sizeof(unsigned long) * CHAR_BIT;
    plan.cpu_mask.resize(std::max(plan.cpu_mask.size(), cpu / kBits + 1));
    plan.cpu_mask[cpu / kBits] |= 1UL << (cpu % kBits);
  }
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);  // no handler may run in the child
  const pid_t pid = ::vfork();
  if (pid == 0) {
    run_child(plan);
  }
  const int vfork_error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return no(std::string("a process can't be made: ") + std::strerror(vfork_error));
  }
  if (plan.failed_at != Stage::none) {
    ::waitpid(pid, nullptr, 0);
    const StartFault fault = fault_of(plan, words.front());
    return no(fault.text, fault.exit_code);
  }
  started.pid = pid;
  return started;
}

}  // namespace muster::node

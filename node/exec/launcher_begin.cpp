// Launcher: its lock, its recovery from the run log, its descriptors.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdio>

#include "node/exec/cpu_affinity.hpp"
#include "node/exec/launcher.hpp"
#include "node/exec/rank_spawn.hpp"
#include "node/exec/system_files.hpp"

namespace muster::node {
namespace {

std::string random_id() {
  std::uint64_t bits = 0;
  [[maybe_unused]] const ssize_t n = ::getrandom(&bits, sizeof(bits), 0);
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "%016" PRIx64, bits);
  return text.data();
}

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::create(const Options& options) {
  std::unique_ptr<Launcher> launcher(new Launcher(options));
  launcher->now_ = launcher->clock_.now();
  for (auto begin : {&Launcher::take_lock, &Launcher::recover, &Launcher::open_descriptors}) {
    if (auto done = (launcher.get()->*begin)(); !done) {
      return tl::unexpected(done.error());
    }
  }
  return launcher;
}

Launcher::~Launcher() {
  for (int fd : {epoll_fd_, signal_fd_, listen_fd_, report_read_fd_, spawn_settings_.report_fd, spawn_settings_.lock_fd,
                 spawn_settings_.null_fd}) {
    if (fd >= 0) {
      ::close(fd);
    }
  }
}

Status Launcher::take_lock() {
  const std::string path = options_.directory + "/launcher.pid";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return fail_errno(errno, path);
  }
  spawn_settings_.lock_fd = fd;
  // Children of a launcher that was killed hold its lock until they die too, a moment later.
  for (int attempt = 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0; ++attempt) {
    if (errno != EWOULDBLOCK) {
      return fail_errno(errno, path);
    }
    int pid = 0;
    std::uint64_t ticks = 0;
    auto text = read_file(path);
    const bool exits = text && text->find("exits") != std::string::npos;
    if (text && !exits && std::sscanf(text->c_str(), "%d %" SCNu64, &pid, &ticks) == 2) {
      const auto owner = read_process(pid);
      if (owner && !owner->is_dead() && owner->start_time_ticks == ticks) {
        return fail(Errc::conflict, "a launcher (pid " + std::to_string(pid) + ") already runs in " +
                                        options_.directory);
      }
    }
    if (attempt == 2000) {
      return fail(Errc::conflict, "processes of an earlier launcher still hold " + path + "; end them first");
    }
    ::usleep(5000);
  }
  const auto self = read_process(::getpid());
  const std::string text = std::to_string(::getpid()) + " " + std::to_string(self ? self->start_time_ticks : 0) + "\n";
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno(errno, path);
  }
  return {};
}

Status Launcher::recover() {
  auto boot_id = read_file("/proc/sys/kernel/random/boot_id");
  if (!boot_id) {
    return tl::unexpected(boot_id.error());
  }
  boot_id_ = boot_id->substr(0, boot_id->find('\n'));
  auto contents = RunLogFile::read(options_.directory);
  if (!contents) {
    return tl::unexpected(contents.error());
  }
  const bool rebooted = contents->head.boot_id != boot_id_;
  run_log::end_by_reboot(*contents, boot_id_, now_.wall);

  forgotten_.assign(contents->forgotten.begin(), contents->forgotten.end());
  launcher_id_ = contents->head.launcher_id.empty() ? random_id() : contents->head.launcher_id;
  const std::vector<run_log::ContainmentRoot> old_roots =
      rebooted ? std::vector<run_log::ContainmentRoot>{} : contents->head.roots;
  for (run_log::LoggedTask& logged : contents->tasks) {
    RecoveredTask& recovered = logged.known;
    Task& task = add_task(std::move(recovered.task));
    task.logged.group = std::move(logged.group);
    task.known.phase = recovered.phase;
    task.known.processes = std::move(recovered.processes);
    task.known.started = recovered.started;
    task.known.end = std::move(recovered.end);
    task.recovered = true;
    if (task.known.phase == RecoveredTask::Phase::ended) {
      task.stage = Stage::ended;
      --unended_;
      if (!task.known.task.directory.empty()) {
        directories_.remove(task.known.task.directory);  // the reboot ended it, or the launcher had no time
      }
    } else {
      task.stage = Stage::ending;
      task.group = Containment::adopt(old_roots, task.logged.group);
      set_due(task, now_.mono.ns());
    }
  }
  containment_ = Containment::detect({.root = {}, .launcher_id = launcher_id_, .plain = options_.plain});
  roots_ = containment_.roots();
  for (const run_log::ContainmentRoot& root : old_roots) {
    if (std::find(roots_.begin(), roots_.end(), root) == roots_.end()) {
      roots_.push_back(root);
    }
  }
  if (auto done = log_.rewrite(options_.directory, {boot_id_, launcher_id_, roots_}, logged_tasks(),
                               contents->forgotten); !done) {
    return done;
  }
  idle_since_ns_ = now_.mono.ns();
  return {};
}

Status Launcher::open_descriptors() {
  spawn_settings_.launcher_pid = ::getpid();
  spawn_settings_.launcher_id = launcher_id_;
  ::getrlimit(RLIMIT_NOFILE, &spawn_settings_.open_files);
  rlimit raised = spawn_settings_.open_files;
  raised.rlim_cur = raised.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &raised);
  allowed_cpus_ = own_cpus();

  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  // All signals come through signal_fd_; children begin with all of them at their default.
  for (int signal = 1; signal < NSIG; ++signal) {
    ::signal(signal, SIG_DFL);
  }
  sigset_t all;
  sigfillset(&all);
  for (int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS}) {
    sigdelset(&all, fault);
  }
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  sigset_t handled;
  sigemptyset(&handled);
  for (int signal : {SIGCHLD, SIGTERM, SIGINT}) {
    sigaddset(&handled, signal);
  }
  std::array<int, 2> report{-1, -1};
  spawn_settings_.null_fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  signal_fd_ = ::signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (spawn_settings_.null_fd < 0 || signal_fd_ < 0 || epoll_fd_ < 0 || ::pipe2(report.data(), O_CLOEXEC) != 0) {
    return fail_errno(errno, "launcher: descriptors");
  }
  report_read_fd_ = report[0];
  spawn_settings_.report_fd = report[1];  // blocking for the children
  ::fcntl(report_read_fd_, F_SETFL, O_NONBLOCK);
  if (can_ever_share()) {
    if (auto started = pool_.start(); !started) {
      return started;
    }
    watch(pool_.fd(), EPOLLIN);
  }
  auto listening = listen_in(options_.directory);
  if (!listening) {
    return tl::unexpected(listening.error());
  }
  listen_fd_ = *listening;
  watch(signal_fd_, EPOLLIN);
  watch(report_read_fd_, EPOLLIN);
  watch(listen_fd_, EPOLLIN);
  return {};
}

}  // namespace muster::node

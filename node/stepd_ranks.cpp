// StepdShell: processes of the ranks, and what goes in and out of them.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "node/exec/process_scan.hpp"
#include "node/stepd_shell.hpp"
#include "wire/daemon/log.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kReadBytes = 64U << 10U;
constexpr int kEventsMax = 128;

}  // namespace

std::string StepdShell::marker_of(std::uint32_t step) const {
  return "MUSTER_STEP_KEY=" + std::to_string(plan_.spec.job) + "." + std::to_string(plan_.facts.index) + "." +
         std::to_string(plan_.spec.try_number) + "." + std::to_string(step);
}

void StepdShell::start(const step_out::StartRank& order) {
  RankExtras extras;
  extras.environment.push_back(marker_of(order.step));
  if (order.script != nullptr) {
    if (auto ready = prepare_script(order, extras); !ready) {
      core_->on_rank_not_started({order.step, order.rank}, 1, ready.error().text, now());
      return;
    }
  }
  for (const PmiKind kind : order.pmi) {
    PmiServer* pmi = server(kind);
    if (pmi == nullptr && pmi_missing_.contains(kind)) {
      continue;
    }
    auto prepared = pmi == nullptr ? Result<PmiRank>(fail(Errc::unsupported, "no PMI server"))
                                   : pmi->prepare_rank(order.step, order.rank);
    if (!prepared) {
      core_->on_rank_not_started({order.step, order.rank}, 1, prepared.error().text, now());
      return;
    }
    extras.environment.insert(extras.environment.end(), prepared->environment.begin(), prepared->environment.end());
    for (const auto& inherit : prepared->inherit) {
      extras.inherit.push_back({inherit.fd, inherit.variable});
    }
  }
  auto& files = files_[order.step];
  if (!files) {
    files = std::make_unique<StepFiles>();
  }
  auto started = start_rank(order, extras, *files);
  for (const PmiKind kind : order.pmi) {
    if (PmiServer* pmi = server(kind)) {
      pmi->on_rank_started(order.step, order.rank);
    }
  }
  if (!started) {
    core_->on_rank_not_started({order.step, order.rank}, started.error().exit_code, started.error().text, now());
    return;
  }
  auto rank = std::make_unique<Rank>();
  rank->step = order.step;
  rank->rank = order.rank;
  rank->pid = started->pid;
  rank->pipes = started->pipes;
  watch(*rank);
  by_rank_[{order.step, order.rank}] = rank.get();
  ranks_[started->pid] = std::move(rank);
  core_->on_rank_started({order.step, order.rank}, now());
}

void StepdShell::watch(Rank& rank) {
  const auto add = [&](int fd, Pipe pipe) {
    if (fd < 0) {
      return;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0) {
      by_fd_[fd] = {&rank, pipe};
    }
  };
  add(rank.pipes.output, Pipe::output);
  add(rank.pipes.error, Pipe::error);
}

// A terminal is input and output by one number: the first to close it closes both.
void StepdShell::close_pipe(int& fd) {
  if (fd >= 0) {
    by_fd_.erase(fd);
    ::close(fd);
    fd = -1;
  }
}

void StepdShell::read_ranks() {
  std::array<epoll_event, kEventsMax> events{};
  const int count = ::epoll_wait(epoll_fd_, events.data(), kEventsMax, 0);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto known = by_fd_.find(event.data.fd);
    if (known == by_fd_.end()) {
      continue;
    }
    Rank& rank = *known->second.first;
    const Pipe pipe = known->second.second;
    if ((event.events & EPOLLOUT) != 0 || pipe == Pipe::input) {
      write_input(rank);
    }
    if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0 && pipe != Pipe::input) {
      read_pipe(rank, pipe);
    }
  }
  carry_out();
}

// One piece per call while it lives, so that one rank can't hold up the others; all of it at its end.
void StepdShell::read_pipe(Rank& rank, Pipe pipe) {
  int& fd = pipe == Pipe::output ? rank.pipes.output : rank.pipes.error;
  const auto stream = pipe == Pipe::output ? fb::StepStream::Out : fb::StepStream::Err;
  while (fd >= 0) {
    std::string data(kReadBytes, '\0');
    const ssize_t n = ::read(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && errno == EAGAIN) {
      return;
    }
    if (n <= 0) {  // a terminal says EIO when its last user has gone
      core_->on_rank_output({rank.step, rank.rank}, stream, "", true);
      const bool terminal = fd == rank.pipes.input;
      close_pipe(fd);
      if (terminal) {
        rank.pipes.input = -1;
      }
      return;
    }
    data.resize(static_cast<std::size_t>(n));
    core_->on_rank_output({rank.step, rank.rank}, stream, std::move(data), false);
    if (!rank.exited) {
      return;
    }
  }
}

void StepdShell::feed(const step_out::FeedRank& order) {
  const auto found = by_rank_.find({order.step, order.rank});
  if (found == by_rank_.end() || found->second->pipes.input < 0) {
    core_->on_input_taken({order.step, order.rank}, order.data.size());
    return;
  }
  Rank& rank = *found->second;
  rank.input += order.data;
  rank.input_ends = rank.input_ends || order.end;
  write_input(rank);
}

void StepdShell::write_input(Rank& rank) {
  const bool terminal = rank.pipes.input == rank.pipes.output;
  std::uint64_t taken = 0;
  while (!rank.input.empty() && rank.pipes.input >= 0) {
    const ssize_t n = ::write(rank.pipes.input, rank.input.data(), rank.input.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0 && errno == EAGAIN) {
      break;
    }
    if (n < 0) {  // it reads no more
      taken += rank.input.size();
      rank.input.clear();
      rank.input_ends = true;
      break;
    }
    taken += static_cast<std::uint64_t>(n);
    rank.input.erase(0, static_cast<std::size_t>(n));
  }
  if (rank.input.empty() && rank.input_ends && !terminal) {
    close_pipe(rank.pipes.input);
  } else if (rank.pipes.input >= 0) {
    epoll_event event{};
    event.data.fd = rank.pipes.input;
    event.events = (terminal ? EPOLLIN : 0U) | (rank.input.empty() ? 0U : EPOLLOUT);
    if (!terminal && !by_fd_.contains(rank.pipes.input) && !rank.input.empty()) {
      ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, rank.pipes.input, &event);
      by_fd_[rank.pipes.input] = {&rank, Pipe::input};
    } else if (by_fd_.contains(rank.pipes.input)) {
      ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, rank.pipes.input, &event);
    }
  }
  if (taken != 0) {
    core_->on_input_taken({rank.step, rank.rank}, taken);
  }
}

void StepdShell::resize(const step_out::ResizeRank& order) {
  for (auto& [pid, rank] : ranks_) {
    if (rank->step == order.step && rank->pipes.input >= 0 && rank->pipes.input == rank->pipes.output) {
      winsize size{order.rows, order.columns, 0, 0};
      ::ioctl(rank->pipes.input, TIOCSWINSZ, &size);  // the kernel tells its foreground processes
    }
  }
}

void StepdShell::signal_step(std::uint32_t step, int signal) {
  for (const auto& [pid, rank] : ranks_) {
    if (rank->step == step) {
      ::kill(-pid, signal);
      ::kill(pid, signal);
    }
  }
  if (signal != SIGKILL) {
    return;
  }
  // What left its session has come to us, or hangs below somebody who has.
  const auto children = own_children();
  if (!children) {
    return;
  }
  const std::string marker = marker_of(step);
  for (const pid_t child : *children) {
    if (!ranks_.contains(child) && has_environment_entry(child, marker)) {
      ::kill(-child, SIGKILL);
      ::kill(child, SIGKILL);
    }
  }
}

void StepdShell::reap() {
  for (;;) {
    int status = 0;
    rusage usage{};
    const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
    if (pid <= 0) {
      return;
    }
    const auto found = ranks_.find(pid);
    if (found == ranks_.end()) {
      continue;  // an orphan of a rank
    }
    StepCore::End end;
    end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end.exit_code = end.signal != 0 ? 128 + end.signal : WEXITSTATUS(status);
    const auto us = [](const timeval& t) { return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(t.tv_usec); };
    end.cpu_time_us = us(usage.ru_utime) + us(usage.ru_stime);
    end.memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    end_rank(*found->second, end);
    carry_out();
  }
}

void StepdShell::end_rank(Rank& rank, const StepCore::End& end) {
  rank.exited = true;
  read_pipe(rank, Pipe::output);
  read_pipe(rank, Pipe::error);
  pmi_rank_ended(rank.step, rank.rank);
  if (rank.pipes.input == rank.pipes.output) {
    rank.pipes.input = -1;
  }
  close_pipe(rank.pipes.input);
  close_pipe(rank.pipes.output);
  close_pipe(rank.pipes.error);
  const StepCore::Process who{rank.step, rank.rank};
  by_rank_.erase({rank.step, rank.rank});
  ranks_.erase(rank.pid);
  core_->on_rank_ended(who, end, now());
}

}  // namespace muster::node

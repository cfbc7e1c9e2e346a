#include "node/exec/launcher.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "node/exec/launcher_codec.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kAgentBytesMax = std::size_t{256} << 20U;  // queued for an agent that does not read
constexpr std::size_t kCompactRecordsMin = 20'000;
constexpr std::int64_t kRetryNs = 200'000'000;
constexpr std::int64_t kHoldSpawnsNs = 100'000'000;
constexpr std::int64_t kLastWordsNs = 3'000'000'000;  // for the agent to read what is left to say

}  // namespace

void Launcher::watch(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0 && errno == EEXIST) {
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
  }
}

void Launcher::run() {
  while (!done_) {
    step();
  }
  // Whoever starts the next launcher need not be told that one runs.
  [[maybe_unused]] const ssize_t n = ::pwrite(spawn_settings_.lock_fd, "exits\n", 6, 0);
  agent_.close();
  ::unlink((options_.directory + "/launcher.sock").c_str());
  Containment::remove_roots(roots_);
}

int Launcher::wait_ms() const {
  std::int64_t until = due_.empty() ? std::int64_t{-1} : due_.begin()->first;
  auto at_most = [&until](std::int64_t at) { until = until < 0 ? at : std::min(until, at); };
  if (log_.has_unwritten()) {
    at_most(now_.mono.ns() + kRetryNs);
  }
  if (!fence_done_ && fence_at_ != Instant::never()) {
    at_most(std::max<std::int64_t>(0, fence_at_.ns()));
  }
  if (!to_spawn_.empty() || directories_.has_rest()) {
    at_most(now_.mono.ns() + 1'000'000);
  }
  if (pool_.in_flight() > 0) {
    at_most(now_.mono.ns() + SpawnPool::kPatience.ns());
  }
  if (shutting_down_) {
    at_most(now_.mono.ns() + kRetryNs);
  } else if (!agent_.is_open() && unended_ == 0) {
    at_most(idle_since_ns_ + options_.idle_limit.ns());
  }
  if (until < 0) {
    return -1;
  }
  const std::int64_t ns = until - clock_.now().mono.ns();
  return ns <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>((ns + 999'999) / 1'000'000, 60'000));
}

void Launcher::step() {
  std::array<epoll_event, 16> events{};
  const int count = ::epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), wait_ms());
  now_ = clock_.now();
  bool children_ended = false;
  bool agent_calls = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == signal_fd_) {
      signalfd_siginfo info{};
      while (::read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
          children_ended = true;
        } else {
          begin_shutdown(true);
        }
      }
    } else if (event.data.fd == report_read_fd_) {
      read_reports();
    } else if (event.data.fd == pool_.fd()) {
      take_started();
    } else if (event.data.fd == listen_fd_) {
      agent_calls = true;
    } else if (agent_.is_open() && event.data.fd == agent_.fd()) {
      if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        read_agent();
      }
    }
  }
  if (children_ended) {
    reap();
  }
  while (!due_.empty() && due_.begin()->first <= now_.mono.ns()) {
    const std::uint64_t token = due_.begin()->second;
    due_.erase(due_.begin());
    Task& task = *tasks_.at(token);
    task.due_ns = 0;
    on_due(task);
  }
  if (!fence_done_ && now_.mono >= fence_at_) {
    end_at_fence();
  }
  rebind_tasks();
  directories_.sweep();
  commit();
  pool_.help(now_.mono);
  if (agent_calls) {
    accept_agent();
  }
  send_agent();
  compact();

  if (agent_.is_open() || unended_ > 0) {
    idle_since_ns_ = now_.mono.ns();
  }
  const bool idle = now_.mono.ns() - idle_since_ns_ >= options_.idle_limit.ns();
  const bool all_said = agent_.queued_bytes() == 0 || now_.mono.ns() - shutdown_since_ns_ > kLastWordsNs;
  if (unended_ == 0 && !log_.has_unwritten() && !directories_.has_rest() && all_said && (shutting_down_ || idle)) {
    done_ = true;
  }
}

void Launcher::accept_agent() {
  const int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    return;
  }
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || (peer.uid != 0 && peer.uid != ::geteuid())) {
    std::fprintf(stderr, "muster-launcher: refused a connection of user %u\n", peer.uid);
    ::close(fd);
    return;
  }
  drop_agent();  // the newest agent is the one that counts
  agent_ = FrameStream(fd);
  commands_ = CommandReader();
  agent_blocked_ = false;
  hello_due_ = true;
  watch(fd, EPOLLIN);
}

void Launcher::drop_agent() {
  if (agent_.is_open()) {
    // By hand, because children before their exec may hold it open too.
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, agent_.fd(), nullptr);
  }
  agent_.close();
  hello_due_ = false;
}

void Launcher::read_agent() {
  const Status filled = agent_.fill();
  while (agent_.is_open()) {
    auto frame = agent_.next();
    if (!frame) {
      std::fprintf(stderr, "muster-launcher: %s\n", frame.error().text.c_str());
      drop_agent();
      return;
    }
    if (!*frame) {
      break;
    }
    auto command = commands_.add(**frame);
    if (!command) {
      std::fprintf(stderr, "muster-launcher: %s\n", command.error().text.c_str());
      drop_agent();
      return;
    }
    if (*command) {
      std::visit([this](auto& c) { on(c); }, **command);
    }
  }
  if (!filled) {
    drop_agent();
  }
}

void Launcher::send_agent() {
  if (!agent_.is_open()) {
    return;
  }
  if (hello_due_ && !log_.has_unwritten()) {
    hello_due_ = false;
    LauncherHello hello{boot_id_, containment_.describe(), containment_.not_enforced(), {},
                        {forgotten_.begin(), forgotten_.end()}};
    agent_.queue(encode_hello(hello, known_tasks()));
    for (const auto& [token, task] : tasks_) {
      task->unkillable_said = false;  // the hello does not tell it
    }
  }
  if (agent_.queued_bytes() == 0) {
    return;
  }
  if (!agent_.flush() || agent_.queued_bytes() > kAgentBytesMax) {
    drop_agent();
    return;
  }
  if (const bool blocked = agent_.queued_bytes() > 0; blocked != agent_blocked_) {
    agent_blocked_ = blocked;
    watch(agent_.fd(), blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

void Launcher::say(LauncherEvent event) { to_say_.push_back(std::move(event)); }

// Nothing execs and nothing is said before the log has it.
void Launcher::commit() {
  while (true) {
    if (auto written = log_.flush(); !written) {
      std::fprintf(stderr, "muster-launcher: %s\n", written.error().text.c_str());
      for (std::uint64_t token : std::exchange(to_spawn_, {})) {
        if (Task* task = find(token); task != nullptr && task->stage == Stage::setting_up) {
          fail_start(*task, {TaskReason::spawn_failed, 1, "the node's " + written.error().text});
        }
      }
      return;
    }
    for (std::uint64_t token : std::exchange(to_exec_, {})) {
      if (Task* task = find(token); task != nullptr) {
        close_gate(*task, 'G');
      }
    }
    for (const LauncherEvent& event : std::exchange(to_say_, {})) {
      if (agent_.is_open() && !hello_due_) {
        agent_.queue(encode_frame(event));
      }
    }
    if (!to_spawn_.empty() && !holds_spawns()) {
      for (std::uint64_t token : std::exchange(to_spawn_, {})) {
        if (Task* task = find(token); task != nullptr) {
          spawn(*task);
        }
      }
    }
    if (!log_.has_unwritten() && to_say_.empty() && to_exec_.empty()) {
      return;
    }
  }
}

bool Launcher::compaction_is_due(std::size_t times) const {
  return log_.records() >= times * (kCompactRecordsMin + 8 * tasks_.size());
}

// Under steady load some child may always be about to append to the log. When the log has grown long,
// new ones wait until there is none; but not for long, because one may hang in a file system.
bool Launcher::holds_spawns() {
  if (!compaction_is_due(2) || setting_up_alone_ == 0) {
    spawns_held_since_ns_ = 0;
    return false;
  }
  if (spawns_held_since_ns_ == 0) {
    spawns_held_since_ns_ = now_.mono.ns();
  }
  return now_.mono.ns() - spawns_held_since_ns_ < kHoldSpawnsNs;
}

void Launcher::compact() {
  if (!compaction_is_due(1) || setting_up_alone_ > 0 || log_.has_unwritten()) {
    return;
  }
  if (auto done = log_.rewrite(options_.directory, {boot_id_, launcher_id_, roots_}, logged_tasks(),
                               {forgotten_.begin(), forgotten_.end()}); !done) {
    std::fprintf(stderr, "muster-launcher: %s\n", done.error().text.c_str());
  }
}

std::vector<const RecoveredTask*> Launcher::known_tasks() const {
  std::vector<const RecoveredTask*> known;
  known.reserve(tasks_.size());
  for (const auto& [token, task] : tasks_) {
    known.push_back(&task->known);
  }
  return known;
}

std::vector<const run_log::LoggedTask*> Launcher::logged_tasks() const {
  std::vector<const run_log::LoggedTask*> logged;
  logged.reserve(tasks_.size());
  for (const auto& [token, task] : tasks_) {
    logged.push_back(&task->logged);
  }
  return logged;
}

Launcher::Task* Launcher::find(std::uint64_t token) {
  const auto it = tasks_.find(token);
  return it == tasks_.end() ? nullptr : it->second.get();
}

Launcher::Task* Launcher::find(FrameworkId framework, const AttemptId& attempt) {
  const auto it = by_key_.find({framework, attempt});
  return it == by_key_.end() ? nullptr : it->second;
}

Launcher::Task& Launcher::add_task(TaskStart start) {
  auto task = std::make_unique<Task>();
  task->token = next_token_++;
  task->known.task = std::move(start);
  Task& added = *task;
  by_key_[{added.known.task.framework, added.known.task.attempt}] = &added;
  tasks_[added.token] = std::move(task);
  ++unended_;
  return added;
}

void Launcher::on(const command::Forget& forget) {
  Task* task = find(forget.framework, forget.attempt);
  if (task != nullptr && task->stage != Stage::ended) {
    return;
  }
  log_.add(run_log::encode_forgotten(forget.framework, forget.attempt));
  forgotten_.emplace_back(forget.framework, forget.attempt);
  if (forgotten_.size() > kForgottenMax) {
    forgotten_.pop_front();
  }
  if (task != nullptr) {
    by_key_.erase({forget.framework, forget.attempt});
    tasks_.erase(task->token);
  }
}

void Launcher::set_due(Task& task, std::int64_t at_ns) {
  if (task.due_ns != 0) {
    due_.erase({task.due_ns, task.token});
  }
  task.due_ns = at_ns;
  due_.insert({at_ns, task.token});
}

}  // namespace muster::node

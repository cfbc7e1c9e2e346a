#include "node/exec/spawn_pool.hpp"

#include <algorithm>
#include <array>
#include <system_error>

#include "node/exec/rank_spawn.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kThreadsMin = 2;
constexpr std::size_t kThreadsMax = 64;
constexpr std::size_t kStackBytes = 64U << 10U;

}  // namespace

SpawnPool::~SpawnPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) {
    thread.join();
  }
  for (RankSetup* setup : in_flight_) {
    delete setup;
  }
}

Status SpawnPool::start() {
  auto wakeup = Wakeup::open();
  if (!wakeup) {
    return tl::unexpected(wakeup.error());
  }
  wakeup_.emplace(*std::move(wakeup));
  while (threads_.size() < kThreadsMin) {
    try {
      add_thread();
    } catch (const std::system_error& error) {
      return fail(Errc::exhausted, std::string("launcher: threads can't be started: ") + error.what());
    }
  }
  return {};
}

void SpawnPool::add_thread() { threads_.emplace_back([this] { work(); }); }

void SpawnPool::push(std::unique_ptr<RankSetup> setup) {
  RankSetup* added = setup.release();
  added->next = nullptr;
  in_flight_.push_back(added);
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    (last_ == nullptr ? first_ : last_->next) = added;
    last_ = added;
    wake = idle_ > 0;
  }
  if (wake) {
    wanted_.notify_one();
  }
}

std::vector<std::unique_ptr<RankSetup>> SpawnPool::take_done() {
  if (!wakeup_) {
    return {};  // not started
  }
  wakeup_->drain();
  RankSetup* list = nullptr;
  {
    const std::lock_guard lock(mutex_);
    std::swap(list, done_);
  }
  std::vector<std::unique_ptr<RankSetup>> out;
  for (; list != nullptr; list = list->next) {
    out.emplace_back(list);
    std::erase(in_flight_, list);
  }
  std::reverse(out.begin(), out.end());  // the list grows at its front
  return out;
}

bool SpawnPool::is_child(pid_t pid) const {
  return std::any_of(in_flight_.begin(), in_flight_.end(),
                     [pid](const RankSetup* setup) { return setup->pid.load(std::memory_order_acquire) == pid; });
}

void SpawnPool::help(Instant now) {
  bool waiting = false;
  {
    const std::lock_guard lock(mutex_);
    waiting = first_ != nullptr;
    if (started_ != started_seen_ || !waiting) {
      started_seen_ = started_;
      progressed_ = now;
    }
  }
  if (waiting && now - progressed_ >= kPatience && threads_.size() < kThreadsMax) {
    try {
      add_thread();
    } catch (const std::system_error&) {
      // the next call tries again
    }
    progressed_ = now;
  }
}

void SpawnPool::work() {
  alignas(16) std::array<std::byte, kStackBytes> stack;  // of the children
  std::unique_lock lock(mutex_);
  while (true) {
    while (first_ == nullptr && !stop_) {
      ++idle_;
      wanted_.wait(lock);
      --idle_;
    }
    if (first_ == nullptr) {
      return;
    }
    RankSetup* setup = first_;
    first_ = setup->next;
    if (first_ == nullptr) {
      last_ = nullptr;
    }
    lock.unlock();
    const pid_t pid = share_rank(*setup, stack);
    if (pid < 0) {
      setup->report.errno_value = -pid;
      setup->report.pid = 0;
    } else {
      setup->report.pid = pid;
    }
    lock.lock();
    ++started_;
    const bool wake = done_ == nullptr;
    setup->next = done_;
    done_ = setup;
    if (wake) {
      wakeup_->notify();
    }
  }
}

}  // namespace muster::node

#include "wire/socket/poller.hpp"

#include <algorithm>
#include <chrono>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {
namespace {

static_assert(sizeof(zmq::pollitem_t) % sizeof(std::uint64_t) == 0);

// Milliseconds until `deadline`, rounded up, for libzmq.
long wait_ms(Instant deadline) {
  if (deadline == Instant::never()) {
    return -1;
  }
  const Duration left = deadline - SystemClock{}.now().mono;
  if (left.ns() <= 0) {
    return 0;
  }
  return static_cast<long>(std::min<std::int64_t>((left.ns() + 999'999) / 1'000'000, 3'600'000));
}

}  // namespace

void Poller::add(const Dealer& dealer, Tag tag) {
  items_.push_back({.socket = dealer.impl_->socket.handle(), .tag = tag});
  items_.push_back({.socket = dealer.impl_->monitor.handle(), .tag = tag, .monitor = true, .dealer = dealer.impl_.get()});
  dirty_ = true;
}

void Poller::add(const Router& router, Tag tag) {
  items_.push_back({.socket = router.impl_->socket.handle(), .tag = tag});
  dirty_ = true;
}

void Poller::add_fd(int fd, Tag tag, bool read, bool write) {
  items_.push_back({.fd = fd, .tag = tag, .read = read, .write = write});
  dirty_ = true;
}

void Poller::watch_write(Tag tag, bool on) {
  for (Item& item : items_) {
    if (item.tag == tag && !item.monitor && item.write != on) {
      item.write = on;
      dirty_ = true;
    }
  }
}

void Poller::watch_read(Tag tag, bool on) {
  for (Item& item : items_) {
    if (item.tag == tag && !item.monitor && item.read != on) {
      item.read = on;
      dirty_ = true;
    }
  }
}

void Poller::remove(Tag tag) {
  std::erase_if(items_, [tag](const Item& item) { return item.tag == tag; });
  dirty_ = true;
}

Result<std::span<const Poller::Event>> Poller::wait(Instant deadline) {
  constexpr std::size_t kWords = sizeof(zmq::pollitem_t) / sizeof(std::uint64_t);
  poll_items_.resize(items_.size() * kWords);
  auto* polled = reinterpret_cast<zmq::pollitem_t*>(poll_items_.data());
  if (dirty_) {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const Item& item = items_[i];
      const int events = (item.read ? ZMQ_POLLIN : 0) | (item.write ? ZMQ_POLLOUT : 0);
      polled[i] = {item.socket, item.fd, static_cast<short>(events), 0};
    }
    dirty_ = false;
  }
  events_.clear();
  Instant retry = Instant::never();
  for (const Item& item : items_) {
    if (item.dealer != nullptr) {
      retry = std::min(retry, item.dealer->retry_at);
    }
  }
  int ready = 0;
  try {
    ready = zmq::poll(polled, items_.size(), std::chrono::milliseconds(wait_ms(std::min(deadline, retry))));
  } catch (const zmq::error_t& error) {
    if (error.num() == EINTR) {
      return std::span<const Event>{};
    }
    return fail_zmq("poll", error);
  }
  if (retry != Instant::never()) {
    for (const Item& item : items_) {
      if (item.dealer != nullptr) {
        item.dealer->read_monitor();
      }
    }
  }
  for (std::size_t i = 0; ready > 0 && i < items_.size(); ++i) {
    const short got = polled[i].revents;
    if (got == 0) {
      continue;
    }
    const Tag tag = items_[i].tag;
    if (events_.empty() || events_.back().tag != tag) {
      events_.push_back({.tag = tag});
    }
    Event& event = events_.back();
    event.readable |= (got & ZMQ_POLLIN) != 0;
    event.writable |= (got & ZMQ_POLLOUT) != 0;
    event.broken |= (got & ZMQ_POLLERR) != 0;
  }
  return std::span<const Event>(events_);
}

}  // namespace muster

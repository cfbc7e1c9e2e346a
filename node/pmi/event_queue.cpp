#include "node/pmi/event_queue.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace muster::node {

PmiEventQueue::PmiEventQueue() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), error_(fd_ < 0 ? errno : 0) {}

PmiEventQueue::~PmiEventQueue() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Status PmiEventQueue::ready() const {
  if (fd_ < 0) {
    return fail_errno(error_, "eventfd");
  }
  return {};
}

void PmiEventQueue::push(PmiEvent event) {
  const std::lock_guard<std::mutex> guard(lock_);
  events_.push_back(std::move(event));
  if (events_.size() == 1) {
    ::eventfd_write(fd_, 1);  // fails only at 2^64 - 1
  }
}

std::vector<PmiEvent> PmiEventQueue::take() {
  const std::lock_guard<std::mutex> guard(lock_);
  if (!events_.empty()) {
    eventfd_t count{};
    ::eventfd_read(fd_, &count);
  }
  return std::exchange(events_, {});
}

}  // namespace muster::node

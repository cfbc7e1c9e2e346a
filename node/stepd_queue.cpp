#include "node/stepd_queue.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace muster::node {
namespace {

constexpr std::size_t kMemoryMax = 8U << 20U;
constexpr std::uint64_t kFileMax = 1ULL << 30U;

}  // namespace

StepdQueue::~StepdQueue() {
  if (file_ >= 0) {
    ::close(file_);
  }
}

void StepdQueue::push(FrameBytes frame, bool bulk) {
  if (!bulk || (memory_bytes_ + frame.size() <= kMemoryMax && in_file_ == 0)) {
    memory_bytes_ += frame.size();
    const std::size_t size = frame.size();
    items_.push_back({std::move(frame), 0, size});
    return;
  }
  if (file_ < 0) {
    file_ = ::open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  }
  if (file_ < 0 || file_end_ + frame.size() > kFileMax ||
      ::pwrite(file_, frame.data(), frame.size(), static_cast<off_t>(file_end_)) != static_cast<ssize_t>(frame.size())) {
    dropped_bytes_ += frame.size();
    return;
  }
  items_.push_back({{}, file_end_, frame.size()});
  file_end_ += frame.size();
  ++in_file_;
}

FrameBytes* StepdQueue::front() {
  while (!items_.empty()) {
    Item& item = items_.front();
    if (!item.frame.empty()) {
      return &item.frame;
    }
    item.frame.resize(item.size);
    --in_file_;
    memory_bytes_ += item.size;
    const bool read = ::pread(file_, item.frame.data(), item.size, static_cast<off_t>(item.offset)) == static_cast<ssize_t>(item.size);
    if (in_file_ == 0) {
      file_end_ = 0;
      static_cast<void>(::ftruncate(file_, 0));
    }
    if (read) {
      return &item.frame;
    }
    dropped_bytes_ += item.size;
    pop();
  }
  return nullptr;
}

void StepdQueue::pop() {
  memory_bytes_ -= items_.front().frame.size();
  items_.pop_front();
}

}  // namespace muster::node

#include "wire/ring/frame_ring.hpp"

#include <bit>

#include "wire/base/check.hpp"

namespace muster {

FrameRing::FrameRing(std::size_t bytes_min)
    : mask_(std::bit_ceil(bytes_min < 4096 ? std::size_t{4096} : bytes_min) - 1),
      words_(std::make_unique_for_overwrite<std::uint64_t[]>((mask_ + 1) / 8)) {}

std::span<std::uint8_t> FrameRing::reserve(std::size_t bytes) {
  if (bytes > record_bytes_max()) {
    return {};
  }
  const std::size_t size = mask_ + 1;
  const std::size_t tail = tail_.load(std::memory_order_relaxed);
  const std::size_t to_end = size - (tail & mask_);
  const std::size_t skip = to_end < padded(bytes) ? to_end : 0;
  const std::size_t needed = skip + padded(bytes);
  if (tail - head_seen_ + needed > size) {
    head_seen_ = head_.load(std::memory_order_acquire);
    if (tail - head_seen_ + needed > size) {
      return {};
    }
  }
  reserved_at_ = tail;
  if (skip != 0) {
    header(tail) = kSkip;  // seen only once a commit moves the tail past it
    reserved_at_ += skip;
  }
  reserved_bytes_ = bytes;
  return {body(reserved_at_), bytes};
}

void FrameRing::commit(std::size_t bytes) {
  check(bytes <= reserved_bytes_, "frame ring: more was committed than reserved");
  header(reserved_at_) = bytes;
  tail_.store(reserved_at_ + padded(bytes), std::memory_order_release);
  reserved_bytes_ = 0;
}

std::span<const std::uint8_t> FrameRing::peek() {
  std::size_t head = head_.load(std::memory_order_relaxed);
  if (head == tail_seen_) {
    tail_seen_ = tail_.load(std::memory_order_acquire);
    if (head == tail_seen_) {
      return {};
    }
  }
  if (header(head) == kSkip) {
    // A record always follows: both were committed by one store.
    head += (mask_ + 1) - (head & mask_);
    head_.store(head, std::memory_order_release);
  }
  return {body(head), static_cast<std::size_t>(header(head))};
}

void FrameRing::release() {
  const std::size_t head = head_.load(std::memory_order_relaxed);
  head_.store(head + padded(static_cast<std::size_t>(header(head))), std::memory_order_release);
}

}  // namespace muster

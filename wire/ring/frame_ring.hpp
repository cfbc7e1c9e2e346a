// FrameRing: a bounded queue of records of any size in one slab. One producing and one consuming thread; no lock.
//
// A record is reserved, filled in place and committed; the consumer reads it in place and releases it. Records
// start at multiples of 8 bytes and never wrap around the slab's end, so FlatBuffers are read where they lie.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "wire/base/check.hpp"
#include "wire/ring/atomics.hpp"
#include "wire/ring/spsc_ring.hpp"

namespace muster {

template <class Atomics>
class BasicFrameRing {
 public:
  // The slab has `bytes_min` rounded up to a power of two. One record takes at most half of it.
  explicit BasicFrameRing(std::size_t bytes_min);

  // Producer. Room for `bytes`, or an empty span when the ring is too full for it (now, or ever: see bytes_max()).
  // A reservation that is not committed is forgotten by the next one.
  [[nodiscard]] std::span<std::uint8_t> reserve(std::size_t bytes);
  // Makes the first `bytes` of the reservation visible to the consumer. REQUIRES: bytes ≤ reserved.
  void commit(std::size_t bytes);

  // Consumer. The oldest record; data() is null when there is none. A record may be empty.
  [[nodiscard]] std::span<const std::uint8_t> peek();
  // REQUIRES: peek() showed a record.
  void release();

  [[nodiscard]] std::size_t record_bytes_max() const { return (mask_ + 1) / 2 - kHeaderBytes; }
  // Any thread; may be outdated at once.
  [[nodiscard]] bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }

 private:
  static constexpr std::size_t kHeaderBytes = 8;
  // Marks the unused rest of the slab before its end.
  static constexpr std::uint64_t kSkip = ~std::uint64_t{0};
  [[nodiscard]] static constexpr std::size_t padded(std::size_t bytes) {
    return kHeaderBytes + ((bytes + 7) & ~std::size_t{7});
  }
  [[nodiscard]] std::uint64_t& header(std::size_t position) { return words_[(position & mask_) / 8]; }
  [[nodiscard]] std::uint8_t* body(std::size_t position) {
    return reinterpret_cast<std::uint8_t*>(&words_[(position & mask_) / 8 + 1]);
  }

  const std::size_t mask_;  // of byte positions
  const std::unique_ptr<std::uint64_t[]> words_;
  // Written by the producer.
  alignas(kCacheLineBytes) typename Atomics::template Atomic<std::size_t> tail_{0};
  std::size_t head_seen_{0};
  std::size_t reserved_at_{0};
  std::size_t reserved_bytes_{0};
  // Written by the consumer.
  alignas(kCacheLineBytes) typename Atomics::template Atomic<std::size_t> head_{0};
  std::size_t tail_seen_{0};
};

using FrameRing = BasicFrameRing<StdAtomics>;

template <class Atomics>
BasicFrameRing<Atomics>::BasicFrameRing(std::size_t bytes_min)
    : mask_(std::bit_ceil(bytes_min < 4096 ? std::size_t{4096} : bytes_min) - 1),
      words_(std::make_unique_for_overwrite<std::uint64_t[]>((mask_ + 1) / 8)) {}

template <class Atomics>
std::span<std::uint8_t> BasicFrameRing<Atomics>::reserve(std::size_t bytes) {
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
    Atomics::wrote(&header(tail));
    header(tail) = kSkip;  // seen only once a commit moves the tail past it
    reserved_at_ += skip;
  }
  reserved_bytes_ = bytes;
  return {body(reserved_at_), bytes};
}

template <class Atomics>
void BasicFrameRing<Atomics>::commit(std::size_t bytes) {
  check(bytes <= reserved_bytes_, "frame ring: more was committed than reserved");
  Atomics::wrote(&header(reserved_at_));
  header(reserved_at_) = bytes;
  tail_.store(reserved_at_ + padded(bytes), std::memory_order_release);
  reserved_bytes_ = 0;
}

template <class Atomics>
std::span<const std::uint8_t> BasicFrameRing<Atomics>::peek() {
  std::size_t head = head_.load(std::memory_order_relaxed);
  if (head == tail_seen_) {
    tail_seen_ = tail_.load(std::memory_order_acquire);
    if (head == tail_seen_) {
      return {};
    }
  }
  Atomics::reads(&header(head));
  if (header(head) == kSkip) {
    // A record always follows: both were committed by one store.
    head += (mask_ + 1) - (head & mask_);
    head_.store(head, std::memory_order_release);
    Atomics::reads(&header(head));
  }
  return {body(head), static_cast<std::size_t>(header(head))};
}

template <class Atomics>
void BasicFrameRing<Atomics>::release() {
  const std::size_t head = head_.load(std::memory_order_relaxed);
  head_.store(head + padded(static_cast<std::size_t>(header(head))), std::memory_order_release);
}

extern template class BasicFrameRing<StdAtomics>;

}  // namespace muster

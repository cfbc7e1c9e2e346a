// SpscRing<T>: a bounded queue of fixed-size values. One producing and one consuming thread; no lock.
//
// Cells are values of T, so a slot's memory is reused: take() moves out, push() moves in.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#include "wire/base/check.hpp"
#include "wire/ring/atomics.hpp"

namespace muster {

inline constexpr std::size_t kCacheLineBytes = 64;

template <class T, class Atomics = StdAtomics>
class SpscRing {
 public:
  // Rounded up to a power of two.
  explicit SpscRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity < 2 ? 2 : capacity) - 1), cells_(std::make_unique<T[]>(mask_ + 1)) {}

  // Producer. False: full, and `value` is untouched.
  [[nodiscard]] bool push(T& value) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) {
        return false;
      }
    }
    cells_[tail & mask_] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  [[nodiscard]] bool push(T&& value) { return push(value); }
  [[nodiscard]] bool full() const {
    return tail_.load(std::memory_order_acquire) - head_.load(std::memory_order_acquire) > mask_;
  }

  // Consumer. The oldest value, or null; it stays until pop().
  [[nodiscard]] T* front() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) {
        return nullptr;
      }
    }
    return &cells_[head & mask_];
  }
  // REQUIRES: front() was not null.
  void pop() { head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_release); }
  [[nodiscard]] bool take(T& value) {
    T* const cell = front();
    if (cell == nullptr) {
      return false;
    }
    value = std::move(*cell);
    pop();
    return true;
  }

  [[nodiscard]] std::size_t capacity() const { return mask_ + 1; }
  // Any thread; may be outdated at once.
  [[nodiscard]] bool empty() const {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }

 private:
  const std::size_t mask_;
  const std::unique_ptr<T[]> cells_;
  // Written by the producer.
  alignas(kCacheLineBytes) typename Atomics::template Atomic<std::size_t> tail_{0};
  std::size_t head_seen_{0};
  // Written by the consumer.
  alignas(kCacheLineBytes) typename Atomics::template Atomic<std::size_t> head_{0};
  std::size_t tail_seen_{0};
};

}  // namespace muster

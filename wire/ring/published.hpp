// Published<T>: the newest value of something, written by one thread and read by many, without a lock.
//
// The writer never waits for readers; what a reader still looks at is kept until it looks away (epoch
// reclamation). The order that makes it safe is the single total order of the seq_cst operations:
//   reader: pin (store my epoch), then load the value
//   writer: store the new value, then load the pins
// Either the writer sees the pin and keeps the old value, or the reader's load came later and finds the new one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "wire/base/check.hpp"
#include "wire/ring/atomics.hpp"
#include "wire/ring/spsc_ring.hpp"

namespace muster {

template <class T, class Atomics = StdAtomics, std::size_t kReaders = 64>
class Published {
 public:
  static constexpr std::size_t kReadersMax = kReaders;

  template <class V>
  using Atomic = typename Atomics::template Atomic<V>;

  Published() = default;
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;
  // REQUIRES: no reader is left.
  ~Published() { delete value_.load(std::memory_order_seq_cst); }

  // Looks at one value for as long as it lives. Owned by one thread.
  class Reading {
   public:
    Reading(Reading&& other) noexcept : pin_(std::exchange(other.pin_, nullptr)), value_(other.value_) {}
    Reading& operator=(Reading&&) = delete;
    ~Reading() {
      if (pin_ != nullptr) {
        pin_->store(kFree, std::memory_order_release);
      }
    }
    // Null before the first publish, and when kReadersMax others are reading.
    [[nodiscard]] const T* get() const { return value_; }
    const T* operator->() const { return value_; }
    const T& operator*() const { return *value_; }
    explicit operator bool() const { return value_ != nullptr; }

   private:
    friend class Published;
    Reading(Atomic<std::uint64_t>* pin, const T* value) : pin_(pin), value_(value) {}
    Atomic<std::uint64_t>* pin_;
    const T* value_;
  };

  // Any thread.
  [[nodiscard]] Reading read() {
    const std::uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
    for (Pin& pin : pins_) {
      std::uint64_t expected = kFree;
      // The exchange both claims the place and pins the epoch.
      if (pin.epoch.compare_exchange_strong(expected, epoch, std::memory_order_seq_cst)) {
        return Reading(&pin.epoch, value_.load(std::memory_order_seq_cst));
      }
    }
    return Reading(nullptr, nullptr);
  }

  // The writing thread only.
  void publish(std::unique_ptr<const T> value) {
    const T* const old = value_.exchange(value.release(), std::memory_order_seq_cst);
    const std::uint64_t retired_in = epoch_.fetch_add(1, std::memory_order_seq_cst);
    if (old != nullptr) {
      retired_.push_back({retired_in, std::unique_ptr<const T>(old)});
    }
    reclaim();
  }

  // The writing thread only: frees what nobody looks at any more; returns how many are kept.
  std::size_t reclaim() {
    std::uint64_t oldest = kFree;
    for (const Pin& pin : pins_) {
      const std::uint64_t epoch = pin.epoch.load(std::memory_order_seq_cst);
      oldest = epoch < oldest ? epoch : oldest;
    }
    std::erase_if(retired_, [oldest](const Retired& r) { return r.epoch < oldest; });
    return retired_.size();
  }

  // Any thread: how often publish() was called.
  [[nodiscard]] std::uint64_t version() const { return epoch_.load(std::memory_order_acquire) - 1; }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct alignas(kCacheLineBytes) Pin {
    Atomic<std::uint64_t> epoch{kFree};
  };
  struct Retired {
    std::uint64_t epoch;
    std::unique_ptr<const T> value;
  };

  alignas(kCacheLineBytes) Atomic<const T*> value_{nullptr};
  Atomic<std::uint64_t> epoch_{1};
  std::array<Pin, kReadersMax> pins_{};
  // The writer's own.
  alignas(kCacheLineBytes) std::vector<Retired> retired_;
};

}  // namespace muster

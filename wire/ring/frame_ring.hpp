// FrameRing: a bounded queue of records of any size in one slab. One producing and one consuming thread; no lock.
//
// A record is reserved, filled in place and committed; the consumer reads it in place and releases it. Records
// start at multiples of 8 bytes and never wrap around the slab's end, so FlatBuffers are read where they lie.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "wire/ring/spsc_ring.hpp"

namespace muster {

class FrameRing {
 public:
  // The slab has `bytes_min` rounded up to a power of two. One record takes at most half of it.
  explicit FrameRing(std::size_t bytes_min);

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
  alignas(kCacheLineBytes) std::atomic<std::size_t> tail_{0};
  std::size_t head_seen_{0};
  std::size_t reserved_at_{0};
  std::size_t reserved_bytes_{0};
  // Written by the consumer.
  alignas(kCacheLineBytes) std::atomic<std::size_t> head_{0};
  std::size_t tail_seen_{0};
};

}  // namespace muster

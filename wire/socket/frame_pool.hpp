// FramePool: memory of frames on their way out. Owned by the thread that sends; ZeroMQ's I/O thread gives back.
//
// A frame that is allocated by one thread and freed by another makes both wait for the allocator's lock. Here what
// comes back is used again, and neither thread meets a lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wire/ring/return_stack.hpp"

namespace muster {

class FramePool {
 public:
  FramePool() = default;
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  // REQUIRES: all was given back.
  ~FramePool();

  // The owner: room for `bytes`.
  [[nodiscard]] void* take(std::size_t bytes);
  // Any thread: `data` is what take() of the pool `pool` returned.
  static void give_back(void* data, void* pool);

  FramePool* next{};  // for who keeps several

 private:
  // Powers of two from 128 bytes to 64 KiB; larger ones are not kept.
  static constexpr std::size_t kSmallestBits = 7;
  static constexpr std::size_t kSizes = 10;
  static constexpr std::size_t kKeptBytesMax = 16U << 20U;  // unused; more goes back to the system
  struct Block {
    Block* next;
    std::size_t size;  // its place in free_; kSizes: none
  };
  static_assert(sizeof(Block) == 16);  // so that what follows is aligned for every field

  ReturnStack<Block> returned_;
  // The owner's.
  std::array<Block*, kSizes> free_{};
  std::size_t kept_bytes_{};
};

}  // namespace muster

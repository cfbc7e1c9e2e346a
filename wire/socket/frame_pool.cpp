#include "wire/socket/frame_pool.hpp"

#include <bit>
#include <new>

namespace muster {

void* FramePool::take(std::size_t bytes) {
  const std::size_t needed = std::bit_width((bytes + sizeof(Block) - 1) >> kSmallestBits);
  const std::size_t size = needed < kSizes ? needed : kSizes;
  if (size == kSizes || free_[size] == nullptr) {
    for (Block* block = returned_.take_all(); block != nullptr;) {
      Block* const after = block->next;
      const std::size_t block_bytes = std::size_t{1} << (block->size + kSmallestBits);
      if (block->size == kSizes || kept_bytes_ + block_bytes > kKeptBytesMax) {
        ::operator delete(block);
      } else {
        block->next = free_[block->size];
        free_[block->size] = block;
        kept_bytes_ += block_bytes;
      }
      block = after;
    }
  }
  if (size < kSizes && free_[size] != nullptr) {
    Block* const block = free_[size];
    free_[size] = block->next;
    kept_bytes_ -= std::size_t{1} << (size + kSmallestBits);
    return block + 1;
  }
  const std::size_t whole = size < kSizes ? std::size_t{1} << (size + kSmallestBits) : bytes + sizeof(Block);
  return new (::operator new(whole)) Block{nullptr, size} + 1;
}

void FramePool::give_back(void* data, void* pool) {
  static_cast<FramePool*>(pool)->returned_.give(static_cast<Block*>(data) - 1);
}

FramePool::~FramePool() {
  const auto drop = [](Block* block) {
    while (block != nullptr) {
      Block* const after = block->next;
      ::operator delete(block);
      block = after;
    }
  };
  drop(returned_.take_all());
  for (Block* const first : free_) {
    drop(first);
  }
}

}  // namespace muster

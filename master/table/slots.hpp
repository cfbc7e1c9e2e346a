// Slots<T>: dense rows that never move, with generations. Pure.
// A place that is given back is used again, last first; its generation grows, so that an old id is told apart.
// Generations stand apart from the rows: whether a row still is the one that was meant is asked more often than it is read.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "master/table/ids.hpp"
#include "wire/base/check.hpp"

namespace muster::master {

template <class T, std::uint32_t kChunk = 1024>
class Slots {
 public:
  // The place of a fresh, default-constructed row.
  [[nodiscard]] std::uint32_t add() {
    if (free_.empty()) {
      if ((size_ & (kChunk - 1)) == 0) {
        chunks_.push_back(std::make_unique<Chunk>());
      }
      free_.push_back(size_++);
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    mark_at(slot) |= kUsed;
    ++count_;
    return slot;
  }
  void remove(std::uint32_t slot) {
    check(used(slot), "slots: a place is given back twice");
    T& row = (*this)[slot];
    if constexpr (std::is_trivially_copyable_v<T>) {
      static constexpr T kFresh{};
      row = kFresh;  // a plain copy: quicker than writing member after member
    } else {
      std::destroy_at(&row);
      std::construct_at(&row);
    }
    mark_at(slot) += kGeneration - kUsed;
    free_.push_back(slot);
    --count_;
  }

  [[nodiscard]] T& operator[](std::uint32_t slot) { return chunks_[slot / kChunk]->rows[slot % kChunk]; }
  [[nodiscard]] const T& operator[](std::uint32_t slot) const { return chunks_[slot / kChunk]->rows[slot % kChunk]; }
  [[nodiscard]] std::uint32_t generation(std::uint32_t slot) const { return mark_at(slot) / kGeneration + 1; }
  [[nodiscard]] bool used(std::uint32_t slot) const { return slot < size_ && (mark_at(slot) & kUsed) != 0; }
  [[nodiscard]] bool holds(std::uint32_t slot, std::uint32_t generation) const {
    return slot < size_ && mark_at(slot) == (generation - 1) * kGeneration + kUsed;
  }
  [[nodiscard]] std::uint32_t places() const { return size_; }  // used and free
  [[nodiscard]] std::uint32_t count() const { return count_; }  // used

 private:
  // A mark: is the place used, and how often it was given back.
  static constexpr std::uint32_t kUsed = 1;
  static constexpr std::uint32_t kGeneration = 2;
  struct Chunk {
    std::array<T, kChunk> rows{};
    std::array<std::uint32_t, kChunk> marks{};
  };
  [[nodiscard]] std::uint32_t& mark_at(std::uint32_t slot) { return chunks_[slot / kChunk]->marks[slot % kChunk]; }
  [[nodiscard]] std::uint32_t mark_at(std::uint32_t slot) const { return chunks_[slot / kChunk]->marks[slot % kChunk]; }

  std::vector<std::unique_ptr<Chunk>> chunks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t size_{};
  std::uint32_t count_{};
};

}  // namespace muster::master

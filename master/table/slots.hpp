// Slots<T>: dense rows that never move, with generations. Pure.
// A place that is given back is used again, last first; its generation grows, so that an old id is told apart.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "master/table/ids.hpp"
#include "wire/base/check.hpp"

namespace muster::master {

template <class T>
class Slots {
 public:
  // The place of a fresh, default-constructed row.
  [[nodiscard]] std::uint32_t add() {
    if (free_.empty()) {
      if ((size_ & (kChunk - 1)) == 0) {
        chunks_.push_back(std::make_unique<Place[]>(kChunk));
      }
      free_.push_back(size_++);
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    Place& place = place_at(slot);
    place.used = true;
    ++count_;
    return slot;
  }
  void remove(std::uint32_t slot) {
    Place& place = place_at(slot);
    check(place.used, "slots: a place is given back twice");
    place.used = false;
    std::destroy_at(&place.value);
    std::construct_at(&place.value);
    ++place.generation;
    free_.push_back(slot);
    --count_;
  }

  [[nodiscard]] T& operator[](std::uint32_t slot) { return place_at(slot).value; }
  [[nodiscard]] const T& operator[](std::uint32_t slot) const { return place_at(slot).value; }
  [[nodiscard]] std::uint32_t generation(std::uint32_t slot) const { return place_at(slot).generation; }
  [[nodiscard]] bool used(std::uint32_t slot) const { return slot < size_ && place_at(slot).used; }
  [[nodiscard]] bool holds(std::uint32_t slot, std::uint32_t generation) const {
    return slot < size_ && place_at(slot).used && place_at(slot).generation == generation;
  }
  [[nodiscard]] std::uint32_t places() const { return size_; }  // used and free
  [[nodiscard]] std::uint32_t count() const { return count_; }  // used

 private:
  static constexpr std::uint32_t kChunk = 1024;
  struct Place {
    T value{};
    std::uint32_t generation{1};
    bool used{};
  };
  [[nodiscard]] Place& place_at(std::uint32_t slot) { return chunks_[slot / kChunk][slot % kChunk]; }
  [[nodiscard]] const Place& place_at(std::uint32_t slot) const { return chunks_[slot / kChunk][slot % kChunk]; }

  std::vector<std::unique_ptr<Place[]>> chunks_;
  std::vector<std::uint32_t> free_;
  std::uint32_t size_{};
  std::uint32_t count_{};
};

}  // namespace muster::master

// Timers: what the core wants to look at later. Pure. Entries are not taken back: whoever is woken checks
// whether there is still a reason. Equal times fire in order of their adding.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "wire/base/time.hpp"

namespace muster::master {

enum class TimerKind : std::uint8_t { settle, link, node, framework, gang, questions };

struct Timer {
  Instant at;
  std::uint64_t serial{};
  std::uint64_t id{};
  std::uint32_t generation{};
  TimerKind kind{};
};

class Timers {
 public:
  void add(Instant at, TimerKind kind, std::uint64_t id, std::uint32_t generation = 0) {
    heap_.push_back(Timer{at, ++serial_, id, generation, kind});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  [[nodiscard]] Instant next() const { return heap_.empty() ? Instant::never() : heap_.front().at; }
  // Takes the first that is due.
  [[nodiscard]] bool pop(Instant now, Timer& out) {
    if (heap_.empty() || heap_.front().at > now) {
      return false;
    }
    out = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
    return true;
  }

 private:
  static bool later(const Timer& a, const Timer& b) { return a.at != b.at ? a.at > b.at : a.serial > b.serial; }
  std::vector<Timer> heap_;
  std::uint64_t serial_{};
};

}  // namespace muster::master

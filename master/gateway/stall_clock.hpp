// StallClock: the core's time, which stands still while the master itself does. Pure.
//
// A process that was stopped, swapped out or starved finds everybody silent when it goes on, and would declare healthy
// nodes lost. So the core's time leaves out every gap longer than the loop had meant to sleep: silences are
// counted only while somebody could have heard. Its time is never ahead of the real one, so no fence is shortened.
#pragma once

#include "wire/base/time.hpp"

namespace muster::master {

class StallClock {
 public:
  // Gaps up to this are ordinary delays.
  static constexpr Duration kTolerance = Duration::from_ms(500);

  // Once per round. `planned` is when the loop had meant to look at the clock again, at the latest.
  Now observe(Now real, Instant planned) {
    const Instant expected = planned < last_ ? last_ : planned;
    if (last_ != Instant{} && expected != Instant::never() && real.mono > expected + kTolerance) {
      stalled_ = stalled_ + (real.mono - expected);
      ++stalls_;
    }
    last_ = real.mono;
    return {real.mono - stalled_, real.wall};
  }
  // An instant of the core's time as a real one.
  [[nodiscard]] Instant to_real(Instant core) const { return core + stalled_; }
  [[nodiscard]] Duration stalled() const { return stalled_; }
  [[nodiscard]] std::uint64_t stalls() const { return stalls_; }

 private:
  Instant last_{};
  Duration stalled_{};
  std::uint64_t stalls_{};
};

}  // namespace muster::master

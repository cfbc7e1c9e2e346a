// Goal: the core's time stands still while the master does, and is otherwise the real one. Method: readings of a
// made-up clock.
#include <catch2/catch.hpp>

#include "master/gateway/stall_clock.hpp"

using namespace muster;
using muster::master::StallClock;

namespace {

Instant at_ms(std::int64_t ms) { return Instant::from_ns(ms * 1'000'000); }
Now real(std::int64_t ms) { return {at_ms(ms), WallTime::from_ns(5)}; }

}  // namespace

TEST_CASE("ordinary delays pass into the core's time") {
  StallClock clock;
  CHECK(clock.observe(real(1000), {}).mono == at_ms(1000));
  CHECK(clock.observe(real(2400), at_ms(2000)).mono == at_ms(2400));
  CHECK(clock.observe(real(2500), at_ms(9000)).mono == at_ms(2500));
  CHECK(clock.observe(real(9999), Instant::never()).mono == at_ms(9999));
  CHECK(clock.stalls() == 0);
}

TEST_CASE("a stall is left out of the core's time, once") {
  StallClock clock;
  clock.observe(real(1000), {});
  const Now after = clock.observe(real(71'000), at_ms(1500));
  CHECK(after.mono == at_ms(1500));
  CHECK(after.wall == WallTime::from_ns(5));
  CHECK(clock.stalls() == 1);
  CHECK(clock.observe(real(71'100), at_ms(71'200)).mono == at_ms(1600));
  CHECK(clock.to_real(at_ms(1700)) == at_ms(71'200));
  CHECK(clock.to_real(Instant::never()) == Instant::never());
}

TEST_CASE("a busy round counts from when it began") {
  StallClock clock;
  clock.observe(real(1000), {});
  // Planned for the past: the next look was due at once.
  CHECK(clock.observe(real(5000), at_ms(10)).mono == at_ms(1000));
}

#include "wire/base/time.hpp"

#include <ctime>

namespace muster {
namespace {

std::int64_t read_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

Now SystemClock::now() const {
  return Now{Instant::from_ns(read_ns(CLOCK_MONOTONIC)), WallTime::from_ns(read_ns(CLOCK_REALTIME))};
}

}  // namespace muster

// What the machine can do without us: bare posix_spawn + waitpid of /bin/true.
// Measured in the same run as what is held against it; figures of different runs don't compare.
#pragma once

#include <vector>

#include "wire/base/result.hpp"

namespace muster {

struct RawSpawn {
  double one_p50_ms{};  // posix_spawn to the end of waitpid, one at a time, nothing else running
  double one_p99_ms{};
  double per_second_one_thread{};
  double per_second_two_threads{};
};

// Spends `seconds`, a third on each of latency, one thread and two threads. Errc::io if /bin/true can't be spawned; so do
// the others.
[[nodiscard]] Result<RawSpawn> measure_spawn(double seconds);
// Milliseconds from posix_spawn to the end of waitpid, one at a time; in no order.
[[nodiscard]] Result<std::vector<double>> measure_spawn_times_ms(double seconds);
// Spawns per second of so many threads together.
[[nodiscard]] Result<double> measure_spawn_rate(int threads, double seconds);

}  // namespace muster

// What the machine can do without us: bare posix_spawn + waitpid of /bin/true.
// Measured in the same run as what is held against it; figures of different runs don't compare.
#pragma once

namespace muster::bench {

struct RawSpawn {
  double one_p50_ms{};  // posix_spawn to the end of waitpid, one at a time, nothing else running
  double one_p99_ms{};
  double per_second_one_thread{};
  double per_second_two_threads{};
};

// Spends `seconds`, a third on each of latency, one thread and two threads. Ends the process with a
// message if /bin/true can't be spawned.
[[nodiscard]] RawSpawn measure_spawn(double seconds);

}  // namespace muster::bench

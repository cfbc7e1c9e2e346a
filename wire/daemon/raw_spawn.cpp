#include "wire/daemon/raw_spawn.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <thread>

#include "wire/base/sampling.hpp"

namespace muster {
namespace {

// 0, or the errno of the spawn.
int spawn_one() {
  std::array<char, 10> program{"/bin/true"};
  std::array<char*, 2> argv{program.data(), nullptr};
  std::array<char*, 1> environment{nullptr};
  pid_t pid = 0;
  if (const int error = posix_spawn(&pid, program.data(), nullptr, nullptr, argv.data(), environment.data())) {
    return error;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return 0;
}

}  // namespace

Result<double> measure_spawn_rate(int threads, double seconds) {
  std::vector<std::uint64_t> spawned(static_cast<std::size_t>(threads), 0);
  std::vector<std::thread> workers;
  std::atomic<int> error{0};
  const double begun = seconds_now();
  for (std::uint64_t& count : spawned) {
    workers.emplace_back([&count, &error, end = begun + seconds] {
      while (seconds_now() < end && error.load(std::memory_order_relaxed) == 0) {
        if (const int failed = spawn_one()) {
          error.store(failed, std::memory_order_relaxed);
        }
        ++count;
      }
    });
  }
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers[i].join();
    total += spawned[i];
  }
  if (const int failed = error.load()) {
    return fail_errno(failed, "spawn /bin/true");
  }
  return static_cast<double>(total) / (seconds_now() - begun);
}

Result<std::vector<double>> measure_spawn_times_ms(double seconds) {
  for (int i = 0; i < 20; ++i) {  // the program's pages are in memory from here on
    if (const int failed = spawn_one()) {
      return fail_errno(failed, "spawn /bin/true");
    }
  }
  std::vector<double> samples_ms;
  for (const double end = seconds_now() + seconds; samples_ms.empty() || seconds_now() < end;) {
    const double begun = seconds_now();
    if (const int failed = spawn_one()) {
      return fail_errno(failed, "spawn /bin/true");
    }
    samples_ms.push_back((seconds_now() - begun) * 1e3);
  }
  return samples_ms;
}

Result<RawSpawn> measure_spawn(double seconds) {
  auto samples_ms = measure_spawn_times_ms(seconds / 3);
  if (!samples_ms) {
    return tl::unexpected(samples_ms.error());
  }
  const auto one = measure_spawn_rate(1, seconds / 3);
  const auto two = one ? measure_spawn_rate(2, seconds / 3) : one;
  if (!two) {
    return tl::unexpected(two.error());
  }
  return RawSpawn{.one_p50_ms = sample_percentile(*samples_ms, 0.50),
                  .one_p99_ms = sample_percentile(*samples_ms, 0.99),
                  .per_second_one_thread = *one,
                  .per_second_two_threads = *two};
}

}  // namespace muster

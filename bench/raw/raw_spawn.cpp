#include "bench/raw/raw_spawn.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/raw/sampling.hpp"

namespace muster::bench {
namespace {

void spawn_one() {
  std::array<char, 10> program{"/bin/true"};
  std::array<char*, 2> argv{program.data(), nullptr};
  std::array<char*, 1> environment{nullptr};
  pid_t pid = 0;
  if (const int error = posix_spawn(&pid, program.data(), nullptr, nullptr, argv.data(), environment.data())) {
    std::fprintf(stderr, "raw limits: can't spawn /bin/true: %s\n", std::strerror(error));
    std::exit(1);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
}

double rate(int threads, double seconds) {
  std::vector<std::uint64_t> spawned(static_cast<std::size_t>(threads), 0);
  std::vector<std::thread> workers;
  const double begun = seconds_now();
  for (std::uint64_t& count : spawned) {
    workers.emplace_back([&count, end = begun + seconds] {
      while (seconds_now() < end) {
        spawn_one();
        ++count;
      }
    });
  }
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers[i].join();
    total += spawned[i];
  }
  return static_cast<double>(total) / (seconds_now() - begun);
}

}  // namespace

RawSpawn measure_spawn(double seconds) {
  RawSpawn result;
  for (int i = 0; i < 20; ++i) {
    spawn_one();  // the program's pages are in memory from here on
  }
  std::vector<double> samples;
  for (const double end = seconds_now() + seconds / 3; samples.empty() || seconds_now() < end;) {
    const double begun = seconds_now();
    spawn_one();
    samples.push_back((seconds_now() - begun) * 1e3);
  }
  result.one_p50_ms = sample_percentile(samples, 0.50);
  result.one_p99_ms = sample_percentile(samples, 0.99);
  result.per_second_one_thread = rate(1, seconds / 3);
  result.per_second_two_threads = rate(2, seconds / 3);
  return result;
}

}  // namespace muster::bench

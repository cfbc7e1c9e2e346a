// The master core alone: every node of a batch once around, accept → launch → update → acknowledge → offer. The
// counters say nanoseconds of the core per task for each kind of call; messages are offers, launches and updates. All of
// it should stay flat as nodes grow.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/micro/core_driver.hpp"

namespace muster::bench {
namespace {

constexpr std::uint32_t kBatch = 64;  // nodes per flush; each accept is answered by a frame, and a link has credit for 256

void master_core(benchmark::State& state, bool packed) {
  const auto nodes = static_cast<std::uint32_t>(state.range(0));
  CoreDriver driver(nodes, packed);
  for (std::uint32_t i = 0; i < 2 * nodes / kBatch + 2; ++i) {
    driver.cycle(kBatch);  // every node's rows exist
  }
  driver.reset_counts();
  double before = 0;
  for (auto _ : state) {
    driver.cycle(kBatch);
    const double now = driver.nanoseconds();
    state.SetIterationTime((now - before) * 1e-9);
    before = now;
  }
  const auto tasks = static_cast<double>(driver.tasks());
  for (std::size_t i = 0; i < kStepNames.size(); ++i) {
    state.counters["ns_" + std::string(kStepNames[i])] = driver.nanoseconds(static_cast<Step>(i)) / tasks;
  }
  state.counters["messages_per_second"] = static_cast<double>(driver.messages()) / (driver.nanoseconds() * 1e-9);
  if (auto right = driver.core().audit(); !right) {
    state.SkipWithError(right.error().text.c_str());
  }
}
void master_core_packed(benchmark::State& state) { master_core(state, true); }
void master_core_spread(benchmark::State& state) { master_core(state, false); }
BENCHMARK(master_core_packed)->ArgName("nodes")->Arg(1000)->Arg(10'000)->Arg(100'000)->UseManualTime();
BENCHMARK(master_core_spread)->ArgName("nodes")->Arg(1000)->Arg(10'000)->Arg(100'000)->UseManualTime();

}  // namespace
}  // namespace muster::bench

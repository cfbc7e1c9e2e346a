// The picture for the pages when every node has changed since the last one: the longest pass over all nodes, on 1, 2 and 8
// threads. With few nodes it is serial whatever the number; the size from which threads win is where the rows begin to
// differ. Wall time; threads beyond the machine's cpus only cost.
#include <benchmark/benchmark.h>

#include <chrono>

#include "bench/micro/core_driver.hpp"
#include "master/view/cluster_view.hpp"

namespace muster::bench {
namespace {

void view(benchmark::State& state) {
  const auto nodes = static_cast<std::uint32_t>(state.range(0));
  CoreDriver driver(nodes, false, master::parallel_for_on(static_cast<unsigned>(state.range(1))));
  constexpr std::uint32_t kBatch = 64;
  std::size_t rows = 0;
  auto last = driver.view();
  for (auto _ : state) {
    for (std::uint32_t done = 0; done < nodes; done += kBatch) {
      driver.cycle(kBatch);
    }
    const auto begun = std::chrono::steady_clock::now();
    auto next = driver.view();
    last.swap(next);
    next.reset();  // what only the last one had is freed, as when it is published
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count());
    rows = last->nodes.size() + last->offers.size() + last->tasks.size();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(rows));
}
BENCHMARK(view)
    ->ArgNames({"nodes", "threads"})
    ->ArgsProduct({{256, 1000, 2000, 4096, 8192, 20'000, 100'000}, {1, 2, 8}})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->MinTime(0.2);

}  // namespace
}  // namespace muster::bench

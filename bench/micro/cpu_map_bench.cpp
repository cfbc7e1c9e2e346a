// The cpu map's cost per task on nodes of 4 to 512 cpus. A node starts a few thousand tasks a second at most, so
// this must stay well below what a spawn costs.
#include <benchmark/benchmark.h>

#include <cstdint>

#include "node/topology/cpu_map.hpp"

namespace muster::node {
namespace {

// L3 caches of 8 cores of 2 threads, as far as the cpus go.
Topology machine(std::int64_t cpus) {
  if (cpus < 16) {
    return make_topology({.cores_per_l3 = static_cast<std::uint32_t>(cpus)});
  }
  return make_topology({.packages = cpus >= 64 ? 2U : 1U,
                        .l3s_per_numa = static_cast<std::uint32_t>(cpus) / 16 / (cpus >= 64 ? 2U : 1U),
                        .cores_per_l3 = 8,
                        .pus_per_core = 2});
}

CpuKey key(std::uint64_t n) { return CpuKey{FrameworkId(1), AttemptId{n, 0}}; }

// A node kept full of tasks of the given size: the oldest goes, a new one comes.
void churn(benchmark::State& state, MilliCpus cpus_milli) {
  CpuMap map(machine(state.range(0)));
  std::uint64_t oldest = 0;
  std::uint64_t next = 0;
  while (map.grant(key(next), {cpus_milli, 1, 0})) {
    ++next;
  }
  for (auto _ : state) {
    map.release(key(oldest++));
    benchmark::DoNotOptimize(map.grant(key(next++), {cpus_milli, 1, 0}));
  }
}

void cpu_map_one_cpu(benchmark::State& state) { churn(state, 1000); }
void cpu_map_four_cpus(benchmark::State& state) { churn(state, 4000); }
void cpu_map_fractions(benchmark::State& state) { churn(state, 250); }
BENCHMARK(cpu_map_one_cpu)->ArgName("cpus")->Arg(4)->Arg(64)->Arg(512);
BENCHMARK(cpu_map_four_cpus)->ArgName("cpus")->Arg(4)->Arg(64)->Arg(512);
BENCHMARK(cpu_map_fractions)->ArgName("cpus")->Arg(4)->Arg(64)->Arg(512);

// The whole node at once, as a gang's task with a rank per cpu.
void cpu_map_whole_node(benchmark::State& state) {
  CpuMap map(machine(state.range(0)));
  const auto cpus = static_cast<std::uint32_t>(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(map.grant(key(1), {cpus * 1000, cpus, 1000}));
    map.release(key(1));
  }
}
BENCHMARK(cpu_map_whole_node)->ArgName("cpus")->Arg(4)->Arg(64)->Arg(512);

}  // namespace
}  // namespace muster::node

// The resource vector's operations as the ledger and the allocator use them: per offer, launch and update.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "wire/model/resources.hpp"

namespace muster {
namespace {

// 0: cpus, memory and gpus only, the usual case. 1: with ports and a licence.
Resources share(std::int64_t kind) {
  return parse_resources(kind == 0 ? "cpus=1;mem=2G" : "cpus=1;mem=2G;ports=31000-31003;license.x=1").value();
}
Resources node(std::int64_t kind) {
  return parse_resources(kind == 0 ? "cpus=64;mem=256G;gpus=4" : "cpus=64;mem=256G;ports=31000-32000;license.x=9")
      .value();
}

void resources_take_and_give_back(benchmark::State& state) {
  Resources free = node(state.range(0));
  const Resources part = share(state.range(0));
  for (auto _ : state) {
    free -= part;
    benchmark::DoNotOptimize(free);
    free += part;
    benchmark::DoNotOptimize(free);
  }
}
BENCHMARK(resources_take_and_give_back)->ArgName("lists")->Arg(0)->Arg(1);

void resources_fits_in(benchmark::State& state) {
  const Resources free = node(state.range(0));
  const Resources part = share(state.range(0));
  for (auto _ : state) {
    benchmark::DoNotOptimize(part.fits_in(free));
  }
}
BENCHMARK(resources_fits_in)->ArgName("lists")->Arg(0)->Arg(1);

// The allocator's question over many nodes: how many pieces would fit here?
void resources_multiples_over_nodes(benchmark::State& state) {
  const std::vector<Resources> nodes(static_cast<std::size_t>(state.range(0)), node(0));
  const Resources part = share(0);
  for (auto _ : state) {
    std::uint64_t pieces = 0;
    for (const Resources& free : nodes) {
      pieces += part.multiples_in(free);
    }
    benchmark::DoNotOptimize(pieces);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(resources_multiples_over_nodes)->ArgName("nodes")->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace muster

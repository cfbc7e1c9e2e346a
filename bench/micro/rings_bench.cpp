// What a value or a frame costs on its way through a ring, with both ends on one thread: the cost without waiting.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "wire/ring/frame_ring.hpp"
#include "wire/ring/published.hpp"
#include "wire/ring/spsc_ring.hpp"

namespace muster {
namespace {

void spsc_ring(benchmark::State& state) {
  SpscRing<std::uint64_t> ring(1024);
  const auto burst = static_cast<std::uint64_t>(state.range(0));
  std::uint64_t value = 0;
  for (auto _ : state) {
    for (std::uint64_t i = 0; i < burst; ++i) {
      benchmark::DoNotOptimize(ring.push(i));
    }
    while (ring.take(value)) {
      benchmark::DoNotOptimize(value);
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(spsc_ring)->ArgName("burst")->Arg(1)->Arg(64)->Arg(1024);

void frame_ring(benchmark::State& state) {
  FrameRing ring(1U << 20U);
  const std::vector<std::uint8_t> frame(static_cast<std::size_t>(state.range(0)), 1);
  for (auto _ : state) {
    const auto place = ring.reserve(frame.size());
    std::memcpy(place.data(), frame.data(), frame.size());
    ring.commit(frame.size());
    benchmark::DoNotOptimize(ring.peek().data());
    ring.release();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(frame_ring)->ArgName("bytes")->Arg(64)->Arg(512)->Arg(4096)->Arg(65'536);

}  // namespace
}  // namespace muster

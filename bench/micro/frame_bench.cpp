// Frames as they come and go on the master's message path: verified once, built once per link and batch. Per record the cost
// should fall as frames grow.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "bench/load/frame_template.hpp"
#include "wire/schema/frame.hpp"

namespace muster::bench {
namespace {

FrameBytes accept_of(std::int64_t launches) {
  return accept_template(1, static_cast<std::uint32_t>(launches), fb::Amounts(1, 0, 1000, 0)).bytes;
}

void verify(benchmark::State& state, const FrameBytes& bytes) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(verify_frame(bytes).has_value());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}
void frame_verify_accept(benchmark::State& state) { verify(state, accept_of(state.range(0))); }
void frame_verify_update(benchmark::State& state) {
  verify(state, update_template(static_cast<std::uint32_t>(state.range(0)), 1).bytes);
}
BENCHMARK(frame_verify_accept)->ArgName("records")->Arg(1)->Arg(64)->Arg(4096);
BENCHMARK(frame_verify_update)->ArgName("records")->Arg(1)->Arg(64)->Arg(4096);

void frame_build_update(benchmark::State& state) {
  const std::vector<fb::UpdateEntry> entries(static_cast<std::size_t>(state.range(0)),
                                             fb::UpdateEntry(fb::AttemptId(1, 2), 3, 4, 5, 6, 0, 0, 0, 10, 0, 0, 0));
  flatbuffers::FlatBufferBuilder builder(1U << 20U);
  std::uint64_t sequence = 0;
  for (auto _ : state) {
    const auto rows = builder.CreateVectorOfStructs(entries);
    benchmark::DoNotOptimize(
        finish_frame(builder, {Epoch(1), Incarnation(1), ++sequence, 1}, fb::CreateUpdate(builder, rows)).data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(frame_build_update)->ArgName("records")->Arg(1)->Arg(64)->Arg(4096);

}  // namespace
}  // namespace muster::bench

// The gang's decisions: which nodes hold a gang, and the queue of pending jobs.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "sched/gang/job_queue.hpp"
#include "sched/gang/matcher.hpp"

namespace muster::gang {
namespace {

std::vector<Room> rooms_of(std::int64_t count, std::uint32_t cpus) {
  std::vector<Room> out;
  for (std::int64_t i = 0; i < count; ++i) {
    Room& room = out.emplace_back();
    room.node = NodeIndex(static_cast<std::uint32_t>(i));
    room.left.cpus_milli = cpus * 1000;
    room.left.memory_bytes = std::uint64_t{cpus} << 30U;
  }
  return out;
}

// Half of all cpus as one gang over many nodes.
void matcher_wide_gang(benchmark::State& state) {
  const auto rooms = rooms_of(state.range(0), 64);
  GangShape shape;
  shape.ntasks = static_cast<std::uint32_t>(state.range(0)) * 32;
  shape.nodes_max = shape.ntasks;
  for (auto _ : state) {
    benchmark::DoNotOptimize(match(shape, 1U << 20U, rooms));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(matcher_wide_gang)->ArgName("nodes")->Arg(100)->Arg(1000)->Arg(10'000);

// One task when only the last node has room, and when the search is told where to begin.
void matcher_one_task(benchmark::State& state, bool hinted) {
  auto rooms = rooms_of(state.range(0), 64);
  for (std::size_t i = 0; i + 1 < rooms.size(); ++i) {
    rooms[i].left = {};
  }
  const GangShape shape;
  const auto hint = hinted ? static_cast<std::uint32_t>(rooms.size() - 1) : 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(match(shape, 1U << 20U, rooms, hint));
  }
}
void matcher_one_task_search(benchmark::State& state) { matcher_one_task(state, false); }
void matcher_one_task_hinted(benchmark::State& state) { matcher_one_task(state, true); }
BENCHMARK(matcher_one_task_search)->ArgName("nodes")->Arg(100)->Arg(1000)->Arg(10'000);
BENCHMARK(matcher_one_task_hinted)->ArgName("nodes")->Arg(100)->Arg(1000)->Arg(10'000);

JobRecord one_job(std::uint64_t id) {
  JobRecord record;
  record.job = JobId(id);
  record.key_hi = id;
  record.submitted = WallTime::from_ns(static_cast<std::int64_t>(id));
  fb::JobSpecT spec;
  spec.name = "load";
  spec.argv = {"/bin/true"};
  spec.ntasks = 1;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::JobSpec::Pack(builder, &spec));
  record.spec.assign(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  return record;
}

// A queue of the given length: one job comes, the oldest is found, looked at and goes.
void queue_submit_and_end(benchmark::State& state) {
  const auto policy = make_policy("fifo").value();
  JobQueue queue(*policy);
  std::uint64_t next = 1;
  std::uint64_t oldest = 1;
  const Now now{Instant::from_ns(1), WallTime::from_ns(1)};
  const JobRecord form = one_job(1);
  const auto submit = [&] {
    JobRecord record = form;
    record.job = JobId(next);
    record.key_hi = next++;
    queue.refresh(queue.add(std::move(record), now));
  };
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    submit();
  }
  for (auto _ : state) {
    submit();
    benchmark::DoNotOptimize(queue.pending().begin()->job);
    Job& job = *queue.find(JobId(oldest++));
    while (const auto element = job.elements.peek()) {
      job.elements.start(element->ordinal);
    }
    queue.refresh(job);
    queue.retire(job, 16);
  }
}
BENCHMARK(queue_submit_and_end)->ArgName("pending")->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace muster::gang

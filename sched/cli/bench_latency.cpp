// bench latency: one no-op job at a time over a kept connection, beside the bare round trip and the bare spawn.
#include <algorithm>
#include <set>

#include "sched/cli/bench_run.hpp"
#include "sched/cli/table.hpp"
#include "wire/daemon/raw_spawn.hpp"
#include "wire/socket/raw_zmq.hpp"

namespace muster::cli {
namespace {

constexpr std::uint64_t kCount = 200;
constexpr std::uint64_t kWarmUp = 10;
constexpr double kBareSeconds = 0.5;          // for each of the two
constexpr std::uint32_t kFillers = 1'000'000; // more than end while it measures

struct Times {
  double accepted_ms{};
  double start_ms{};
  double completion_ms{};
};

double ms_between(Now begin, Now end) { return static_cast<double>((end.mono - begin.mono).ns()) * 1e-6; }

// Only within one machine do a node and we read the same clock.
bool is_local(const fb::LogPlaceT& place) { return place.endpoint.starts_with("ipc://"); }

Result<Times> run_one(BenchRun& run, GangClient& gang, std::set<std::string>& elsewhere) {
  const SystemClock clock;
  const GangClient::NoOp job{.name = kBenchName};
  const Now begun = clock.now();
  const auto id = gang.submit(job);
  if (!id) {
    return tl::unexpected(id.error());
  }
  Times times;
  times.accepted_ms = ms_between(begun, clock.now());
  const Instant deadline = begun.mono + run.session().common().timeout;
  for (std::uint64_t version = 0;;) {
    const auto row = gang.watch(*id, version);
    const Now now = clock.now();
    if (!row) {
      return tl::unexpected(row.error());
    }
    if (is_ended(row->state)) {
      if (row->state != fb::JobState::Completed) {
        return fail(Errc::refused, "the no-op job " + std::to_string(*id) + " ended as " +
                                       std::string(state_name(row->state)) + (row->reason.empty() ? "" : ": " + row->reason));
      }
      times.completion_ms = ms_between(begun, now);
      times.start_ms = static_cast<double>(row->started_ns - begun.wall.ns()) * 1e-6;
      for (const auto& place : row->places) {
        if (!is_local(*place)) {
          elsewhere.insert(place->node);
        }
      }
      return times;
    }
    if (now.mono >= deadline) {
      return fail(Errc::timed_out, "job " + std::to_string(*id) + " has not ended within " +
                                       span_text(run.session().common().timeout) + ": " + std::string(state_name(row->state)) +
                                       (row->reason.empty() ? "" : ", " + row->reason) + "; look: muster queue" +
                                       run.session().place().hint() + ", or give it longer: --timeout 60");
    }
    version = row->version;
  }
}

}  // namespace

Result<BenchReport> bench_latency(BenchRun& run, const BenchCommand& command) {
  const std::uint64_t count = command.count.value_or(kCount);
  BenchReport report = run.report("latency", "ms");
  run.show("measuring the machine");
  auto trip = measure_round_trip("ipc", kBareSeconds);
  if (!trip) {
    return tl::unexpected(trip.error());
  }
  auto spawn = measure_spawn_times_ms(kBareSeconds);
  if (!spawn) {
    return tl::unexpected(spawn.error());
  }
  auto gang = run.gang();
  if (!gang) {
    return tl::unexpected(gang.error());
  }
  if (command.busy) {
    GangClient::NoOp fillers{.name = kBenchName};
    fillers.array_elements = kFillers;
    fillers.array_throttle = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, run.slots() / 2));
    if (auto submitted = (*gang)->submit(fillers); !submitted) {
      return tl::unexpected(submitted.error());
    }
  }
  std::vector<double> accepted;
  std::vector<double> start;
  std::vector<double> completion;
  std::set<std::string> elsewhere;
  for (std::uint64_t i = 0; i < kWarmUp + count; ++i) {
    if (run.interrupted()) {
      return fail(Errc::timed_out, "interrupted");
    }
    const auto times = run_one(run, **gang, elsewhere);
    if (!times) {
      return tl::unexpected(times.error());
    }
    if (i >= kWarmUp) {
      accepted.push_back(times->accepted_ms);
      start.push_back(times->start_ms);
      completion.push_back(times->completion_ms);
      run.show(std::to_string(i - kWarmUp + 1) + " of " + counted(count, "job"));
    }
    // Not in step with anybody's timers.
    run.pause(Duration::from_us(2'000 + static_cast<std::int64_t>(i * 7919U % 10'000)));
  }

  report.title = counted(count, "no-op job") + ", one at a time" +
                 (command.busy ? ", while half of the free cpus turn over other no-op jobs" : "");
  report.measures.push_back({"submit_to_accepted", {"submit → accepted", Distribution(std::move(accepted))}});
  // A clock that was set meanwhile shows as a start before the submit.
  const bool comparable = elsewhere.empty() && *std::min_element(start.begin(), start.end()) > 0;
  if (comparable) {
    report.measures.push_back({"submit_to_start", {"submit → start", Distribution(std::move(start))}});
    report.main = "submit_to_start";
  }
  report.measures.push_back({"submit_to_completion", {"submit → completion seen", Distribution(std::move(completion))}});
  if (!comparable) {
    report.main = "submit_to_completion";
  }
  report.measures.push_back({"bare_round_trip", {"bare ZeroMQ round trip", Distribution(std::move(trip->samples_ms))}, true});
  report.measures.push_back({"bare_spawn", {"bare spawn of /bin/true", Distribution(*std::move(spawn))}, true});

  const auto p50 = [&](std::string_view key) {
    const auto found = std::find_if(report.measures.begin(), report.measures.end(), [&](const Measure& m) { return m.key == key; });
    return found->samples.values.quantile(0.5);
  };
  report.figures.push_back({"submit_to_accepted_in_round_trips", "submit → accepted in bare round trips (p50)",
                            p50("submit_to_accepted") / p50("bare_round_trip")});
  const double floor_ms = 3 * p50("bare_round_trip") + p50("bare_spawn");
  if (comparable) {
    report.figures.push_back({"submit_to_start_ratio_to_3_round_trips_and_spawn",
                              "submit → start against 3 bare round trips + a bare spawn (p50)", p50("submit_to_start") / floor_ms});
    report.remarks.emplace_back("start: just before the exec, as its node reports it by this host's clock");
  } else {
    report.remarks.push_back(elsewhere.empty()
                                 ? "start is left out: the clock was set while it was measured"
                                 : "start is left out: " + *elsewhere.begin() +
                                       " is on another host, whose clock can't be compared with this one");
  }
  report.figures.push_back({"submit_to_completion_ratio_to_3_round_trips_and_spawn",
                            "submit → completion seen against the same (p50)", p50("submit_to_completion") / floor_ms});
  return report;
}

}  // namespace muster::cli

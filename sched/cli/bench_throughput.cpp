// bench throughput: no-op jobs per second, as one array and as separate submits, beside bare spawns.
#include <algorithm>

#include "sched/cli/bench_run.hpp"
#include "sched/cli/table.hpp"
#include "wire/daemon/raw_spawn.hpp"

namespace muster::cli {
namespace {

constexpr std::uint64_t kCount = 10'000;
constexpr double kBareSeconds = 1;
constexpr Duration kLookAtAll = Duration::from_seconds(1);
constexpr Duration kLook = Duration::from_ms(20);
constexpr Duration kLookNearTheEnd = Duration::from_ms(5);

// How many of ours have ended: of an array by its row; of many jobs by a look at all of them, so not too often.
Result<std::uint64_t> ended_of(GangClient& gang, const GangClient::Progress& last, std::size_t jobs, std::uint64_t count) {
  if (jobs == 1) {
    return last.completed + last.failed;
  }
  const auto unfinished = gang.unfinished(kBenchName);
  return unfinished ? Result<std::uint64_t>(count - std::min(count, *unfinished)) : tl::unexpected(unfinished.error());
}

// Until all have ended; the seconds since `begun`.
Result<double> wait_all(BenchRun& run, GangClient& gang, const std::vector<std::uint64_t>& jobs, std::uint64_t count,
                        Instant begun) {
  const Duration timeout = run.session().common().timeout;
  const Duration interval = jobs.size() == 1 ? Duration{} : std::min(kLookAtAll, timeout / 2);
  std::uint64_t ended = 0;
  Instant looked = begun;
  Instant changed = begun;
  for (;;) {
    std::vector<std::uint64_t> left{jobs.back()};  // most end in their order: the last says when to look at all
    auto progress = gang.progress(left);
    if (progress && left.empty() && jobs.size() > 1) {
      left = jobs;
      progress = gang.progress(left);
    }
    const Instant now = mono_now();
    if (!progress) {
      return tl::unexpected(progress.error());
    }
    if (left.empty()) {
      if (progress->failed > 0) {
        return fail(Errc::refused, std::to_string(progress->failed) + " of " + std::to_string(count) +
                                       " no-op jobs did not complete; look: muster queue" + run.session().place().hint() +
                                       " --all --name " + kBenchName);
      }
      return static_cast<double>((now - begun).ns()) * 1e-9;
    }
    if (now - looked >= interval) {
      const auto now_ended = ended_of(gang, *progress, jobs.size(), count);
      if (!now_ended) {
        return tl::unexpected(now_ended.error());
      }
      changed = *now_ended != ended ? now : changed;
      ended = *now_ended;
      looked = now;
      run.show(std::to_string(ended) + " of " + counted(count, "job"));
    }
    if (now - changed >= timeout) {
      return fail(Errc::timed_out, "no job has ended for " + span_text(timeout) + ": " + std::to_string(ended) + " of " +
                                       std::to_string(count) + " have; look: muster queue" + run.session().place().hint() +
                                       ", or give it longer: --timeout 60");
    }
    if (run.interrupted()) {
      return fail(Errc::timed_out, "interrupted");
    }
    run.pause(ended * 5 < count * 4 ? kLook : kLookNearTheEnd);
  }
}

// How a way of submitting went.
struct Way {
  std::string key;     // "array"
  std::string label;   // "one array"
};

Status measure(BenchRun& run, GangClient& gang, const Way& way, std::uint64_t count, double bare, BenchReport& report) {
  GangClient::NoOp job{.name = kBenchName};
  const bool array = way.key == "array";
  job.array_elements = array ? static_cast<std::uint32_t>(count) : 0;
  run.show(way.label);
  const Instant begun = mono_now();
  const auto jobs = gang.submit_many(job, array ? 1 : static_cast<std::uint32_t>(count));
  if (!jobs) {
    return tl::unexpected(jobs.error());
  }
  const auto seconds = wait_all(run, gang, *jobs, count, begun);
  if (!seconds) {
    return tl::unexpected(seconds.error());
  }
  const auto starts = array ? gang.starts_of_array(jobs->front()) : gang.starts_of(*jobs);
  if (!starts) {
    return tl::unexpected(starts.error());
  }
  const double per_second = static_cast<double>(count) / *seconds;
  report.figures.push_back({way.key + "_seconds", way.label + ", first submit → last end, s", *seconds});
  report.figures.push_back({way.key + "_jobs_per_second", way.label + ", jobs per second", per_second});
  report.figures.push_back({way.key + "_jobs_ratio_to_bare_spawn", way.label + ", against bare spawns", per_second / bare});
  std::vector<std::int64_t> events_ns;
  for (const WallTime start : *starts) {
    events_ns.push_back(start.ns());
  }
  Rates rates = rates_of("starts per second, " + way.label, std::move(events_ns));
  report.measures.push_back({way.key + "_starts", {way.label + ": starts", Distribution(rates.per_second)}});
  report.rates.push_back(std::move(rates));
  return {};
}

}  // namespace

Result<BenchReport> bench_throughput(BenchRun& run, const BenchCommand& command) {
  const std::uint64_t count = command.count.value_or(kCount);
  BenchReport report = run.report("throughput", "per second");
  run.show("measuring the machine");
  const auto bare = measure_spawn_rate(2, kBareSeconds);
  if (!bare) {
    return tl::unexpected(bare.error());
  }
  report.figures.push_back({"bare_spawn_per_second", "bare spawns of /bin/true by two threads, per second", *bare});
  auto gang = run.gang();
  if (!gang) {
    return tl::unexpected(gang.error());
  }
  if (auto done = measure(run, **gang, {"array", "one array"}, count, *bare, report); !done) {
    return tl::unexpected(done.error());
  }
  if (command.separate) {
    if (auto done = measure(run, **gang, {"separate", "separate submits"}, count, *bare, report); !done) {
      return tl::unexpected(done.error());
    }
  }
  report.title = counted(count, "no-op job") + " as one array" + (command.separate ? ", and as separate submits" : "");
  PlotMark& mark = report.rate_marks.emplace_back();
  mark.label = "bare spawns by two threads";
  mark.value = *bare;
  if (!report.rates.empty()) {
    report.remarks.push_back("starts: as the nodes report them, in slices of " +
                             three_digits(report.rates.front().slice_seconds) + " s; the table is over the slices");
  }
  return report;
}

}  // namespace muster::cli

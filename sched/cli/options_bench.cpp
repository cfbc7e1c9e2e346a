// bench: what to measure, and how much of it.
#include <array>

#include "sched/cli/catalogue.hpp"
#include "wire/base/suggest.hpp"

namespace muster::cli {
namespace {

struct BenchDraft {
  BenchCommand command;
  std::string kind;
  std::optional<std::string> count;
  std::optional<std::string> svg;
};

struct Kind {
  const char* name;
  BenchKind kind;
  std::uint64_t count_max;
};
constexpr std::array<Kind, 3> kKinds{{{"latency", BenchKind::latency, 100'000},
                                      {"throughput", BenchKind::throughput, 1'000'000},
                                      {"offers", BenchKind::offers, 1'000'000}}};

Result<Command> finish(BenchDraft& draft) {
  const Kind* kind = nullptr;
  std::vector<std::string> names;
  for (const Kind& candidate : kKinds) {
    names.emplace_back(candidate.name);
    kind = draft.kind == candidate.name ? &candidate : kind;
  }
  if (draft.kind.empty()) {
    return fail(Errc::invalid_argument, "say what to measure: muster bench latency, throughput or offers");
  }
  if (kind == nullptr) {
    const std::string near = nearest(draft.kind, names);
    return fail(Errc::invalid_argument, "'" + draft.kind + "' is not latency, throughput or offers" +
                                            (near.empty() ? "" : "; did you mean " + near + "?"));
  }
  BenchCommand& command = draft.command;
  command.kind = kind->kind;
  if (draft.count) {
    auto count = parse_count(*draft.count, 1, kind->count_max);
    if (!count) {
      return fail(count.error().code, "--count: " + count.error().text);
    }
    command.count = *count;
  }
  if (command.busy && command.kind != BenchKind::latency) {
    return fail(Errc::invalid_argument, "--busy is for latency; leave it out of " + draft.kind);
  }
  if (command.separate && command.kind != BenchKind::throughput) {
    return fail(Errc::invalid_argument, "--separate is for throughput; leave it out of " + draft.kind);
  }
  if (draft.svg) {
    command.svg = *draft.svg;
  }
  return command;
}

constexpr const char* kMore =
    "latency: one no-op job at a time over a kept connection; submit → accepted, → start, → completion seen.\n"
    "throughput: an array of no-op jobs; jobs per second, starts per second over time.\n"
    "offers: a framework of its own; request → offer, decline → offered again, accept → accepted, → first update.\n"
    "Beside each: what this machine does without muster, measured in the same run. Jobs are called muster-bench; Ctrl-C\n"
    "ends them. It refuses while other jobs wait, and tells when others run.\n"
    "Examples:\n"
    "  muster bench latency\n"
    "  muster bench throughput --count 20000 --separate --svg rates.svg\n"
    "  muster bench offers --json\n"
    "Exit codes: 0 measured, 1 the picture can't be written, 2 bad option, 3 no cluster, 4 refused (no free cpu, other jobs\n"
    "wait, a job failed), 5 nothing moved for --timeout, 130 left by Ctrl-C.\n";

}  // namespace

void add_bench_subcommand(Catalogue& catalogue) {
  auto draft = std::make_shared<BenchDraft>();
  Subcommand& sub = catalogue.add({"bench", "Cluster", "measure this cluster: latency, throughput or offers", kMore}, true);
  CLI::App& app = *sub.app;
  app.add_option("WHAT", draft->kind, "latency, throughput or offers");
  add_text(app, "--count", draft->count, "N",
           "jobs, or cycles of each kind; default 200 of latency, 10000 of throughput, 200 of offers");
  app.add_flag("--busy", draft->command.busy, "latency: while half of the free cpus turn over other no-op jobs");
  app.add_flag("--separate", draft->command.separate, "throughput: also as separate submits over one connection");
  app.add_flag("--force", draft->command.force, "measure although other jobs wait or no cpu is free");
  add_text(app, "--svg", draft->svg, "FILE", "draw it: histograms, or starts per second over time");
  sub.finish = [draft]() { return finish(*draft); };
}

}  // namespace muster::cli

// sim_main: runs seeds of the simulator and says which of them break which invariant.
#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/sim/options.hpp"

namespace {

using namespace muster;

std::string reproduce(std::uint64_t seed, const sim::Options& options, const std::string& defect) {
  std::string text = "sim_main --seeds " + std::to_string(seed) + "-" + std::to_string(seed) + " --profile " + options.profile;
  if (options.nodes != 0) {
    text += " --nodes " + std::to_string(options.nodes);
  }
  if (options.jobs != 0) {
    text += " --jobs " + std::to_string(options.jobs);
  }
  if (!defect.empty()) {
    text += " --defect " + defect;
  }
  return text + " --trace";
}

extern "C" void on_abort(int) {
  char text[96];
  const int bytes = std::snprintf(text, sizeof text, "sim_main: seed %llu ended the process\n",
                                  static_cast<unsigned long long>(sim::running_seed()));
  if (bytes > 0) {
    std::fwrite(text, 1, static_cast<std::size_t>(bytes), stderr);
  }
  std::_Exit(1);
}

struct Totals {
  std::uint64_t seeds{}, failed{}, steps{}, frames{}, jobs{}, tasks{}, in_line{}, crashes{};
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Runs the simulated cluster: real cores and frames, virtual time, faults drawn from the seed."};
  std::string seeds = "1-300";
  std::string profile = "mixed";
  std::string defect;
  sim::Options options;
  bool json = false;
  bool keep_going = false;
  unsigned threads = 1;
  std::size_t events = 60;
  app.add_option("--seeds", seeds, "A-B, both included")->capture_default_str();
  app.add_option("--nodes", options.nodes, "nodes of the cluster; 0: drawn from the seed");
  app.add_option("--jobs", options.jobs, "jobs submitted; 0: drawn from the seed");
  app.add_option("--profile", profile, "calm, network, crash, power, all; mixed: one after the other")->capture_default_str();
  app.add_option("--defect", defect, "build this error in, e.g. master.double_release");
  app.add_flag("--trace", options.trace, "print every event");
  app.add_flag("--json", json, "one JSON object per seed");
  app.add_flag("--keep-going", keep_going, "do not stop at the first violation");
  app.add_option("--threads", threads, "seeds run at the same time")->capture_default_str();
  app.add_option("--events", events, "events shown before a violation")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::uint64_t first = 0;
  std::uint64_t last = 0;
  char* rest = nullptr;
  first = std::strtoull(seeds.c_str(), &rest, 10);
  last = *rest == '-' ? std::strtoull(rest + 1, &rest, 10) : first;
  if (*rest != '\0' || rest == seeds.c_str() || last < first) {
    std::fprintf(stderr, "sim_main: --seeds '%s' is not A-B with A ≤ B\n", seeds.c_str());
    return 2;
  }
  if (!defect.empty()) {
    auto found = sim::defect_named(defect);
    if (!found) {
      std::fprintf(stderr, "sim_main: %s\n", found.error().text.c_str());
      return 2;
    }
    options.defects = *found;
  }
  if (profile != "mixed") {
    if (auto found = sim::profile_named(profile); !found) {
      std::fprintf(stderr, "sim_main: %s, mixed\n", found.error().text.c_str());
      return 2;
    }
  }
  std::signal(SIGABRT, on_abort);
  std::setvbuf(stdout, nullptr, _IOLBF, 1 << 16);

  std::atomic<std::uint64_t> next{first};
  std::atomic<bool> stop{false};
  std::mutex print;
  Totals totals;
  const auto started = std::chrono::steady_clock::now();
  const auto work = [&] {
    while (!stop) {
      const std::uint64_t seed = next++;
      if (seed > last) {
        return;
      }
      sim::Options mine = options;
      mine.profile = profile != "mixed" ? profile : sim::profile_names()[seed % sim::profile_names().size()];
      sim::Outcome outcome = sim::run_seed(seed, mine);
      if (!outcome.ok && !mine.trace) {
        sim::Options told = mine;
        told.lines_kept = events;
        const sim::Outcome again = sim::run_seed(seed, told);
        if (again.hash != outcome.hash) {
          outcome.text += " (and the repeated run went differently: the cores are not deterministic)";
        }
        outcome.last_events = again.last_events;
      }
      const std::lock_guard lock(print);
      ++totals.seeds;
      totals.failed += outcome.ok ? 0U : 1U;
      totals.steps += outcome.steps;
      totals.frames += outcome.frames;
      totals.jobs += outcome.jobs;
      totals.tasks += outcome.tasks_execed;
      totals.in_line += outcome.tasks_in_line;
      totals.crashes += outcome.crashes;
      if (json) {
        nlohmann::json row{{"seed", seed}, {"profile", mine.profile}, {"ok", outcome.ok}, {"hash", outcome.hash},
                           {"virtual_seconds", static_cast<double>(outcome.at.ns()) * 1e-9}, {"steps", outcome.steps},
                           {"frames", outcome.frames}, {"jobs", outcome.jobs}, {"tasks", outcome.tasks_execed},
                           {"crashes", outcome.crashes}};
        if (!outcome.ok) {
          row["invariant"] = outcome.invariant;
          row["text"] = outcome.text;
          row["reproduce"] = reproduce(seed, mine, defect);
        }
        std::printf("%s\n", row.dump().c_str());
      } else if (!outcome.ok) {
        for (const std::string& line : outcome.last_events) {
          std::printf("%s\n", line.c_str());
        }
        std::printf("VIOLATION seed %llu at %.6f s: %s: %s\n  reproduce: %s\n", static_cast<unsigned long long>(seed),
                    static_cast<double>(outcome.at.ns()) * 1e-9, outcome.invariant.c_str(), outcome.text.c_str(),
                    reproduce(seed, mine, defect).c_str());
      }
      if (!outcome.ok && !keep_going) {
        stop = true;
      }
    }
  };
  std::vector<std::thread> pool;
  for (unsigned i = 1; i < threads; ++i) {
    pool.emplace_back(work);
  }
  work();
  for (std::thread& thread : pool) {
    thread.join();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  if (!json) {
    std::printf("%llu seeds, %llu violations; %llu jobs, %llu tasks (%llu in line), %llu frames, %llu crashes, %llu events in %.1f s\n",
                static_cast<unsigned long long>(totals.seeds), static_cast<unsigned long long>(totals.failed),
                static_cast<unsigned long long>(totals.jobs), static_cast<unsigned long long>(totals.tasks),
                static_cast<unsigned long long>(totals.in_line),
                static_cast<unsigned long long>(totals.frames), static_cast<unsigned long long>(totals.crashes),
                static_cast<unsigned long long>(totals.steps), seconds);
  }
  return totals.failed == 0 ? 0 : 1;
}

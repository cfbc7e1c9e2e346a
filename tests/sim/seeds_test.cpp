// Goal: no seed breaks an invariant, and a seed always goes the same way.
// Method: a short range of seeds of every profile; run.sh and sim_main run longer ones.
#include <catch2/catch.hpp>

#include "tests/sim/options.hpp"

using namespace muster;

namespace {

void run_range(const std::string& profile, std::uint64_t first, std::uint64_t last) {
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    sim::Options options;
    options.profile = profile;
    const sim::Outcome outcome = sim::run_seed(seed, options);
    if (!outcome.ok) {
      FAIL("seed " << seed << ": " << outcome.invariant << ": " << outcome.text << "\n  reproduce: sim_main --seeds " << seed << "-"
                   << seed << " --profile " << profile << " --trace");
    }
    CHECK(outcome.tasks_execed > 0);
  }
}

}  // namespace

TEST_CASE("seeds of the calm profile hold") { run_range("calm", 1, 12); }
TEST_CASE("seeds of the network profile hold") { run_range("network", 1, 12); }
TEST_CASE("seeds of the crash profile hold") { run_range("crash", 1, 12); }
TEST_CASE("seeds of the power profile hold") { run_range("power", 1, 12); }
TEST_CASE("seeds of the all profile hold") { run_range("all", 1, 12); }

// Seeds that once broke an invariant. What they came upon may have moved elsewhere since; they cost nothing.
TEST_CASE("seeds that once broke an invariant hold") {
  run_range("crash", 1942, 1942);  // a child let through its gate by the launcher's crash
  run_range("power", 131, 131);    // an end whose record a power cut tore
  run_range("power", 2181, 2181);  // an end that was named, but whose update a power cut took
}

TEST_CASE("one seed, one trace") {
  for (const std::string& profile : sim::profile_names()) {
    sim::Options options;
    options.profile = profile;
    for (std::uint64_t seed = 40; seed < 44; ++seed) {
      const sim::Outcome once = sim::run_seed(seed, options);
      const sim::Outcome again = sim::run_seed(seed, options);
      INFO(profile << " seed " << seed);
      CHECK(once.hash == again.hash);
      CHECK(once.steps == again.steps);
      options.lines_kept = 10;  // text changes nothing
      CHECK(sim::run_seed(seed, options).hash == once.hash);
      options.lines_kept = 0;
      CHECK(sim::run_seed(seed + 1000, options).hash != once.hash);
    }
  }
}

// Goal: the simulator finds what it is there to find. Each deliberate defect breaks an invariant within 1,000 seeds.
// Method: for each defect, seeds 1 to 1,000 over all profiles, in a child process (a defect may also trip a check()
// and end it), until one fails.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>

#include "tests/sim/options.hpp"

using namespace muster;

namespace {

// The seed that found it, 0 if none did. The child says the seed it works on before it does.
std::uint64_t find(const std::string& defect) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(ends[0]);
    std::fclose(stderr);
    sim::Options options;
    auto defects = sim::defect_named(defect);
    if (!defects) {
      ::_exit(2);
    }
    options.defects = *defects;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
      if (::write(ends[1], &seed, sizeof seed) != sizeof seed) {
        ::_exit(2);
      }
      options.profile = sim::profile_names()[seed % sim::profile_names().size()];
      if (!sim::run_seed(seed, options).ok) {
        ::_exit(1);
      }
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::uint64_t seed = 0;
  std::uint64_t read_seed = 0;
  while (::read(ends[0], &read_seed, sizeof read_seed) == sizeof read_seed) {
    seed = read_seed;
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  const bool found = (WIFEXITED(status) && WEXITSTATUS(status) == 1) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  return found ? seed : 0;
}

}  // namespace

TEST_CASE("each deliberate defect is found within 1,000 seeds") {
  REQUIRE(sim::defect_names().size() >= 10);
  for (const std::string& defect : sim::defect_names()) {
    const std::uint64_t seed = find(defect);
    INFO(defect);
    CHECK(seed != 0);
    if (seed != 0) {
      WARN(defect << " found by seed " << seed);
    }
  }
}

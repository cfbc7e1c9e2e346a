// Environments of tasks: what is shared, what is added, who wins.
#include <catch2/catch.hpp>

#include <cstring>

#include "node/exec/shared_environment.hpp"

using namespace muster::node;

namespace {

using Lines = std::vector<std::string>;

SharedEnvironmentPtr share(const Lines& lines) { return std::make_shared<const SharedEnvironment>(lines); }

Lines read(const ProcessEnvironment& environment) {
  Lines lines;
  for (char* const* at = environment.pointers(); *at != nullptr; ++at) {
    lines.emplace_back(*at);
  }
  return lines;
}

}  // namespace

TEST_CASE("a shared environment has one line per name, the last one, and nothing that is no variable") {
  const auto shared = share({"A=1", "B=", "=x", "plain", std::string("Z=a\0b", 5), "A=2", "A=3", "LONG=" + std::string(100, 'x')});
  CHECK(shared->lines() == Lines{"A=3", "B=", "LONG=" + std::string(100, 'x')});
  CHECK(shared->place_of("A") == 0U);
  CHECK(shared->place_of("LONG") == 2U);
  CHECK_FALSE(shared->place_of("Z"));
}

TEST_CASE("a process gets the shared lines, the task's over them, the rank's over those, the marker last") {
  const ProcessEnvironment environment(share({"A=1", "B=1", "C=1"}), {"B=2", "D=2", "E=2", "no", "D=22"}, {"E=3", "A=3"}, "M=4");
  CHECK(read(environment) == Lines{"A=3", "B=2", "C=1", "D=22", "E=3", "M=4"});
  CHECK(read(ProcessEnvironment(nullptr, {"A=1"}, {}, {})) == Lines{"A=1"});
  CHECK(read(ProcessEnvironment()).empty());
}

TEST_CASE("the shared lines are pointed to, not copied, and live as long as who points to them") {
  auto shared = share({"A=1", "B=1"});
  const char* first = shared->lines().front().c_str();
  ProcessEnvironment environment(std::move(shared), {"B=2"}, {}, {});
  const ProcessEnvironment moved = std::move(environment);
  CHECK(moved.pointers()[0] == first);
  CHECK(std::strcmp(moved.pointers()[0], "A=1") == 0);
  CHECK(read(moved) == Lines{"A=1", "B=2"});
}

TEST_CASE("the search path is the last PATH, or the system's default") {
  CHECK(ProcessEnvironment(share({"PATH=/a"}), {}, {}, {}).search_path() == "/a");
  CHECK(ProcessEnvironment(share({"PATH=/a"}), {"PATH=/b"}, {}, {}).search_path() == "/b");
  CHECK(ProcessEnvironment(share({"PATHS=/a"}), {}, {}, {}).search_path() == "/usr/local/bin:/usr/bin:/bin");
}

// Goal: the textbook's example of offers comes out on real daemons, value by value, and leaves nothing behind.
// Method: run examples/offers.sh on this build; its own checks must hold and its key lines be there, in order.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "tests/system/harness.hpp"

namespace muster::system_test {
namespace {

std::vector<std::string> script() { return {"bash", std::string(MUSTER_SOURCE_DIR) + "/examples/offers.sh"}; }
Child::Options this_build() { return {.working_directory = "/", .environment = {"MUSTER_BIN_DIR=" MUSTER_BINARY_DIR}}; }

// The cluster's folder, as the script says it: "a master and node1 run in /tmp/muster-offers.XXXXXX".
std::string folder_in(const std::string& out) {
  const std::string words = "a master and node1 run in ";
  const auto at = out.find(words);
  REQUIRE(at != std::string::npos);
  const auto begin = at + words.size();
  return out.substr(begin, out.find('\n', begin) - begin);
}

// Processes with the folder in their command line: daemons, launcher, tasks and the program itself.
std::size_t processes_of(const std::string& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") == std::string::npos) {
      count += content_of(entry.path().string() + "/cmdline").find(folder) != std::string::npos ? 1U : 0U;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("the textbook's example of offers comes out exactly") {
  Child child(script(), this_build());
  const Outcome outcome = child.wait();
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.exit_code == 0);
  const std::vector<std::string> lines{
      "  <node1, 4 cpus, 4096 MB, ports 31000-31010>\n",
      "  framework 1 requests 1 x (4 cpus, 4096 MB)\n",
      "  stored: the master keeps 1 request of framework 1, and has no offer for it yet\n",
      "  framework 1 is offered <node1, 4 cpus, 4096 MB>",
      "  framework 1 launches task 1 (2 cpus, 1024 MB)\n",
      "  framework 1 launches task 2 (1 cpu, 2048 MB)\n",
      "  task 1 is RUNNING on cpus ",
      "  task 2 is RUNNING on cpus ",
      "  framework 2 is offered <node1, 1 cpu, 1024 MB>",
      "framework 2 declines for 5 s",
      "  framework 1 is offered <node1, 1 cpu, 1024 MB>",
      "  framework 2 is offered <node1, 1 cpu, 1024 MB>",
      "  task 1 has finished, exit code 0\n",
      "  framework 2 is offered <node1, 3 cpus, 2048 MB>",
      "  refused: not in the offer: ports 31004 of node node1",
      "  framework 1 is offered <node1, 4 cpus, 4096 MB, ports 31000-31010>",
      "all 10 steps as expected\n",
  };
  std::size_t at = 0;
  for (const std::string& line : lines) {
    INFO("looking for: " << line);
    at = outcome.out.find(line, at);
    REQUIRE(at != std::string::npos);
    at += line.size();
  }
  const std::string folder = folder_in(outcome.out);
  CHECK_FALSE(std::filesystem::exists(folder));
  CHECK(processes_of(folder) == 0);
}

TEST_CASE("the example of offers cleans up when it is ended in the middle") {
  Child child(script(), this_build());
  REQUIRE(child.wait_for_output("task 2 is RUNNING"));
  child.signal(SIGTERM);
  const Outcome outcome = child.wait();
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit_code == 143);
  const std::string folder = folder_in(outcome.out);
  CHECK_FALSE(std::filesystem::exists(folder));
  CHECK(processes_of(folder) == 0);
}

TEST_CASE("the example of offers without a built muster says what to run first") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() + "/examples");
  std::filesystem::copy(script()[1], folder.path() + "/examples/offers.sh");
  Child child({"bash", folder.path() + "/examples/offers.sh"}, {.working_directory = "/", .environment = {"MUSTER_BIN_DIR="}});
  const Outcome outcome = child.wait();
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit_code == 1);
  CHECK_THAT(outcome.err, Catch::Matchers::Contains("run examples/quickstart.sh first"));
  CHECK(lines_of(outcome.err).size() == 1);
}

}  // namespace muster::system_test

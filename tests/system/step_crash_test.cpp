// Goal: whatever dies under an MPI job, the whole gang ends within seconds, nothing remains, and the job says what happened first;
// the agent's death ends nothing.
// Method: a cluster of two nodes, ranks that wait for each other, and kill -9 of one process at a time.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include <catch2/catch.hpp>

#include "tests/system/harness.hpp"
#include "wire/base/time.hpp"

using Catch::Contains;

namespace muster::system_test {
namespace {

std::string program(const std::string& name) { return std::string(MUSTER_BINARY_DIR) + "/tests/mpi/openmpi/" + name; }

// Processes whose command line holds `text`.
std::vector<pid_t> processes_of(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    std::string line = content_of("/proc/" + name + "/cmdline");
    std::replace(line.begin(), line.end(), '\0', ' ');
    if (line.find(text) != std::string::npos && std::stoi(name) != ::getpid()) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

// A gang of four ranks on two nodes that run until something ends them; each has written its pid.
struct Gang {
  LocalCluster cluster;
  std::string mark;
  std::unique_ptr<Child> run;

  explicit Gang(const std::vector<std::string>& options = {}) {
    cluster.up({"--nodes", "2", "--cpus", "2"});
    mark = cluster.work() + "/mark";
    std::vector<std::string> words{"run", "-n", "4", "-N", "2", "-K"};
    words.insert(words.end(), options.begin(), options.end());
    words.insert(words.end(), {"--", "sh", "-c", "echo $$ >> " + mark + "; sleep 300 & wait # " + mark});
    run = std::make_unique<Child>(cluster.command_line(words), cluster.child_options());
    REQUIRE(eventually([&] { return lines_of(content_of(mark)).size() == 4; }));
  }
  [[nodiscard]] pid_t rank() const { return std::stoi(lines_of(content_of(mark)).front()); }
  // Of node n1 or n2: the parent of one of its ranks.
  [[nodiscard]] pid_t daemon() const {
    const std::string stat = content_of("/proc/" + std::to_string(rank()) + "/stat");
    return std::stoi(stat.substr(stat.rfind(')') + 4));
  }
  void expect_end(int code, const std::string& words) {
    const Instant begun = SystemClock{}.now().mono;
    const Outcome outcome = run->wait(Duration::from_seconds(30));
    INFO(outcome.err);
    CHECK(outcome.exit_code == code);
    CHECK_THAT(outcome.err, Contains(words));
    CHECK(eventually([&] { return processes_of("# " + mark).empty(); }, Duration::from_seconds(10)));
    CHECK(SystemClock{}.now().mono - begun < Duration::from_seconds(20));
    CHECK(eventually([&] {
      for (const auto& node : cluster.json({"nodes"})["nodes"]) {
        if (node["used"]["cpus_milli"] != 0) {
          return false;
        }
      }
      return true;
    }));
    for (const char* node : {"n1", "n2"}) {
      CHECK(std::filesystem::is_empty(cluster.dir() + "/nodes/" + node + "/jobs"));
    }
  }
};

}  // namespace

TEST_CASE("kill -9 of a rank ends its gang and is the reason") {
  Gang gang;
  ::kill(gang.rank(), SIGKILL);
  gang.expect_end(128 + SIGKILL, "signal 9 (SIGKILL)");
}

TEST_CASE("kill -9 of a step daemon ends its gang") {
  Gang gang;
  ::kill(gang.daemon(), SIGKILL);
  const Outcome outcome = gang.run->wait(Duration::from_seconds(30));
  INFO(outcome.err);
  CHECK(outcome.exit_code != 0);
  CHECK(eventually([&] { return processes_of("# " + gang.mark).empty(); }, Duration::from_seconds(10)));
}

TEST_CASE("kill -9 of a launcher ends its gang, and the job is LOST or failed for it") {
  Gang gang;
  const auto launchers = processes_of("muster-launcher --dir " + gang.cluster.dir() + "/nodes/n1");
  REQUIRE(!launchers.empty());
  for (const pid_t pid : launchers) {
    ::kill(pid, SIGKILL);
  }
  const Outcome outcome = gang.run->wait(Duration::from_seconds(30));
  INFO(outcome.err);
  CHECK(outcome.exit_code != 0);
  CHECK_THAT(outcome.err, Contains("n1"));
  CHECK(eventually([&] { return processes_of("# " + gang.mark).empty(); }, Duration::from_seconds(10)));
}

TEST_CASE("kill -9 of agents, master and scheduler ends no MPI job, and its exit code arrives") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  const std::string mark = cluster.work() + "/go";
  if (!std::filesystem::exists(program("ring"))) {
    WARN("mpicc.openmpi is not installed: not tested");
    return;
  }
  const std::string job = lines_of(cluster.expect(
      0, {"batch", "--parsable", "-n", "4", "-N", "2", "--wrap",
          "until test -e " + mark + "; do sleep 0.1; done; " + LocalCluster::program() + " run -n 4 " + program("hello") + " && exit 5"}))[0];
  REQUIRE(eventually([&] { return cluster.json({"queue", job})["jobs"][0]["state"] == "RUNNING"; }));
  cluster.kill_daemons({"n1", "n2", "master", "gang"});
  write_file(mark, "");
  cluster.up({"--nodes", "2", "--cpus", "2"});
  CHECK(cluster.muster({"wait", "-q", job}).exit_code == 5);
  const Outcome shown = cluster.muster({"logs", job});
  CHECK(lines_of(shown.out).size() == 4);
}

}  // namespace muster::system_test

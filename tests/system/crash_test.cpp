// Goal: kill -9 of any daemon, or of all of them, loses nothing that was acknowledged and runs nothing twice.
// Method: real clusters in the middle of an array and of a gang. Every element and rank leaves a line in a file; after the
// restart the records are held against what really ran.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <map>
#include <set>

#include "sched/cli/daemons.hpp"
#include "tests/system/harness.hpp"

namespace muster::system_test {
namespace {

// Kills the cluster's processes of these programs; returns how many.
std::size_t kill_programs(const LocalCluster& cluster, const std::set<std::string>& programs) {
  std::vector<ProcessIdentity> killed;
  for (const auto& process : cli::processes_of_cluster(cluster.dir())) {
    if (programs.contains(process.program)) {
      cli::signal_process(process.process, SIGKILL);
      killed.push_back(process.process);
    }
  }
  CHECK(cli::wait_ended(killed, SystemClock{}.now().mono + Duration::from_seconds(10)));
  return killed.size();
}

const std::set<std::string> kAll{"muster-master", "muster-gang", "muster-node", "muster-launcher"};

// How often each index of the array really ran.
std::map<int, int> runs_in(const std::string& path) {
  std::map<int, int> runs;
  std::ifstream file(path);
  for (int index = 0; file >> index;) {
    ++runs[index];
  }
  return runs;
}

// Kills `programs` once a tenth of the array has ended, starts them again, waits, and holds the books against what ran.
void crash_an_array(const std::set<std::string>& programs, int elements) {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "4"});
  const std::string ran = cluster.work() + "/ran";
  const std::string job = lines_of(cluster.expect(0, {"submit", "--parsable", "-a", "1-" + std::to_string(elements), "-o", "/dev/null", "--",
                                                      "sh", "-c", "echo $MUSTER_ARRAY_INDEX >> " + ran})).at(0);
  REQUIRE(eventually([&] { return runs_in(ran).size() >= static_cast<std::size_t>(elements) / 10; }, Duration::from_seconds(60)));
  REQUIRE(kill_programs(cluster, programs) >= 1);
  const Outcome up = cluster.muster({"up"});
  INFO(up.out << up.err);
  REQUIRE(up.exit_code == 0);
  const Outcome waited = cluster.muster({"wait", "-q", job, "--at-most", "150"}, Duration::from_seconds(170));
  INFO(waited.err << cluster.muster({"job", job}).out);
  REQUIRE(waited.exit_code != 5);

  const auto row = cluster.json({"job", job, "--elements", std::to_string(elements)})["jobs"][0];
  const auto runs = runs_in(ran);
  REQUIRE(row["elements"].size() == static_cast<std::size_t>(elements));
  int completed = 0;
  int lost = 0;
  for (const auto& element : row["elements"]) {
    const int index = element["index"];
    const std::string state = element["state"];
    const auto found = runs.find(index);
    const int count = found == runs.end() ? 0 : found->second;
    INFO("element " << index << " is " << state << " (" << element["reason"] << "), try " << element["try"] << ", and ran " << count);
    CHECK(count <= 1);
    if (state == "COMPLETED") {
      CHECK(count == 1);
      ++completed;
    } else {
      CHECK(state == "LOST");
      ++lost;
    }
  }
  CHECK(completed + lost == elements);
  // Only what was running can be lost, and only with its launcher: eight cpus, eight elements.
  CHECK(lost <= (programs.contains("muster-launcher") ? 8 : 0));
}

}  // namespace

TEST_CASE("kill -9 of the master in the middle of an array loses nothing") { crash_an_array({"muster-master"}, 400); }
TEST_CASE("kill -9 of the gang in the middle of an array loses nothing") { crash_an_array({"muster-gang"}, 400); }
TEST_CASE("kill -9 of the node agents in the middle of an array loses nothing") { crash_an_array({"muster-node"}, 400); }
TEST_CASE("kill -9 of the launchers in the middle of an array loses what they ran at most") {
  crash_an_array({"muster-launcher"}, 400);
}
TEST_CASE("kill -9 of everything in the middle of an array of 2,000 loses what ran at most") { crash_an_array(kAll, 2000); }

TEST_CASE("a gang goes on under its launchers while everything else is killed") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  const std::string ran = cluster.work() + "/ran";
  const std::string go = cluster.work() + "/go";
  const std::string job = lines_of(cluster.expect(
      0, {"submit", "--parsable", "-n", "4", "-N", "2", "--", "sh", "-c",
          "echo $MUSTER_RANK >> " + ran + "; while ! test -e " + go + "; do sleep 0.05; done; exit 7"})).at(0);
  REQUIRE(eventually([&] { return runs_in(ran).size() == 4; }));
  REQUIRE(kill_programs(cluster, {"muster-master", "muster-gang", "muster-node"}) == 4);
  cluster.expect(0, {"up"});
  CHECK(cluster.json({"job", job})["jobs"][0]["state"] == "RUNNING");
  write_file(go, "");
  CHECK(cluster.muster({"wait", "-q", job}).exit_code == 7);
  for (const auto& [rank, count] : runs_in(ran)) {
    CHECK(count == 1);
  }
}

TEST_CASE("a gang that ends while its agents are dead keeps its exit code") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  const std::string ran = cluster.work() + "/ran";
  const std::string go = cluster.work() + "/go";
  const std::string job = lines_of(cluster.expect(
      0, {"submit", "--parsable", "-N", "2", "--", "sh", "-c",
          "echo $MUSTER_RANK >> " + ran + "; while ! test -e " + go + "; do sleep 0.05; done; echo 1$MUSTER_RANK >> " + ran + "; exit 7"})).at(0);
  REQUIRE(eventually([&] { return runs_in(ran).size() == 2; }));
  REQUIRE(kill_programs(cluster, {"muster-master", "muster-gang", "muster-node"}) == 4);
  write_file(go, "");
  REQUIRE(eventually([&] { return runs_in(ran).size() == 4; }));
  cluster.expect(0, {"up"});
  CHECK(cluster.muster({"wait", "-q", job}).exit_code == 7);
}

TEST_CASE("when a gang is reported lost, none of its processes is alive") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  const std::string pids = cluster.work() + "/pids";
  const std::string job = lines_of(cluster.expect(
      0, {"submit", "--parsable", "-n", "4", "-N", "2", "--", "sh", "-c", "echo $$ >> " + pids + "; exec sleep 100"})).at(0);
  REQUIRE(eventually([&] { return runs_in(pids).size() == 4; }));
  std::vector<ProcessIdentity> ranks;
  for (const auto& [pid, count] : runs_in(pids)) {
    const auto identity = identity_of(pid);
    REQUIRE(identity);
    ranks.push_back(*identity);
  }
  REQUIRE(kill_programs(cluster, kAll) >= 6);
  cluster.expect(0, {"up"});
  CHECK(cluster.muster({"wait", "-q", job, "--at-most", "60"}, Duration::from_seconds(80)).exit_code == 1);
  for (const ProcessIdentity& rank : ranks) {
    CHECK_FALSE(is_alive(rank));
  }
  CHECK(cluster.json({"job", job})["jobs"][0]["state"] == "LOST");
}

}  // namespace muster::system_test

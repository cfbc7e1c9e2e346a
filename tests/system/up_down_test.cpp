// Goal: one command starts a cluster, one ends it, and nothing is left. Method: real daemons in a temporary folder.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "tests/system/harness.hpp"

namespace muster::system_test {

using Catch::Matchers::Contains;

TEST_CASE("up starts a cluster and down leaves no process") {
  LocalCluster cluster;
  const std::string text = cluster.expect(0, {"up", "--nodes", "2", "--cpus", "4", "--http-port", "0"});
  CHECK_THAT(text, Contains("2 nodes of 4 cpus") && Contains("is up"));
  CHECK((std::filesystem::status(cluster.dir()).permissions() & std::filesystem::perms::others_all) ==
        std::filesystem::perms::none);
  const auto status = cluster.json({"status"});
  CHECK(status["node_states"]["UP"] == 2);
  CHECK(status["capacity"]["cpus_milli"] == 8000);
  CHECK(status["gang"]["master_connected"] == true);
  CHECK(cluster.json({"nodes"})["nodes"][1]["name"] == "n2");
  CHECK(cluster.json({"frameworks"})["frameworks"].size() == 1);
  CHECK(cluster.processes() >= 4);
  CHECK_THAT(cluster.expect(0, {"down"}), Contains("is down"));
  CHECK(cluster.processes() == 0);
  // Down is said, not guessed at; and a second one is no error.
  const Outcome after = cluster.muster({"status"});
  CHECK(after.exit_code == 3);
  CHECK_THAT(after.err, Contains("is not running; start it: muster up"));
  CHECK_THAT(cluster.expect(0, {"down"}), Contains("was down already"));
}

TEST_CASE("a second up reports the cluster and starts what is missing") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  CHECK_THAT(cluster.expect(0, {"up"}), Contains("runs already: 2 nodes of 2 cpus"));
  const Outcome other = cluster.muster({"up", "--nodes", "3"});
  CHECK(other.exit_code == 1);
  CHECK_THAT(other.err, Contains("runs in") && Contains("muster down"));
  CHECK(cluster.muster({"up", "--set", "lease=7"}).exit_code == 1);
  cluster.kill_daemons({"gang", "n2"});
  CHECK_THAT(cluster.expect(0, {"up"}), Contains("started again: gang, n2"));
  CHECK(cluster.json({"status"})["gang"]["master_connected"] == true);
  cluster.expect(0, {"run", "-N", "2", "true"});
}

TEST_CASE("a cluster comes back with its options and its queue") {
  LocalCluster cluster;
  cluster.up({"--nodes", "1", "--cpus", "3"});
  const std::string job = lines_of(cluster.expect(0, {"submit", "--parsable", "--hold", "true"})).front();
  const Outcome down = cluster.muster({"down"});
  CHECK(down.exit_code == 0);
  CHECK_THAT(down.err, Contains("1 waiting job will be kept"));
  cluster.up({});
  CHECK(cluster.json({"status"})["capacity"]["cpus_milli"] == 3000);
  CHECK(cluster.json({"queue"})["jobs"].size() == 1);
  cluster.expect(0, {"release", job});
  cluster.expect(0, {"wait", job});
}

TEST_CASE("up refuses folders that are not a cluster's") {
  LocalCluster cluster;
  write_file(cluster.work() + "/precious", "x");
  const Outcome full = cluster.muster({"up", "--dir", cluster.work()});
  CHECK(full.exit_code == 1);
  CHECK_THAT(full.err, Contains("is not empty"));
  const Outcome longer = cluster.muster({"up", "--dir", cluster.work() + "/" + std::string(100, 'x')});
  CHECK(longer.exit_code == 2);
  CHECK_THAT(longer.err, Contains("too long"));
  CHECK(cluster.muster({"down"}).exit_code == 3);
  CHECK_THAT(cluster.muster({"queue"}).err, Contains("no cluster here (looked in " + cluster.dir()) && Contains("muster up"));
}

}  // namespace muster::system_test

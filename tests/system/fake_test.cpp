// Goal: a cluster of simulated nodes is used like any other, says that it is simulated, survives kill -9 of its master and of the
// simulation itself, and leaves nothing behind. Method: real master, gang and CLI in a temporary folder; 200 simulated nodes.
#include <catch2/catch.hpp>

#include "tests/system/harness.hpp"

namespace muster::system_test {
namespace {

using Catch::Matchers::Contains;

std::string submitted(const LocalCluster& cluster, std::vector<std::string> args) {
  args.insert(args.begin(), {"submit", "--parsable"});
  return lines_of(cluster.expect(0, args)).front();
}

nlohmann::json job(const LocalCluster& cluster, const std::string& id) { return cluster.json({"job", id})["jobs"][0]; }

}  // namespace

TEST_CASE("a cluster of 200 simulated nodes runs arrays and gangs, drains, and leaves nothing") {
  LocalCluster cluster;
  const std::string text =
      cluster.expect(0, {"up", "--fake-nodes", "200", "--cpus", "8", "--fake-duration", "50ms", "--http-port", "0"});
  CHECK_THAT(text, Contains("200 simulated nodes of 8 cpus") && Contains("f1 to f200 are simulated") && Contains("50 ms"));
  const auto status = cluster.json({"status"});
  CHECK(status["node_states"]["UP"] == 200);
  CHECK(status["nodes_simulated"] == 200);
  CHECK(status["capacity"]["cpus_milli"] == 1'600'000);
  CHECK_THAT(cluster.expect(0, {"status"}), Contains("all simulated"));
  CHECK(cluster.json({"nodes", "f7"})["nodes"][0]["attributes"][0] == "fake=true");

  const std::string array = submitted(cluster, {"-a", "1-5000", "--", "true"});
  cluster.expect(0, {"wait", "-q", array});
  CHECK(job(cluster, array)["counts"]["COMPLETED"] == 5000);
  const std::string gang = submitted(cluster, {"-N", "150", "-n", "1200", "--", "true"});
  cluster.expect(0, {"wait", "-q", gang});
  CHECK(job(cluster, gang)["elements"][0]["nodes"].size() == 150);

  // Nothing has run, and nobody is left waiting for output.
  const Outcome logs = cluster.muster({"logs", gang});
  CHECK(logs.exit_code == 4);
  CHECK_THAT(logs.err, Contains("is simulated: it executes nothing"));
  const Outcome run = cluster.muster({"run", "-n", "2", "--", "hostname"});
  CHECK(run.exit_code == 0);
  CHECK(run.out.empty());
  CHECK_THAT(run.err, Contains("is simulated: it executes nothing"));

  cluster.expect(0, {"drain", "f1", "f2", "--reason", "new fan"});
  const std::string rows = cluster.expect(0, {"nodes"});
  CHECK_THAT(rows, Contains("f[3-200]") && Contains("f[1-2]") && Contains("new fan") && Contains("simulated"));
  CHECK(lines_of(cluster.expect(0, {"nodes", "--all"})).size() == 201);
  const Outcome too_many = cluster.muster({"submit", "-n", "1601", "--", "true"});
  CHECK(too_many.exit_code == 4);

  cluster.expect(0, {"down"});
  CHECK(cluster.processes() == 0);
  CHECK_THAT(cluster.expect(0, {"up"}), Contains("200 simulated nodes of 8 cpus"));
  CHECK(cluster.json({"status"})["node_states"]["DRAINING"] == 2);  // as with real nodes
  cluster.expect(0, {"down"});
  CHECK(cluster.processes() == 0);
}

TEST_CASE("simulated tasks go on while their master is killed, and end with the simulation") {
  LocalCluster cluster;
  cluster.up({"--fake-nodes", "200", "--cpus", "4", "--fake-duration", "5s"});
  const std::string gang = submitted(cluster, {"-N", "50", "--", "true"});
  const std::string array = submitted(cluster, {"-a", "1-600", "--", "true"});
  const auto running = [&](const std::string& id, int count) {
    return eventually([&] { return job(cluster, id)["counts"].value("RUNNING", 0) == count; });
  };
  REQUIRE(running(gang, 1));
  REQUIRE(running(array, 600));
  cluster.kill_daemons({"master"});
  CHECK_THAT(cluster.expect(0, {"up"}), Contains("started again: master"));
  cluster.expect(0, {"wait", "-q", gang, array});
  CHECK(job(cluster, array)["counts"]["COMPLETED"] == 600);
  for (const auto& element : cluster.json({"job", array, "--elements", "600"})["jobs"][0]["elements"]) {
    CHECK(element["try"] == 1);
  }

  const std::string lost = submitted(cluster, {"-N", "50", "--", "true"});
  REQUIRE(running(lost, 1));
  cluster.kill_daemons({"fakes"});
  CHECK_THAT(cluster.expect(0, {"up"}), Contains("started again: fakes"));
  CHECK(cluster.muster({"wait", "-q", lost}).exit_code == 1);
  CHECK_THAT(job(cluster, lost)["state"].get<std::string>(), Contains("NODE_FAIL"));
  cluster.expect(0, {"down"});
  CHECK(cluster.processes() == 0);
}

TEST_CASE("options of simulated nodes that make no sense are refused") {
  LocalCluster cluster;
  const auto refusal = [&](std::vector<std::string> args) {
    args.insert(args.begin(), "up");
    const Outcome outcome = cluster.muster(args);
    CHECK(outcome.exit_code == 2);
    CHECK(lines_of(outcome.err).size() <= 2);
    return outcome.err;
  };
  CHECK_THAT(refusal({"--fake-nodes", "0"}), Contains("--fake-nodes"));
  CHECK_THAT(refusal({"--fake-nodes", "100001"}), Contains("100000"));
  CHECK_THAT(refusal({"--fake-nodes", "5", "--nodes", "2"}), Contains("--fake-nodes and --nodes"));
  CHECK_THAT(refusal({"--fake-nodes", "5", "--fake-duration", "soon"}), Contains("soon"));
  CHECK_THAT(refusal({"--fake-duration", "1s"}), Contains("give --fake-nodes too"));
  CHECK_THAT(refusal({"--fake-nodes", "5", "--set", "reserve-cpus=1"}), Contains("reserve-cpus"));
  CHECK(cluster.processes() == 0);
}

}  // namespace muster::system_test

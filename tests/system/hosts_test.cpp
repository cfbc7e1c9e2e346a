// Goal: a cluster over several hosts, set up by hand as README says, runs jobs over its nodes; who has no right to be there is
// refused and disturbs nobody. Method: network namespaces as hosts, real daemons with TOML files, real keys.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "tests/system/netns.hpp"

namespace muster::system_test {
namespace {

using Catch::Matchers::Contains;

// True: this machine can't; said.
bool skipped() {
  const std::string why = NetworkOfHosts::why_not();
  if (!why.empty()) {
    WARN("skipped: " << why);
  }
  return !why.empty();
}

std::vector<std::string> as_user(unsigned uid) {
  const std::string id = std::to_string(uid);
  return {"setpriv", "--reuid=" + id, "--regid=" + id, "--clear-groups"};
}

}  // namespace

TEST_CASE("five commands make a cluster of three hosts, and a job runs over all of them") {
  if (skipped()) {
    return;
  }
  const NetworkOfHosts network(3);
  HostedCluster cluster(network);
  cluster.start();
  const auto nodes = cluster.json({"nodes"});
  REQUIRE(nodes["nodes"].size() == 3);
  for (int host = 1; host <= 3; ++host) {
    const std::string endpoint = nodes["nodes"][static_cast<std::size_t>(host - 1)]["endpoint"];
    CHECK_THAT(endpoint, Catch::StartsWith("tcp://" + network.address(host) + ":") && Contains("#" + cluster.key(host)));
  }
  // `run` reads each node's output over its job socket, from host 1.
  const std::string text = cluster.expect(0, {"run", "-N", "3", "-n", "6", "--", "sh", "-c", "echo rank $MUSTER_RANK of $MUSTER_NTASKS"});
  for (int rank = 0; rank < 6; ++rank) {
    CHECK_THAT(text, Contains("rank " + std::to_string(rank) + " of 6"));
  }
  CHECK(cluster.muster({"run", "-N", "3", "--", "sh", "-c", "exit 7"}).exit_code == 7);
  // Losing the master ends nothing, and the next one finds its nodes again.
  Child job(cluster.command_line({"--dir", cluster.dir(1), "run", "-N", "3", "--", "sh", "-c", "echo started; sleep 2; echo done"}),
            {.working_directory = cluster.work()});
  REQUIRE(job.wait_for_output("started"));
  cluster.stop_daemon("master", SIGKILL);
  cluster.start_daemon("master");
  const Outcome ended = job.wait();
  INFO(ended.err);
  CHECK(ended.exit_code == 0);
  CHECK_THAT(ended.out, Contains("done"));
}

TEST_CASE("a host with an unknown key, another node's key or none is refused, and the others go on") {
  if (skipped()) {
    return;
  }
  const NetworkOfHosts network(3);
  HostedCluster cluster(network);
  cluster.make_keys();
  // Host 3 is not in the list.
  write_file(cluster.dir(1) + "/keys.toml", "[keys]\n'" + cluster.key(1) + "' = 'node n1'\n'" + cluster.key(2) + "' = 'node n2'\n");
  cluster.write_files();
  for (const char* daemon : {"master", "gang", "n1", "n2", "n3"}) {
    cluster.start_daemon(daemon);
  }
  REQUIRE(cluster.wait_for_nodes(2));
  REQUIRE(eventually([&] { return cluster.log("n3").find("refuses our key") != std::string::npos; }));
  CHECK_THAT(cluster.log("n3"), Contains(cluster.key(3)) && Contains("list of keys"));
  REQUIRE(eventually([&] { return cluster.log("master").find(cluster.key(3)) != std::string::npos; }));
  CHECK_THAT(cluster.log("master"), Contains("from " + network.address(3)) && Contains("not in the list of keys"));
  CHECK(cluster.expect(0, {"run", "-N", "2", "--", "hostname"}).find('\n') != std::string::npos);
  CHECK(cluster.json({"nodes"})["nodes"].size() == 2);
  // Said once a minute, however often it tries.
  const std::string log = cluster.log("master");
  CHECK(log.find("refused key") == log.rfind("refused key"));

  // A known key does not make another node of it.
  cluster.stop_daemon("n3", SIGTERM);
  const std::string toml = content_of(cluster.toml_path("n3"));
  write_file(cluster.toml_path("n3"), toml + "key = '" + cluster.dir(2) + "/muster.key'\n");
  cluster.start_daemon("n3");
  REQUIRE(eventually([&] { return cluster.log("n3").find("your key is not that of node n3") != std::string::npos; }));
  CHECK(cluster.json({"nodes"})["nodes"].size() == 2);

  // Nor may a node's host bring a framework.
  std::filesystem::create_directory(cluster.dir(2) + "/rival");
  Child rival(network.at(2, {std::string(MUSTER_BINARY_DIR) + "/sched/muster-gang", "--dir", cluster.dir(2) + "/rival", "--key",
                             cluster.dir(2) + "/muster.key", "--master", cluster.master_endpoint()}),
              {});
  CHECK(rival.wait_for_output("may not bring a framework"));
}

TEST_CASE("daemons refuse to be reached or to connect across hosts without keys") {
  if (skipped()) {
    return;
  }
  const NetworkOfHosts network(1);
  const TemporaryFolder folder;
  const std::string bin = MUSTER_BINARY_DIR;
  const auto refused = [&](std::vector<std::string> argv, const std::string& words) {
    argv.insert(argv.end(), {"--dir", folder.path() + "/d"});
    Child child(network.at(1, argv), {});
    const Outcome outcome = child.wait(Duration::from_seconds(20));
    INFO(outcome.err);
    CHECK(outcome.exit_code == 2);
    CHECK_THAT(outcome.err, Contains(words) && Contains("muster keygen"));
  };
  refused({bin + "/master/muster-master", "--http", "off", "--listen", "tcp://10.77.0.1:5051"}, "there are no keys");
  refused({bin + "/node/muster-node", "--master", "tcp://10.77.0.1:5051"}, "wants to know who this is");
  refused({bin + "/node/muster-node", "--address", "10.77.0.1"}, "there are no keys");
  refused({bin + "/sched/muster-gang", "--master", "tcp://10.77.0.1:5051"}, "wants to know who this is");
}

TEST_CASE("on an installed cluster jobs belong to their users, and nobody else may touch them") {
  if (skipped()) {
    return;
  }
  const NetworkOfHosts network(2);
  constexpr unsigned kAnn = 54'321;   // known to no passwd file: what counts is the kernel's word
  constexpr unsigned kBob = 65'534;   // nobody
  HostedCluster cluster(network, {.master = "all-users = true\n", .gang = "all-users = true\n", .node = "run-as-submitter = true\n"});
  Child reach({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-x", LocalCluster::program()}, {});
  if (reach.wait().exit_code != 0) {
    WARN("skipped: other users can't reach the programs");
    return;
  }
  cluster.start();
  const auto bob = as_user(kBob);
  const auto ann = as_user(kAnn);
  // A file of the job belongs to its user, on every node.
  const Outcome ran = cluster.muster_as(bob, {"submit", "--wait", "-N", "2", "-o", "out.%t", "--", "sh", "-c", "id -u; touch bob.$MUSTER_RANK"});
  INFO(ran.out << ran.err << cluster.log("n1") << cluster.log("n2"));
  REQUIRE(ran.exit_code == 0);
  CHECK(content_of(cluster.work() + "/out.0") == "65534\n");
  CHECK(content_of(cluster.work() + "/out.1") == "65534\n");
  for (const char* name : {"/bob.0", "/bob.1"}) {
    struct stat info {};
    REQUIRE(::stat((cluster.work() + name).c_str(), &info) == 0);
    CHECK(info.st_uid == kBob);
  }
  const Outcome root = cluster.muster({"submit", "--", "true"});
  CHECK(root.exit_code == 4);
  CHECK_THAT(root.err, Contains("root's jobs are refused"));

  const Outcome submitted = cluster.muster_as(bob, {"submit", "--parsable", "-o", "secret.out", "--", "sh", "-c", "echo secret; sleep 600"});
  INFO(submitted.err);
  REQUIRE(submitted.exit_code == 0);
  const std::string job = submitted.out.substr(0, submitted.out.find('\n'));
  REQUIRE(eventually([&] { return cluster.muster_as(bob, {"logs", job}).out.find("secret") != std::string::npos; }));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"cancel", job}, {"hold", job}, {"logs", job}}) {
    const Outcome other = cluster.muster_as(ann, words);
    INFO(words.front() << ": " << other.out << other.err);
    CHECK(other.exit_code != 0);
    CHECK(other.out.find("secret") == std::string::npos);
  }
  CHECK(cluster.muster_as(ann, {"drain", "n1"}).exit_code == 4);
  CHECK(cluster.muster_as(ann, {"nodes"}).exit_code == 0);
  CHECK_THAT(cluster.muster_as(ann, {"job", job}).out, !Contains("echo secret"));
  // Root is an operator.
  CHECK(cluster.muster({"cancel", job}).exit_code == 0);
  CHECK(cluster.muster({"drain", "n1"}).exit_code == 0);
}

TEST_CASE("the command line finds an installed cluster by its cluster.toml") {
  if (skipped()) {
    return;
  }
  const NetworkOfHosts network(1);
  HostedCluster cluster(network);
  cluster.start();
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/cluster.toml";
  write_file(file, "gang = 'ipc://" + cluster.dir(1) + "/gang.ipc'\nmaster = 'ipc://" + cluster.dir(1) + "/master.ipc'\n");
  CHECK_THAT(cluster.expect(0, {"--cluster", file, "nodes"}), Contains("n1"));
  CHECK_THAT(cluster.expect(0, {"nodes", "--cluster", folder.path()}), Contains("n1"));
  CHECK_THAT(cluster.expect(1, {"--cluster", file, "down"}), Contains("not made by `muster up`"));
  write_file(file, "gang = 'ipc:///x'\nmasterr = 'ipc:///y'\n");
  CHECK_THAT(cluster.expect(2, {"--cluster", file, "nodes"}), Contains(file + ":2: masterr") && Contains("did you mean master?"));
}

}  // namespace muster::system_test

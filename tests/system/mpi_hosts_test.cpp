// Goal: an MPI program runs over several hosts, and the loss of one of them in the middle ends all of it within seconds.
// Method: network namespaces as hosts, one agent each, Open MPI over tcp between them. MPICH's ranks find each other's shared
// memory here, because all namespaces have one kernel: that run says nothing about its network.
#include <signal.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/system/netns.hpp"
#include "wire/base/time.hpp"

namespace muster::system_test {
namespace {

using Catch::Matchers::Contains;

std::string program(const std::string& mpi, const std::string& name) {
  return std::string(MUSTER_BINARY_DIR) + "/tests/mpi/" + mpi + "/" + name;
}

bool can_run(const std::string& mpi) {
  if (const std::string why = NetworkOfHosts::why_not(); !why.empty()) {
    WARN("skipped: " << why);
    return false;
  }
  if (!std::filesystem::exists(program(mpi, "ring"))) {
    WARN("mpicc." << mpi << " is not installed: not tested");
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE("MPI rings run over one, two and four hosts") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  if (!can_run(mpi)) {
    return;
  }
  const NetworkOfHosts network(4);
  HostedCluster cluster(network);
  cluster.start();
  for (const char* nodes : {"1", "2", "4"}) {
    CAPTURE(mpi, nodes);
    // All hosts share this machine's cpus: ranks that wait must yield.
    const Outcome outcome = cluster.muster({"run", "-N", nodes, "-n", "4", "--export", "ALL,OMPI_MCA_mpi_yield_when_idle=1", "--",
                                            program(mpi, "ring"), "4096"});
    INFO(outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.out == "ring ok 4\n");
  }
}

TEST_CASE("a node that loses its network takes its gang with it within seconds, on both sides") {
  if (!can_run("openmpi")) {
    return;
  }
  const NetworkOfHosts network(2);
  HostedCluster cluster(network);
  cluster.start();
  const std::string mark = cluster.work() + "/pid-";
  Child run(cluster.command_line({"--dir", cluster.dir(1), "run", "-N", "2", "-n", "2", "--", "sh", "-c",
                                  "echo $$ > " + mark + "$MUSTER_RANK; exec sleep 300"}),
            {.working_directory = cluster.work()});
  const auto pid_of = [&](int rank) {
    const auto lines = lines_of(content_of(mark + std::to_string(rank)));
    return lines.empty() ? pid_t{0} : static_cast<pid_t>(std::atoi(lines[0].c_str()));
  };
  REQUIRE(eventually([&] { return pid_of(0) != 0 && pid_of(1) != 0; }));
  network.cut(2);
  const Instant begun = SystemClock{}.now().mono;
  for (const int rank : {0, 1}) {
    CAPTURE(rank);
    CHECK(eventually([&] { return ::kill(pid_of(rank), 0) != 0; }, Duration::from_seconds(15)));
  }
  CHECK(SystemClock{}.now().mono - begun < Duration::from_seconds(12));  // 3 s of silence, and what a busy machine adds
  network.mend(2);
  const Outcome outcome = run.wait(Duration::from_seconds(60));
  INFO(outcome.err);
  CHECK(outcome.exit_code != 0);
  CHECK_THAT(outcome.err, Contains("n2") || Contains("n1"));
}

}  // namespace muster::system_test

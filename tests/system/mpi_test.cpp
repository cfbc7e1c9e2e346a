// Goal: MPI programs run by `muster run` as they did under mpirun, unchanged, whichever MPI they were built with, and a
// bad end of one rank is the end of all. Method: our own small programs (tests/mpi) and those that Debian ships, on one,
// two and four nodes of this machine, their results checked. MPICH's nodes reach each other over shared memory here.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <set>

#include "tests/system/harness.hpp"
#include "tests/system/ordinary_user.hpp"

namespace muster::system_test {
namespace {

using Catch::Matchers::Contains;

const Duration kDeadline = Duration::from_seconds(120);

struct Shape {
  const char* nodes;
  const char* ranks;
};
const std::vector<Shape> kShapes{{"1", "2"}, {"2", "4"}, {"4", "4"}};

// "" where that MPI is not installed.
std::string program(const std::string& mpi, const std::string& name) {
  const std::string path = std::string(MUSTER_BINARY_DIR) + "/tests/mpi/" + mpi + "/" + name;
  if (::access(path.c_str(), X_OK) != 0) {
    WARN("mpicc." << mpi << " is not installed: not tested");
    return "";
  }
  return path;
}

bool installed(const std::string& path) {
  if (::access(path.c_str(), R_OK) != 0) {
    WARN(path << " is not installed: not tested");
    return false;
  }
  return true;
}

Outcome run(const LocalCluster& cluster, const Shape& shape, std::vector<std::string> command,
            const std::vector<std::string>& options = {}) {
  command.insert(command.begin(), {"run", "-N", shape.nodes, "-n", shape.ranks});
  command.insert(command.begin() + 5, options.begin(), options.end());
  return cluster.muster(command, kDeadline);
}

void check_hello(const Outcome& outcome, const Shape& shape) {
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit_code == 0);
  const int size = std::atoi(shape.ranks);
  std::set<int> ranks;
  for (const std::string& line : lines_of(outcome.out)) {
    int rank = -1;
    int of = -1;
    REQUIRE(std::sscanf(line.c_str(), "hello %d %d", &rank, &of) == 2);
    CHECK(of == size);
    CHECK(ranks.insert(rank).second);
  }
  CHECK(ranks.size() == static_cast<std::size_t>(size));
}

void up(LocalCluster& cluster) { cluster.up({"--nodes", "4", "--cpus", "2"}); }

}  // namespace

TEST_CASE("MPI hello and ring run on one, two and four nodes") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const std::string hello = program(mpi, "hello");
  if (hello.empty()) {
    return;
  }
  LocalCluster cluster;
  up(cluster);
  for (const Shape& shape : kShapes) {
    CAPTURE(mpi, shape.nodes);
    check_hello(run(cluster, shape, {hello}), shape);
    const Outcome ring = run(cluster, shape, {"env", "OMPI_MCA_btl=tcp,self", program(mpi, "ring"), "4096"});
    INFO(ring.out << ring.err);
    CHECK(ring.exit_code == 0);
    CHECK(ring.out == "ring ok " + std::string(shape.ranks) + "\n");
  }
}

TEST_CASE("mpi4py runs on one, two and four nodes") {
  if (!installed("/usr/lib/python3/dist-packages/mpi4py/__init__.py")) {
    return;
  }
  LocalCluster cluster;
  up(cluster);
  write_file(cluster.work() + "/sum.py",
             "from mpi4py import MPI\n"
             "world = MPI.COMM_WORLD\n"
             "names = world.allgather('r%d' % world.rank)\n"
             "total = world.allreduce(world.rank + 1)\n"
             "if world.rank == 0:\n"
             "    print(world.size, total, ' '.join(names))\n");
  const std::vector<std::string> expected{"2 3 r0 r1\n", "4 10 r0 r1 r2 r3\n", "4 10 r0 r1 r2 r3\n"};
  for (std::size_t i = 0; i < kShapes.size(); ++i) {
    const Outcome outcome = run(cluster, kShapes[i], {"/usr/bin/python3", "sum.py"});
    INFO(outcome.err);
    CHECK(outcome.exit_code == 0);
    CHECK(outcome.out == expected[i]);
  }
}

TEST_CASE("NetPIPE measures between two ranks, on one node and on two") {
  const std::string netpipe = GENERATE(as<std::string>{}, "/usr/bin/NPopenmpi", "/usr/bin/NPmpich2");
  if (!installed(netpipe)) {
    return;
  }
  LocalCluster cluster;
  up(cluster);
  for (const Shape& shape : {Shape{"1", "2"}, Shape{"2", "2"}}) {
    // Two cpus each: every node of this machine begins with the same ones.
    const Outcome outcome = run(cluster, shape, {netpipe, "-u", "4096", "-n", "20", "-o", "np.out"},
                                {"-c", std::string(shape.nodes) == "1" ? "1" : "2"});
    CAPTURE(netpipe, shape.nodes);
    INFO(outcome.out << outcome.err);
    CHECK(outcome.exit_code == 0);
    const auto lines = lines_of(content_of(cluster.work() + "/np.out"));
    REQUIRE(lines.size() > 30);
    int bytes = 0;
    double mbps = 0;
    REQUIRE(std::sscanf(lines.back().c_str(), "%d %lf", &bytes, &mbps) == 2);
    CHECK(bytes >= 4096);
    CHECK(mbps > 1);
    std::filesystem::remove(cluster.work() + "/np.out");
  }
}

TEST_CASE("hpcc and LAMMPS run on one, two and four nodes with the right results") {
  if (!installed("/usr/share/doc/hpcc/examples/_hpccinf.txt") || !installed("/usr/share/lammps/examples/melt/in.melt")) {
    return;
  }
  LocalCluster cluster;
  up(cluster);
  for (const Shape& shape : kShapes) {
    CAPTURE(shape.nodes);
    const Outcome melt = run(cluster, shape, {"lmp", "-in", "/usr/share/lammps/examples/melt/in.melt", "-log", "none"});
    INFO(melt.out << melt.err);
    CHECK(melt.exit_code == 0);
    CHECK_THAT(melt.out, Contains("Created 4000 atoms") && Contains("on " + std::string(shape.ranks) + " procs for 250 steps"));
    // The energy at the start depends on nothing but the input.
    CHECK_THAT(melt.out, Contains("-6.7733681"));

    std::string input = content_of("/usr/share/doc/hpcc/examples/_hpccinf.txt");
    const std::string grid = std::string(shape.ranks) == "2" ? "1            Ps" : "2            Ps";
    for (const auto& [from, to] : {std::pair<std::string, std::string>{"1000         Ns", "96           Ns"},
                                   {"80           NBs", "16           NBs"},
                                   {"2            Ps", grid}}) {
      REQUIRE(input.find(from) != std::string::npos);
      input.replace(input.find(from), from.size(), to);
    }
    write_file(cluster.work() + "/hpccinf.txt", input);
    const Outcome hpcc = run(cluster, shape, {"hpcc"});
    INFO(hpcc.out << hpcc.err);
    CHECK(hpcc.exit_code == 0);
    const std::string results = content_of(cluster.work() + "/hpccoutf.txt");
    CHECK_THAT(results, Contains("Success=1") && Contains("CommWorldProcs=" + std::string(shape.ranks) + "\n"));
    std::filesystem::remove(cluster.work() + "/hpccoutf.txt");
  }
}

TEST_CASE("a bad end of one MPI rank ends the job with its code") {
  const std::string mpi = GENERATE(as<std::string>{}, "openmpi", "mpich");
  const std::string endings = program(mpi, "endings");
  if (endings.empty()) {
    return;
  }
  LocalCluster cluster;
  up(cluster);
  CAPTURE(mpi);
  const Shape shape{"2", "4"};
  const Outcome aborted = run(cluster, shape, {endings, "abort", "3", "9"});
  INFO(aborted.err);
  CHECK(aborted.exit_code == 9);
  CHECK_THAT(aborted.err, Contains("rank 3") && Contains("MPI_Abort(9)"));
  const Outcome crashed = run(cluster, shape, {endings, "segfault", "2"});
  INFO(crashed.err);
  CHECK(crashed.exit_code == 128 + SIGSEGV);
  CHECK_THAT(crashed.err, Contains("rank 2"));
  const Outcome killed = run(cluster, shape, {endings, "kill", "0"});
  INFO(killed.err);
  CHECK(killed.exit_code == 128 + SIGKILL);
  // It says 0 and has left the others waiting for ever.
  const Outcome left = run(cluster, shape, {endings, "exit", "1", "0"});
  INFO(left.err);
  CHECK(left.exit_code != 0);
  CHECK_THAT(left.err, Contains("rank 1"));
}

TEST_CASE("an MPI program that finds nobody of its protocol fails when MPI was asked for") {
  const auto [mpi, other] = GENERATE(table<std::string, std::string>({{"openmpi", "pmi1"}, {"mpich", "pmix"}}));
  const std::string hello = program(mpi, "hello");
  if (hello.empty()) {
    return;
  }
  LocalCluster cluster;
  up(cluster);
  CAPTURE(mpi, other);
  const Outcome outcome = run(cluster, {"2", "4"}, {hello}, {"--mpi=" + other});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.exit_code != 0);
  CHECK_THAT(outcome.err, Contains("--mpi"));
  // Without a wish for MPI, a program that needs none is in order.
  CHECK(run(cluster, {"2", "4"}, {"true"}).exit_code == 0);
}

TEST_CASE("an ordinary user's MPI programs run too") {
  if (::geteuid() != 0) {
    SUCCEED("the tests run as an ordinary user already");
    return;
  }
  const auto as = as_nobody();
  TemporaryFolder programs;
  LocalCluster cluster(as, reachable_program(as, programs.path()));
  up(cluster);
  for (const char* mpi : {"openmpi", "mpich"}) {
    const std::string hello = program(mpi, "hello");
    if (!hello.empty()) {
      const std::string copy = cluster.work() + "/" + mpi;
      std::filesystem::copy_file(hello, copy);
      CAPTURE(mpi);
      check_hello(run(cluster, {"2", "4"}, {copy}), {"2", "4"});
    }
  }
}

}  // namespace muster::system_test

// Goal: an ordinary user has a cluster like root's. Method: everything again as nobody, when the tests run as root.
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/system/harness.hpp"
#include "tests/system/ordinary_user.hpp"

namespace muster::system_test {

using Catch::Matchers::Contains;

TEST_CASE("an ordinary user's cluster starts, runs gangs and ends") {
  if (::geteuid() != 0) {
    SUCCEED("the tests run as an ordinary user already");
    return;
  }
  const auto as = as_nobody();
  TemporaryFolder programs;
  LocalCluster cluster(as, reachable_program(as, programs.path()));
  cluster.up({"--nodes", "2", "--cpus", "4"});
  const std::string text = cluster.expect(
      0, {"run", "-n", "8", "--", "sh", "-c", "echo \"rank $MUSTER_RANK node $MUSTER_NODE_RANK uid $(id -u)\""});
  CHECK(lines_of(text).size() == 8);
  CHECK_THAT(text, Contains("uid " + std::to_string(::getpwnam("nobody")->pw_uid)) && !Contains("uid 0\n"));
  CHECK(cluster.muster({"run", "--", "sh", "-c", "exit 7"}).exit_code == 7);
  CHECK(cluster.muster({"run", "--", "sh", "-c", "kill -TERM $$"}).exit_code == 143);
  const std::string job = lines_of(cluster.expect(0, {"submit", "--parsable", "sleep", "100"})).front();
  REQUIRE(eventually([&] { return cluster.json({"job", job})["jobs"][0]["state"] == "RUNNING"; }));
  const Outcome down = cluster.muster({"down"});
  INFO(down.err);
  CHECK(down.exit_code == 0);
  CHECK_THAT(down.err, Contains("1 running job will be ended"));
  CHECK(cluster.processes() == 0);
}

TEST_CASE("another user can't touch a cluster") {
  if (::geteuid() != 0) {
    SUCCEED("only root can become somebody else");
    return;
  }
  const auto as = as_nobody();
  TemporaryFolder programs;
  LocalCluster cluster;
  cluster.up({"--cpus", "1"});
  std::vector<std::string> words = as;
  words.insert(words.end(), {reachable_program(as, programs.path()), "--dir", cluster.dir(), "submit", "true"});
  Child stranger(words, {});
  const Outcome outcome = stranger.wait();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 3);
  CHECK(cluster.json({"queue", "--all"})["jobs"].empty());
}

}  // namespace muster::system_test

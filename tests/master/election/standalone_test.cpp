// Goal: one master per folder, and an epoch that only ever grows, over crashes and damage. Method: real folders; a child that
// is killed -9 right after it leads.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "master/election/standalone.hpp"
#include "tests/wire/temp_dir.hpp"
#include "wire/daemon/durable_file.hpp"

using namespace muster;
using muster::master::StandaloneElection;
using muster::test::TempDir;

namespace {

Result<Epoch> lead(const std::string& folder, std::uint64_t epoch_min = 0) {
  const auto election = StandaloneElection::open(folder, Epoch(epoch_min));
  if (!election) {
    return tl::unexpected(election.error());
  }
  return (*election)->lead();
}

void overwrite(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

}  // namespace

TEST_CASE("the epoch grows at every start") {
  TempDir dir;
  for (std::uint64_t expected = 1; expected <= 5; ++expected) {
    const auto epoch = lead(dir.path());
    REQUIRE(epoch);
    CHECK(epoch->value() == expected);
  }
  CHECK(lead(dir.path(), 100)->value() == 100);
  CHECK(lead(dir.path(), 50)->value() == 101);
}

TEST_CASE("a second master of a folder is refused by a clear line") {
  TempDir dir;
  const auto first = StandaloneElection::open(dir.path(), {});
  REQUIRE(first);
  REQUIRE((*first)->lead());
  const auto second = StandaloneElection::open(dir.path(), {});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::conflict);
  CHECK_THAT(second.error().text, Catch::Contains("a master of this cluster is already running") &&
                                      Catch::Contains(std::to_string(::getpid())) && Catch::Contains(dir.path()));
  CHECK((*first)->lead()->value() == 2);
  CHECK((*first)->lost_fd() == -1);
}

TEST_CASE("the epoch grows over kill -9, and the dead master's folder is free at once") {
  TempDir dir;
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    int out[2];
    REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto election = StandaloneElection::open(dir.path(), {});
      const std::uint64_t epoch = election ? (*election)->lead()->value() : 0;
      (void)!::write(out[1], &epoch, sizeof epoch);
      for (;;) {
        ::pause();
      }
    }
    std::uint64_t epoch = 0;
    REQUIRE(::read(out[0], &epoch, sizeof epoch) == sizeof epoch);
    CHECK(epoch > last);
    last = epoch;
    CHECK(lead(dir.path()).error().code == Errc::conflict);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ::close(out[0]);
    ::close(out[1]);
  }
  CHECK(lead(dir.path())->value() > last);
}

TEST_CASE("a damaged epoch file is refused with the way out") {
  TempDir dir;
  REQUIRE(lead(dir.path()));
  const std::string good = *read_file(dir / "epoch");
  for (const std::string& bad : {std::string(), std::string("7"), good.substr(0, good.size() - 2), good + "x",
                                 std::string("muster epoch 9 ~18446744073709551614\n"), std::string("muster epoch 0 ~0\n"),
                                 std::string(4000, 'x')}) {
    overwrite(dir / "epoch", bad);
    const auto epoch = lead(dir.path());
    REQUIRE_FALSE(epoch);
    CHECK(epoch.error().code == Errc::malformed);
    CHECK_THAT(epoch.error().text, Catch::Contains(dir / "epoch") && Catch::Contains("damaged") &&
                                       Catch::Contains("--epoch-min"));
  }
  CHECK(lead(dir.path(), 70)->value() == 70);
  CHECK(lead(dir.path())->value() == 71);
}

TEST_CASE("a lost epoch file is refused, a fresh folder is not") {
  TempDir dir;
  REQUIRE(lead(dir.path()));
  ::unlink((dir / "epoch").c_str());
  const auto epoch = lead(dir.path());
  REQUIRE_FALSE(epoch);
  CHECK_THAT(epoch.error().text, Catch::Contains("is gone") && Catch::Contains("--epoch-min"));
  CHECK(lead(dir.path(), 8)->value() == 8);
}

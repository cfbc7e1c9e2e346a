// Goal: locks, identities, durable files, signals and logs keep what shells rely on. Method: real files in a fresh folder and
// real child processes that the test reaps.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/wire/temp_dir.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/log.hpp"
#include "wire/daemon/machine.hpp"
#include "wire/daemon/process_identity.hpp"
#include "wire/daemon/signals.hpp"

using namespace muster;
using muster::test::TempDir;

TEST_CASE("a lock has one holder, named to the second, and ends with it") {
  TempDir dir;
  const std::string path = dir / "lock";
  CHECK_FALSE(is_locked(path));
  {
    const auto lock = LockFile::acquire(path, "a master");
    REQUIRE(lock);
    CHECK(is_locked(path));
    const auto second = LockFile::acquire(path, "a master");
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Errc::conflict);
    CHECK_THAT(second.error().text, Catch::Contains("a master is already running (pid " + std::to_string(::getpid())) &&
                                        Catch::Contains(path));
  }
  CHECK_FALSE(is_locked(path));
  CHECK(LockFile::acquire(path, "a master"));
  const auto nowhere = LockFile::acquire(dir / "no/lock", "a master");
  REQUIRE_FALSE(nowhere);
  CHECK_THAT(nowhere.error().text, Catch::Contains("no/lock: No such file"));
}

TEST_CASE("a killed holder's lock is free") {
  TempDir dir;
  const std::string path = dir / "lock";
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = LockFile::acquire(path, "child");
    (void)!::write(ready[1], lock ? "y" : "n", 1);
    for (;;) {
      ::pause();
    }
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  CHECK(is_locked(path));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(LockFile::acquire(path, "parent"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("a process is known beyond its pid, and a zombie is not alive") {
  const ProcessIdentity self = own_identity();
  CHECK(self.pid == ::getpid());
  CHECK(self.start_ticks > 0);
  CHECK(is_alive(self));
  CHECK_FALSE(is_alive({self.pid, self.start_ticks + 1}));
  CHECK_FALSE(is_alive({0, 0}));
  const auto back = parse_identity(to_string(self));
  REQUIRE(back);
  CHECK(*back == self);
  for (const char* bad : {"", "1", "1:", ":1", "x:1", "1:x", "1:2:3", "-1:5"}) {
    CHECK_FALSE(parse_identity(bad));
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  const auto zombie = identity_of(child);
  REQUIRE(zombie);
  CHECK_FALSE(is_alive(*zombie));
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(identity_of(child));
}

TEST_CASE("a durable file is replaced whole") {
  TempDir dir;
  const std::string path = dir / "a/b/file";
  REQUIRE(make_directory(dir / "a/b"));
  REQUIRE(make_directory(dir / "a/b"));
  CHECK(read_file(path).error().code == Errc::not_found);
  REQUIRE(write_durably(path, "one"));
  REQUIRE(write_durably(path, "two two", {.sync = false, .mode = 0644}));
  CHECK(*read_file(path) == "two two");
  CHECK(read_file(path, 3).error().code == Errc::out_of_range);
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0644);
  CHECK(::access((path + ".new").c_str(), F_OK) != 0);
  const auto nowhere = write_durably(dir / "none/file", "x");
  REQUIRE_FALSE(nowhere);
  CHECK_THAT(nowhere.error().text, Catch::Contains("none/file"));
  const auto blocked = make_directory(path);
  REQUIRE_FALSE(blocked);
  CHECK_THAT(blocked.error().text, Catch::Contains(path));
}

TEST_CASE("signals are read from a descriptor") {
  const auto signals = SignalFd::open({SIGUSR1, SIGUSR2});
  REQUIRE(signals);
  CHECK_FALSE(signals->next());
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  pollfd item{signals->fd(), POLLIN, 0};
  CHECK(::poll(&item, 1, 1000) == 1);
  CHECK(signals->next() == SIGUSR1);
  CHECK(signals->next() == SIGUSR2);
  CHECK_FALSE(signals->next());
  unblock_all_signals();
}

TEST_CASE("the machine's words") {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  CHECK(raise_descriptor_limit() == before.rlim_max);
  REQUIRE(boot_id());
  CHECK(boot_id()->size() >= 32);
  CHECK(*boot_id() == *boot_id());
  CHECK_FALSE(host_name().empty());
  CHECK(random_u64() != random_u64());
}

TEST_CASE("a log file takes the level and above, and rotates") {
  TempDir dir;
  const std::string path = dir / "x.log";
  CHECK(*log::parse_level("warn") == log::Level::warn);
  CHECK_THAT(log::parse_level("loud").error().text, Catch::Contains("'loud'") && Catch::Contains("debug"));
  REQUIRE(log::open({.daemon = "tester", .path = path, .level = log::Level::info, .rotate_bytes = 2000}));
  log::debug("hidden {} %s");
  log::info("shown {} %s");
  log::flush();
  auto text = *read_file(path);
  CHECK_THAT(text, Catch::Contains("tester[" + std::to_string(::getpid()) + "] shown {} %s\n"));
  CHECK_THAT(text, !Catch::Contains("hidden"));
  CHECK(log::enabled(log::Level::warn));
  CHECK_FALSE(log::enabled(log::Level::debug));
  for (int i = 0; i < 100; ++i) {
    log::info("line");
  }
  CHECK(::access((dir / "x.1.log").c_str(), F_OK) == 0);
  const auto nowhere = log::open({.daemon = "tester", .path = "/proc/none/x.log"});
  REQUIRE_FALSE(nowhere);
  CHECK_THAT(nowhere.error().text, Catch::Contains("/proc/none/x.log"));
  REQUIRE(log::open({.daemon = "tester", .path = "", .level = log::Level::warn}));
}

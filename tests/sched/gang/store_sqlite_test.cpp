// The SQLite store: what was committed comes back whole, whatever happens to the process; damage is named.
#include "sched/gang/store_sqlite.hpp"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/muster-store-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string db() const { return path + "/gang.db"; }
  std::string path;
};

JobRecord job_record(std::uint64_t id) {
  JobRecord job;
  job.job = JobId(id);
  job.key_hi = 0xffff'ffff'ffff'fff0ULL + id % 16;
  job.key_lo = id;
  auto spec = test::spec(3);
  spec.requeue = true;
  job.spec = pack_job_spec(spec);
  job.submitted = WallTime::from_ns(5);
  job.token_hi = ~id;
  job.token_lo = 7;
  return job;
}

AttemptRecord attempt_record(std::uint64_t id, std::uint32_t index, std::uint32_t try_number) {
  AttemptRecord a;
  a.job = JobId(id);
  a.index = index;
  a.try_number = try_number;
  a.nodes = {"n1", "a-node-with-a-rather-long-name.example"};
  a.ranks = {2, 1};
  a.boots = {0xffff'fff0, 7};
  a.state = JobState::Running;
  a.launched = WallTime::from_ns(10);
  return a;
}

SqliteStore open(const Folder& folder) {
  auto store = SqliteStore::open(folder.db());
  INFO((store ? std::string() : store.error().text));
  REQUIRE(store.has_value());
  return *std::move(store);
}

}  // namespace

TEST_CASE("what is committed reads back equal", "[gang][store]") {
  Folder folder;
  {
    SqliteStore store = open(folder);
    AttemptRecord running = attempt_record(1, 0, 2);
    running.ends = {{1, TaskState::lost, TaskReason::node_lost, -1, 9, "gone; \"quoted\""}};
    running.ends.push_back({0, TaskState::finished, TaskReason::none, 1, 0, "by its user", true});
    running.cancelled = true;
    AttemptRecord ended = attempt_record(1, 0, 1);
    ended.state = JobState::NodeFail;
    ended.requeued = true;
    ended.reason = "n1: node lost";
    ended.exit_code = -3;
    ended.signal = 15;
    ended.cpus = "0-3;4";
    ended.report = std::string("\0a report", 9);
    ended.cpu_time_us = 1ULL << 60U;
    ended.memory_peak_bytes = ~0ULL;
    StoreBatch batch{1, {}};
    batch.ops = {op::PutJob{job_record(1)}, op::PutJob{job_record(2)}, op::PutJob{job_record(3)},
                 op::PutAttempt{ended}, op::PutAttempt{attempt_record(1, 0, 2)}, op::PutAttempt{running},
                 op::SetHeld{JobId(1), true}, op::SetCancelled{JobId(2)},
                 op::EndElements{JobId(2), 3, 90, JobState::Cancelled, "why", WallTime::from_ns(77)},
                 op::EndJob{JobId(2), JobState::Cancelled, WallTime::from_ns(78)},
                 op::EndJob{JobId(3), JobState::Completed, WallTime::from_ns(79)}};
    REQUIRE(store.commit(batch).has_value());
    REQUIRE(store.set_meta("framework_id", "12").has_value());
  }
  SqliteStore store = open(folder);
  CHECK(*store.meta("framework_id") == "12");
  CHECK(store.meta("nothing")->empty());
  const auto state = store.load(10);
  REQUIRE(state.has_value());
  CHECK(state->next_job == 4);
  REQUIRE(state->jobs.size() == 3);
  const LoadedJob& live = state->jobs[2];
  const JobRecord expected = job_record(1);
  CHECK(live.job.job == JobId(1));
  CHECK(live.job.key_hi == expected.key_hi);
  CHECK(live.job.token_hi == expected.token_hi);
  CHECK(live.job.spec == expected.spec);
  CHECK(live.job.held);
  CHECK(live.state == JobState::Pending);
  REQUIRE(live.attempts.size() == 2);
  CHECK(live.attempts[0].requeued);
  CHECK(live.attempts[0].reason == "n1: node lost");
  CHECK(live.attempts[0].exit_code == -3);
  CHECK(live.attempts[0].memory_peak_bytes == ~0ULL);
  CHECK(live.attempts[1].cancelled);
  CHECK(live.attempts[0].report == std::string("\0a report", 9));
  CHECK(live.attempts[1].report.empty());
  REQUIRE(live.attempts[1].ends.size() == 2);
  CHECK(live.attempts[1].ends[1].cancelled);
  CHECK(live.attempts[1].ends[0] == MemberEnd{1, TaskState::lost, TaskReason::node_lost, -1, 9, "gone; \"quoted\""});
  CHECK(live.attempts[1].nodes == attempt_record(1, 0, 1).nodes);
  CHECK(live.attempts[1].ranks == std::vector<std::uint32_t>{2, 1});
  CHECK(live.attempts[1].boots == std::vector<std::uint32_t>{0xffff'fff0, 7});
  CHECK(state->jobs[0].job.cancelled);
  REQUIRE(state->jobs[0].ended_elements.size() == 1);
  CHECK(state->jobs[0].ended_elements[0].last == 90);
  CHECK(store.load(1)->jobs.size() == 2);  // only the one that ended last
}

// Goal: an upgraded gang goes on with the store of the version before. Method: take away what this version has added.
TEST_CASE("a store of the version before is carried on", "[gang][store]") {
  Folder folder;
  {
    SqliteStore store = open(folder);
    StoreBatch batch{1, {op::PutJob{job_record(1)}, op::PutAttempt{attempt_record(1, 0, 1)}}};
    REQUIRE(store.commit(batch).has_value());
  }
  const std::string change = "sqlite3 '" + folder.db() + "' 'ALTER TABLE attempts DROP COLUMN report; PRAGMA user_version=1'";
  if (std::system("command -v sqlite3 >/dev/null") != 0) {
    WARN("sqlite3 is not installed: not tried");
    return;
  }
  REQUIRE(std::system(change.c_str()) == 0);
  SqliteStore store = open(folder);
  AttemptRecord ended = attempt_record(1, 0, 1);
  ended.report = "kept";
  REQUIRE(store.commit(StoreBatch{2, {op::PutAttempt{ended}, op::PutAttempt{attempt_record(1, 0, 2)}}}).has_value());
  const auto state = store.load(10);
  REQUIRE(state.has_value());
  REQUIRE(state->jobs[0].attempts.size() == 2);
  CHECK(state->jobs[0].attempts[0].report == "kept");
  CHECK(state->jobs[0].attempts[0].nodes == ended.nodes);
}

TEST_CASE("a second gang on the same store is refused", "[gang][store]") {
  Folder folder;
  SqliteStore first = open(folder);
  const auto second = SqliteStore::open(folder.db());
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code == Errc::conflict);
  CHECK(second.error().text.find("another muster-gang has it open") != std::string::npos);
}

TEST_CASE("a damaged store, a strange file and a later version are named", "[gang][store]") {
  Folder folder;
  {
    SqliteStore store = open(folder);
    StoreBatch batch{1, {}};
    for (std::uint64_t i = 1; i <= 200; ++i) {
      batch.ops.push_back(op::PutJob{job_record(i)});
      batch.ops.push_back(op::PutAttempt{attempt_record(i, 0, 1)});
    }
    REQUIRE(store.commit(batch).has_value());
  }
  {
    std::fstream file(folder.db(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(static_cast<std::size_t>(std::filesystem::file_size(folder.db())) - 4096, 'x');
  }
  auto store = SqliteStore::open(folder.db());
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::malformed);
  CHECK(store.error().text.find(folder.db()) != std::string::npos);
  std::ofstream(folder.db(), std::ios::trunc) << "this is no database, whatever its name says, and it is long enough";
  store = SqliteStore::open(folder.db());
  REQUIRE_FALSE(store.has_value());
  CHECK(store.error().code == Errc::malformed);
  CHECK_FALSE(SqliteStore::open(folder.path + "/none/gang.db").has_value());
}

// Goal: an acknowledged commit survives kill -9. Method: a child commits and tells over a pipe what it was told;
// it is killed in the middle, and the store must hold all of that. Several rounds on one store.
TEST_CASE("kill -9 in the middle of commits loses nothing that was acknowledged", "[gang][store]") {
  Folder folder;
  std::uint64_t known = 0;
  for (int round = 0; round < 8; ++round) {
    int pipe_ends[2];
    REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      auto store = SqliteStore::open(folder.db());
      if (!store) {
        ::_exit(1);
      }
      for (std::uint64_t id = store->load(0)->next_job;; ++id) {
        StoreBatch batch{id, {op::PutJob{job_record(id)}, op::PutAttempt{attempt_record(id, 0, 1)}}};
        if (!store->commit(batch) || ::write(pipe_ends[1], &id, sizeof id) != sizeof id) {
          ::_exit(1);
        }
      }
    }
    ::close(pipe_ends[1]);
    std::uint64_t last = 0;
    const std::uint64_t wanted = known + 5 + static_cast<std::uint64_t>(round) * 3;
    while (last < wanted && ::read(pipe_ends[0], &last, sizeof last) == sizeof last) {
    }
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    for (std::uint64_t more = 0; ::read(pipe_ends[0], &more, sizeof more) == sizeof more;) {
      last = more;
    }
    ::close(pipe_ends[0]);
    REQUIRE(last >= wanted);
    SqliteStore store = open(folder);
    const auto state = store.load(0);
    REQUIRE(state.has_value());
    REQUIRE(state->jobs.size() >= last);
    for (const LoadedJob& job : state->jobs) {
      REQUIRE(job.attempts.size() == 1);  // a batch is whole or absent
    }
    known = state->jobs.size();
  }
}

// Goal: the run log says the truth after any interruption. Method: build logs record by record, cut and
// change their bytes, and read them back.
#include "node/exec/run_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "node/exec/codec.hpp"
#include "node/exec/crc32c.hpp"
#include "node/exec/run_log_file.hpp"

using namespace muster;
using namespace muster::node;

namespace {

TaskStart task_of(std::uint64_t attempt) {
  TaskStart task;
  task.framework = FrameworkId(1);
  task.attempt = {5, attempt};
  task.argv = {"true"};
  task.environment = {"SECRET=never in the log"};
  task.agent_note = "note " + std::to_string(attempt);
  task.ranks = {{.rank = 0, .environment = {"SECRET=never in the log"}, .cpus = {}, .stdout_path = "", .stderr_path = ""}};
  return task;
}

event::Ended end_of(std::uint64_t attempt, int code) {
  event::Ended ended;
  ended.framework = FrameworkId(1);
  ended.attempt = {5, attempt};
  ended.state = TaskState::finished;
  ended.exit_code = code;
  return ended;
}

std::string started(std::uint64_t attempt) {
  return run_log::encode_started(FrameworkId(1), {5, attempt}, WallTime::from_ns(100),
                                 {{.rank = 0, .pid = 321, .start_time_ticks = 654}}, "/cg/t1");
}

const run_log::Head kHead{"boot-1", "launcher-1", {{"v2", "/sys/fs/cgroup/muster-1"}}};

// Attempt 1 ended, 2 started, 3 only intended, 4 ended and forgotten.
std::string sample() {
  return run_log::encode_head(kHead) + run_log::encode_intent(task_of(1)) + run_log::encode_intent(task_of(2)) +
         started(1) + started(2) + run_log::encode_ended(end_of(1, 7)) + run_log::encode_intent(task_of(4)) + started(4) +
         run_log::encode_ended(end_of(4, 0)) + run_log::encode_forgotten(FrameworkId(1), {5, 4}) +
         run_log::encode_intent(task_of(3));
}

struct TempDir {
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "muster-log-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::string path;
};

}  // namespace

TEST_CASE("the run log folds to what is known of each attempt") {
  const auto contents = run_log::decode(sample(), "test");
  REQUIRE(contents);
  CHECK(contents->head.boot_id == "boot-1");
  CHECK(contents->head.launcher_id == "launcher-1");
  CHECK(contents->head.roots == kHead.roots);
  CHECK(contents->forgotten == std::vector<AttemptKey>{{FrameworkId(1), {5, 4}}});
  REQUIRE(contents->tasks.size() == 3);
  CHECK(contents->tasks[0].known.phase == RecoveredTask::Phase::ended);
  CHECK(contents->tasks[0].known.end.exit_code == 7);
  CHECK(contents->tasks[1].known.phase == RecoveredTask::Phase::started);
  REQUIRE(contents->tasks[1].known.processes.size() == 1);
  CHECK(contents->tasks[1].known.processes[0].pid == 321);
  CHECK(contents->tasks[1].known.started.ns() == 100);
  CHECK(contents->tasks[1].group == "/cg/t1");
  CHECK(contents->tasks[2].known.phase == RecoveredTask::Phase::intent);
  CHECK(contents->tasks[2].known.task.agent_note == "note 3");
  CHECK(sample().find("SECRET") == std::string::npos);
}

TEST_CASE("a torn last record is dropped, wherever it is torn") {
  const std::string head = run_log::encode_head(kHead);
  const std::string whole = sample();
  const std::string last = run_log::encode_ended(end_of(2, 1));
  for (std::size_t cut = 0; cut < last.size(); ++cut) {
    const auto contents = run_log::decode(whole + last.substr(0, cut), "test");
    REQUIRE(contents);
    CHECK(contents->bytes_valid == whole.size());
    CHECK(contents->tasks[1].known.phase == RecoveredTask::Phase::started);
    // After a power cut the file may have its length and not its bytes.
    const auto filled = run_log::decode(whole + last.substr(0, cut) + std::string(5000, '\0'), "test");
    REQUIRE(filled);
    const bool missing = last.find_first_not_of('\0', cut) != std::string::npos;  // else the zeros complete it
    CHECK(filled->bytes_valid == whole.size() + (missing ? 0 : last.size()));
    CHECK(filled->tasks[1].known.phase == (missing ? RecoveredTask::Phase::started : RecoveredTask::Phase::ended));
  }
  std::string flipped = whole + last;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  REQUIRE(run_log::decode(flipped, "test"));
  CHECK(run_log::decode(flipped, "test")->bytes_valid == whole.size());
  CHECK(run_log::decode(whole + std::string(100, '\0'), "test")->bytes_valid == whole.size());
  for (std::size_t cut = 0; cut < head.size(); ++cut) {
    const auto contents = run_log::decode(head.substr(0, cut), "test");
    REQUIRE(contents);
    CHECK(contents->tasks.empty());
    CHECK(contents->head.boot_id.empty());
  }
}

TEST_CASE("damage before the end is an error that names file and offset") {
  const std::string whole = sample();
  const std::size_t head_bytes = run_log::encode_head(kHead).size();
  const std::size_t last_bytes = run_log::encode_intent(task_of(3)).size();
  int refused = 0;
  for (std::size_t at = head_bytes; at < whole.size() - last_bytes; ++at) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    const auto contents = run_log::decode(bad, "/dir/run.log");
    REQUIRE(!contents);
    CHECK(contents.error().code == Errc::malformed);
    CHECK(contents.error().text.find("/dir/run.log") != std::string::npos);
    ++refused;
  }
  CHECK(refused > 100);
  std::string second = whole;
  second[head_bytes] = static_cast<char>(second[head_bytes] ^ 1);
  CHECK(run_log::decode(second, "x").error().text.find("offset " + std::to_string(head_bytes)) != std::string::npos);
  CHECK(!run_log::decode("this is some other file, surely longer than a header", "x"));
}

TEST_CASE("random bytes and random changes never do more than fail") {
  std::mt19937_64 random(7);
  const std::string whole = sample();
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = whole.substr(0, random() % (whole.size() + 1));
    for (int change = 0; change < i % 5 && !bad.empty(); ++change) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    if (auto contents = run_log::decode(bad, "x")) {
      CHECK(contents->tasks.size() <= 4);
    }
  }
}

TEST_CASE("another boot id ends what had not ended") {
  auto contents = run_log::decode(sample(), "test");
  REQUIRE(contents);
  run_log::end_by_reboot(*contents, "boot-1", WallTime::from_ns(5));
  CHECK(contents->tasks[1].known.phase == RecoveredTask::Phase::started);
  run_log::end_by_reboot(*contents, "boot-2", WallTime::from_ns(5));
  CHECK(contents->tasks[0].known.end.state == TaskState::finished);
  CHECK(contents->tasks[1].known.end.state == TaskState::lost);
  CHECK(contents->tasks[1].known.end.reason == TaskReason::node_rebooted);
  CHECK(contents->tasks[1].known.end.attempt == AttemptId{5, 2});
  // Its STARTED may have been lost with the power.
  CHECK(contents->tasks[2].known.end.state == TaskState::lost);
  CHECK(contents->tasks[2].known.end.reason == TaskReason::node_rebooted);
}

TEST_CASE("rewriting keeps what is known and drops the rest") {
  const TempDir dir;
  {
    std::ofstream(dir.path + "/run.log", std::ios::binary) << sample() << "torn";
  }
  auto contents = RunLogFile::read(dir.path);
  REQUIRE(contents);
  std::vector<const run_log::LoggedTask*> known;
  for (const run_log::LoggedTask& task : contents->tasks) {
    known.push_back(&task);
  }
  RunLogFile log;
  REQUIRE(log.rewrite(dir.path, contents->head, known, contents->forgotten));
  CHECK(log.records() == 8);
  log.add(started(3));
  CHECK(log.has_unwritten());
  REQUIRE(log.flush());
  // A rank appends by itself, whole records among ours.
  const std::string foreign = run_log::encode_ended(end_of(2, 9));
  REQUIRE(::write(log.fd(), foreign.data(), foreign.size()) == static_cast<ssize_t>(foreign.size()));
  log.add(run_log::encode_forgotten(FrameworkId(1), {5, 1}));
  REQUIRE(log.flush());
  contents = RunLogFile::read(dir.path);
  REQUIRE(contents);
  REQUIRE(contents->tasks.size() == 2);
  CHECK(contents->tasks[0].known.end.exit_code == 9);
  CHECK(contents->tasks[1].known.phase == RecoveredTask::Phase::started);
  CHECK(contents->head.roots == kHead.roots);
  CHECK(contents->forgotten == std::vector<AttemptKey>{{FrameworkId(1), {5, 4}}, {FrameworkId(1), {5, 1}}});
  CHECK(!std::filesystem::exists(dir.path + "/run.log.new"));
}

TEST_CASE("of what is forgotten the run log remembers the last ones") {
  // Method: more than the bound, partly in the record that a rewritten file begins with.
  std::vector<AttemptKey> many;
  for (std::uint64_t i = 0; i < kForgottenMax; ++i) {
    many.push_back({FrameworkId(1), {6, i}});
  }
  std::size_t records = 0;
  std::string bytes = run_log::encode_file(kHead, {}, many, records);
  CHECK(records == 2);
  for (std::uint64_t i = 0; i < 3; ++i) {
    bytes += run_log::encode_forgotten(FrameworkId(2), {7, i});
  }
  const auto contents = run_log::decode(bytes, "test");
  REQUIRE(contents);
  REQUIRE(contents->forgotten.size() == kForgottenMax);
  CHECK(contents->forgotten.front() == AttemptKey{FrameworkId(1), {6, 3}});
  CHECK(contents->forgotten.back() == AttemptKey{FrameworkId(2), {7, 2}});
}

TEST_CASE("no run log is an empty one") {
  const TempDir dir;
  const auto contents = RunLogFile::read(dir.path);
  REQUIRE(contents);
  CHECK(contents->tasks.empty());
}

// Goal: a node that is upgraded still reads the run logs of the versions before.
// Method: files written here byte by byte: tasks of version 1 have neither requeueable nor processes_max, those of
// version 2 nothing of a step daemon, and neither have their ends.
TEST_CASE("run logs of earlier versions are read") {
  const auto version = GENERATE(std::uint32_t{1}, std::uint32_t{2});
  const auto record = [](std::uint8_t type, const std::string& payload) {
    ByteWriter out;
    out.put(static_cast<std::uint32_t>(payload.size()));
    out.put(type);
    out.put(std::uint8_t{0});
    out.put(std::uint16_t{0});
    out.put(crc32c(payload));
    out.put(crc32c(std::string_view(out.bytes()).substr(0, 12)));
    return out.take() + payload;
  };
  ByteWriter head;
  head.put(std::uint64_t{0x474f4c4e55525453ULL});
  head.put(version);
  head.put_string("boot");
  head.put_string("launcher");
  head.put(std::uint32_t{0});
  ByteWriter task;
  for (const std::uint64_t number : {7U, 8U, 9U, 4U}) {  // framework, attempt, job
    task.put(number);
  }
  task.put_string("name");
  task.put_strings({"true"});
  task.put_strings({});
  task.put_string("/work");
  task.put_string("");
  task.put(std::uint32_t{1000});
  task.put(std::uint32_t{1001});
  task.put_bool(true);
  task.put_bool(false);
  if (version > 1) {
    task.put_bool(true);
  }
  task.put(std::uint64_t{4096});
  if (version > 1) {
    task.put(std::uint32_t{300});
  }
  task.put(std::uint32_t{1500});
  task.put_u32s({2, 3});
  task.put_bool(true);
  task.put_string("note");
  task.put(std::uint32_t{0});  // no ranks
  ByteWriter ended;
  for (const std::uint64_t number : {7U, 8U, 9U}) {
    ended.put(number);
  }
  ended.put(static_cast<std::uint8_t>(TaskState::finished));
  ended.put(std::uint8_t{0});
  ended.put_i32(3);
  ended.put_i32(0);
  ended.put_string("text");
  ended.put_i64(1);
  ended.put_i64(2);
  ended.put(std::uint32_t{0});
  ended.put(std::uint64_t{77});
  ended.put(std::uint64_t{88});
  const auto contents =
      run_log::decode(record(1, head.take()) + record(2, task.take()) + record(4, ended.take()), "run.log");
  REQUIRE(contents.has_value());
  CHECK(contents->head.boot_id == "boot");
  REQUIRE(contents->tasks.size() == 1);
  const TaskStart& read = contents->tasks[0].known.task;
  CHECK(read.gid == 1001);
  CHECK(read.memory_limit_bytes == 4096);
  CHECK(read.cpus_milli == 1500);
  CHECK(read.agent_note == "note");
  CHECK(read.requeueable == (version == 2));
  CHECK(read.processes_max == (version == 2 ? 300 : 0));
  CHECK_FALSE(read.has_report);
  CHECK(read.directory.empty());
  CHECK(contents->tasks[0].known.end.exit_code == 3);
  CHECK(contents->tasks[0].known.end.usage.memory_peak_bytes == 88);
  CHECK(contents->tasks[0].known.end.report.empty());
}

TEST_CASE("of a step daemon the run log keeps the directory and the report, and not the plan") {
  TaskStart task = task_of(1);
  task.input = "SECRET plan";
  task.has_report = true;
  task.directory = "/run/muster/jobs/abc";
  event::Ended ended = end_of(1, 0);
  ended.report = std::string("\0what happened", 14);
  const std::string bytes = run_log::encode_head(kHead) + run_log::encode_intent(task) + run_log::encode_ended(ended);
  CHECK(bytes.find("SECRET") == std::string::npos);
  const auto contents = run_log::decode(bytes, "test");
  REQUIRE(contents);
  REQUIRE(contents->tasks.size() == 1);
  CHECK(contents->tasks[0].known.task.has_report);
  CHECK(contents->tasks[0].known.task.directory == task.directory);
  CHECK(contents->tasks[0].known.end.report == ended.report);
}

// Goal: what goes through the launcher's socket comes out equal, and no bytes from outside do harm.
// Method: round trips of full values; then every truncation, single-byte changes and random bytes (seeded).
#include "node/exec/launcher_codec.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>

#include "node/exec/crc32c.hpp"
#include "node/exec/frame_stream.hpp"

using namespace muster;
using namespace muster::node;

namespace {

TaskStart full_task() {
  TaskStart task;
  task.framework = FrameworkId(3);
  task.attempt = {0x1122334455667788ULL, 42};
  task.job = JobId(99);
  task.name = "job name";
  task.argv = {"sh", "-c", "true"};
  task.environment = {"A=1", "B=" + std::string(300, 'x')};
  task.working_directory = "/home/user";
  task.stdin_path = "/dev/zero";
  task.uid = 1000;
  task.gid = 1001;
  task.switch_user = true;
  task.park = true;
  task.requeueable = true;
  task.processes_max = 4000;
  task.memory_limit_bytes = Bytes{1} << 40U;
  task.cpus_milli = 2500;
  task.cpus = {0, 1, 64};
  task.truncate_output = true;
  task.agent_note = std::string("note\0with zero", 14);
  task.input = std::string("plan\0of a step daemon", 21);
  task.has_report = true;
  task.directory = "/run/muster/jobs/x";
  task.ranks = {{.rank = 5, .environment = {"R=5"}, .cpus = {0}, .stdout_path = "/o", .stderr_path = "/e"},
                {.rank = 6, .environment = {}, .cpus = {1, 64}, .stdout_path = "", .stderr_path = ""}};
  return task;
}

bool same(const TaskStart& a, const TaskStart& b) {
  ByteWriter x;
  ByteWriter y;
  put_task(x, a, true);
  put_task(y, b, true);
  return x.bytes() == y.bytes();
}

event::Ended full_end() {
  event::Ended ended;
  ended.framework = FrameworkId(3);
  ended.attempt = {1, 2};
  ended.state = TaskState::out_of_memory;
  ended.reason = TaskReason::memory_limit;
  ended.exit_code = 137;
  ended.signal = 9;
  ended.text = "text";
  ended.started = WallTime::from_ns(123456789);
  ended.ended = WallTime::from_ns(-5);
  ended.ranks = {{.rank = 5, .exit_code = 137, .signal = 9}, {.rank = 6, .exit_code = 1, .signal = 0}};
  ended.usage = {.cpu_time_us = 77, .memory_peak_bytes = 88};
  ended.report = std::string("\0report", 7);
  return ended;
}

std::string_view payload(const std::string& frame) { return std::string_view(frame).substr(4); }

std::string encode(const LauncherCommand& command) {
  auto frames = CommandWriter().frames_of(command);
  REQUIRE(frames);
  return *frames;
}

// As the launcher reads it. Nothing: refused, or no command.
std::optional<LauncherCommand> decode(std::string_view bytes, CommandReader reader = {}) {
  auto command = reader.add(bytes);
  return command ? *command : std::nullopt;
}

// Frames without their lengths.
std::vector<std::string> payloads_of(std::string_view frames) {
  std::vector<std::string> payloads;
  while (!frames.empty()) {
    REQUIRE(frames.size() > 4);
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      length |= std::size_t{static_cast<std::uint8_t>(frames[i])} << (8 * i);
    }
    REQUIRE(frames.size() >= 4 + length);
    payloads.emplace_back(frames.substr(4, length));
    frames.remove_prefix(4 + length);
  }
  return payloads;
}

}  // namespace

TEST_CASE("crc32c gives the published values") {
  CHECK(crc32c("") == 0U);
  CHECK(crc32c("123456789") == 0xe3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aaU);
}

TEST_CASE("commands come out of the codec as they went in") {
  const std::string start = encode(command::Start{full_task()});
  auto decoded = decode(payload(start));
  REQUIRE(decoded);
  REQUIRE(std::holds_alternative<command::Start>(*decoded));
  CHECK(same(std::get<command::Start>(*decoded).task, full_task()));

  const FrameworkId framework(8);
  const AttemptId attempt{9, 10};
  const std::string kill = encode(command::Kill{framework, attempt, 12, 4000});
  decoded = decode(payload(kill));
  REQUIRE(decoded);
  CHECK(std::get<command::Kill>(*decoded).signal == 12);
  CHECK(std::get<command::Kill>(*decoded).grace_ms == 4000);
  CHECK(std::get<command::Kill>(*decoded).attempt == attempt);
  const std::string rebind = encode(command::Rebind{framework, attempt, {1, 5}});
  decoded = decode(payload(rebind));
  REQUIRE(decoded);
  CHECK(std::get<command::Rebind>(*decoded).cpus == std::vector<std::uint32_t>{1, 5});
  CHECK(std::get<command::Rebind>(*decoded).attempt == attempt);
  const std::string fence = encode(command::Fence{Instant::from_ns(-77)});
  decoded = decode(payload(fence));
  REQUIRE(decoded);
  CHECK(std::get<command::Fence>(*decoded).at == Instant::from_ns(-77));
  for (const LauncherCommand& command : std::vector<LauncherCommand>{command::Go{framework, attempt}, command::Release{framework, attempt},
                                         command::Signal{framework, attempt, 10}, command::Forget{framework, attempt},
                                         command::Shutdown{true}, command::Fence{Instant::from_ns(5)}}) {
    decoded = decode(payload(encode(command)));
    REQUIRE(decoded);
    CHECK(decoded->index() == command.index());
  }
}

TEST_CASE("a shared environment travels once, and again when others have taken its place") {
  // Method: tasks of more jobs than a connection remembers, each twice; one reader takes all frames in order.
  CommandWriter writer;
  CommandReader reader;
  std::vector<SharedEnvironmentPtr> shared;
  for (std::size_t i = 0; i <= kEnvironmentsMax; ++i) {
    shared.push_back(std::make_shared<const SharedEnvironment>(std::vector{"N=" + std::to_string(i), std::string("A=b")}));
  }
  const auto frames_for = [&](std::size_t i) {
    TaskStart task = full_task();
    task.shared_environment = shared[i];
    const std::vector<std::string> payloads = payloads_of(*writer.frames_of(command::Start{task}));
    for (const std::string& bytes : payloads) {
      const auto command = reader.add(bytes);
      REQUIRE(command);
      CHECK(command->has_value() == (&bytes == &payloads.back()));
      if (*command) {
        const auto& got = std::get<command::Start>(**command).task;
        CHECK(same(got, task));
        CHECK(got.shared_environment->lines() == shared[i]->lines());
      }
    }
    return payloads.size();
  };
  for (std::size_t i = 0; i < kEnvironmentsMax; ++i) {
    CHECK(frames_for(i) == 2);
    CHECK(frames_for(i) == 1);
  }
  CHECK(frames_for(0) == 1);
  CHECK(frames_for(kEnvironmentsMax) == 2);  // takes the place of the one that was used longest ago
  CHECK(frames_for(0) == 1);
  CHECK(frames_for(1) == 2);

  TaskStart task = full_task();
  task.shared_environment = shared[0];
  const auto payloads = payloads_of(encode(command::Start{task}));
  CHECK(!CommandReader().add(payloads.back()));  // on another connection it was never sent
}

TEST_CASE("a command larger than a frame is refused where it is made") {
  TaskStart task = full_task();
  task.environment.assign(17, "X=" + std::string(1 << 20, 'x'));
  const auto frame = CommandWriter().frames_of(LauncherCommand(command::Start{task}));
  REQUIRE(!frame);
  CHECK(frame.error().code == Errc::out_of_range);
}

TEST_CASE("events and hellos come out of the codec as they went in, a large hello in parts") {
  MessageAssembler assembler;
  auto message = assembler.add(payload(encode_frame(LauncherEvent(full_end()))));
  REQUIRE(message);
  REQUIRE(*message);
  const auto& ended = std::get<event::Ended>(std::get<LauncherEvent>(**message));
  ByteWriter a;
  ByteWriter b;
  put_ended(a, ended);
  put_ended(b, full_end());
  CHECK(a.bytes() == b.bytes());

  LauncherHello hello{"boot", "cgroup v2", {"memory limits"}, {}, {{FrameworkId(4), {5, 6}}}};
  std::vector<RecoveredTask> tasks(3000);
  std::vector<const RecoveredTask*> pointers;
  for (RecoveredTask& task : tasks) {
    task.task = full_task();
    task.task.agent_note = std::string(1000, 'n');
    task.phase = RecoveredTask::Phase::ended;
    task.end = full_end();
    task.processes = {{.rank = 5, .pid = 77, .start_time_ticks = 1234}};
    pointers.push_back(&task);
  }
  const std::string frames = encode_hello(hello, pointers);
  CHECK(frames.size() > (std::size_t{3} << 20U));
  std::optional<LauncherMessage> got;
  int parts = 0;
  for (std::size_t at = 0; at < frames.size(); ++parts) {
    const std::size_t length = ByteReader(std::string_view(frames).substr(at)).get<std::uint32_t>();
    auto added = assembler.add(std::string_view(frames).substr(at + 4, length));
    REQUIRE(added);
    REQUIRE(!got);
    got = std::move(*added);
    at += 4 + length;
  }
  CHECK(parts > 4);
  REQUIRE(got);
  const auto& out = std::get<LauncherHello>(*got);
  CHECK(out.boot_id == "boot");
  CHECK(out.not_enforced == hello.not_enforced);
  REQUIRE(out.tasks.size() == tasks.size());
  CHECK(out.tasks.back().task.environment.empty());
  CHECK(out.tasks.back().task.agent_note == tasks.back().task.agent_note);
  CHECK(out.tasks.back().end.exit_code == 137);
}

TEST_CASE("a launcher of another version is named as such") {
  std::string hello(payload(encode_hello_begin({})));
  hello[1] = static_cast<char>(hello[1] + 1);
  MessageAssembler assembler;
  const auto message = assembler.add(hello);
  REQUIRE_FALSE(message);
  CHECK(message.error().text.find("another version of muster") != std::string::npos);
}

TEST_CASE("truncated, changed and random frames are refused or harmless") {
  std::mt19937_64 random(20240607);
  std::vector<std::string> payloads;
  payloads.emplace_back(payload(encode(command::Start{full_task()})));
  payloads.emplace_back(payload(encode(command::Kill{FrameworkId(1), {2, 3}, 4, 5})));
  payloads.emplace_back(payload(encode_frame(LauncherEvent(full_end()))));
  RecoveredTask task;
  task.task = full_task();
  payloads.emplace_back(payload(encode_hello_tasks({&task})));
  for (const std::string& good : payloads) {
    for (std::size_t length = 0; length < good.size(); ++length) {
      const std::string_view cut = std::string_view(good).substr(0, length);
      CHECK(!decode(cut));
      MessageAssembler assembler;
      (void)assembler.add(payload(encode_hello_begin({})));
      CHECK(!assembler.add(cut));
    }
    for (int i = 0; i < 20'000; ++i) {
      std::string bad = good;
      for (int change = 0; change < 1 + i % 4; ++change) {
        bad[random() % bad.size()] = static_cast<char>(random());
      }
      (void)decode(bad);
      MessageAssembler assembler;
      (void)assembler.add(payload(encode_hello_begin({})));
      (void)assembler.add(bad);
    }
  }
  for (int i = 0; i < 20'000; ++i) {
    std::string noise(random() % 200, '\0');
    for (char& c : noise) {
      c = static_cast<char>(random());
    }
    if (!noise.empty()) {
      noise[0] = static_cast<char>(random() % 8);
    }
    (void)decode(noise);
    MessageAssembler assembler;
    (void)assembler.add(payload(encode_hello_begin({})));
    (void)assembler.add(noise);
  }
}

TEST_CASE("the frame stream passes large frames through a small socket and refuses absurd lengths") {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  FrameStream writer(fds[0]);
  FrameStream reader(fds[1]);
  TaskStart task = full_task();
  task.environment = {"BIG=" + std::string(3'000'000, 'y')};
  writer.queue(encode(command::Start{task}));
  writer.queue(encode(command::Shutdown{false}));
  std::size_t got = 0;
  for (int i = 0; i < 10'000 && got < 2; ++i) {
    REQUIRE(writer.flush());
    REQUIRE(reader.fill());
    while (true) {
      auto next = reader.next();
      REQUIRE(next);
      if (!*next) {
        break;
      }
      const auto decoded = decode(**next);
      REQUIRE(decoded);
      CHECK(decoded->index() == (got == 0 ? 0U : LauncherCommand(command::Shutdown{}).index()));
      ++got;
    }
  }
  CHECK(got == 2);
  writer.queue(std::string("\xff\xff\xff\xff....", 8));
  REQUIRE(writer.flush());
  REQUIRE(reader.fill());
  CHECK(!reader.next());
  writer.close();
  CHECK(!reader.fill());
}

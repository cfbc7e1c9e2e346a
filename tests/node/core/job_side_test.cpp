// The job conversation: reading output by token, executors and their messages.
#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {
const AttemptId kA{1, 1};
const AttemptId kB{1, 2};
const LinkId kUser{900};

struct Answer {
  FrameBytes bytes;
  std::unique_ptr<fb::FrameT> frame;
};

struct Users : Harness {
  template <class Body>
  void ask(LinkId from, const typename Body::NativeTableType& body) {
    const FrameBytes bytes = pack_frame<Body>({}, body);
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    core->on_user_frame(from, {true, 0, 0}, **frame, now);
    step();
  }
  [[nodiscard]] std::unique_ptr<fb::FrameT> answer() {
    REQUIRE_FALSE(to_users.empty());
    const FrameBytes bytes = to_users.front().bytes;
    to_users.erase(to_users.begin());
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    return std::unique_ptr<fb::FrameT>((*frame)->UnPack());
  }
  [[nodiscard]] fb::ReadLogT read_log(std::uint64_t job = 1) const {
    fb::ReadLogT read;
    read.request = 77;
    read.token_hi = 11;
    read.token_lo = 22;
    read.job = job;
    read.node = "n1";
    read.offset = 5;
    read.max_bytes = 10;
    return read;
  }
  void read_done(const Result<std::string>& data) {
    REQUIRE_FALSE(log_reads.empty());
    const LogRead read = log_reads.front();
    log_reads.erase(log_reads.begin());
    core->on_log_read(read, data, now);
    step();
  }
};

fb::RefusedCode refused_code(const fb::FrameT& frame) {
  REQUIRE(frame.body.type == fb::Body::Refused);
  return frame.body.AsRefused()->code;
}
}  // namespace

TEST_CASE("output is read by its token until the task has ended") {
  // Goal: logs -f sees growth and then the end. Method: read while running, at the end, and after.
  Users h;
  h.up();
  h.launch({{.attempt = kA}});
  h.started(kA);
  h.ask<fb::ReadLog>(kUser, h.read_log());
  REQUIRE(h.log_reads.size() == 1);
  REQUIRE(h.log_reads[0].path == "/home/u/muster-1.out");
  REQUIRE(h.log_reads[0].offset == 5);
  REQUIRE(h.log_reads[0].max_bytes == 10);
  h.read_done(std::string("0123456789"));
  auto chunk = h.answer();
  REQUIRE(chunk->body.AsLogChunk()->request == 77);
  REQUIRE(chunk->body.AsLogChunk()->data.size() == 10);
  REQUIRE_FALSE(chunk->body.AsLogChunk()->at_end);
  h.ask<fb::ReadLog>(kUser, h.read_log());
  h.ended(kA);                      // after the read was judged
  h.read_done(std::string("01"));
  chunk = h.answer();
  REQUIRE(chunk->body.AsLogChunk()->at_end);
  REQUIRE_FALSE(chunk->body.AsLogChunk()->ended);
  h.ask<fb::ReadLog>(kUser, h.read_log());
  h.read_done(std::string());
  chunk = h.answer();
  REQUIRE(chunk->body.AsLogChunk()->ended);
  REQUIRE(chunk->body.AsLogChunk()->path == "/home/u/muster-1.out");
}

TEST_CASE("a file that is not there yet is empty, one that is gone is refused") {
  Users h;
  h.up();
  h.launch({{.attempt = kA}});
  h.ask<fb::ReadLog>(kUser, h.read_log());
  h.read_done(fail(Errc::not_found, "open: no such file"));
  auto chunk = h.answer();
  REQUIRE(chunk->body.AsLogChunk()->at_end);
  REQUIRE_FALSE(chunk->body.AsLogChunk()->ended);
  h.started(kA);
  h.ended(kA);
  h.ask<fb::ReadLog>(kUser, h.read_log());
  h.read_done(fail(Errc::not_found, "open: no such file"));
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::UnknownJob);
  h.ask<fb::ReadLog>(kUser, h.read_log());
  h.read_done(fail(Errc::permission, "open: permission denied"));
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::Conflict);
}

TEST_CASE("reads are refused with a code that says why") {
  // Goal: a wrong token, node, job, element or rank. Method: one change to a good request each.
  Users h;
  h.up();
  fb::TaskSpecT array = basic_spec(2);
  array.is_array = true;
  array.array_min = 1;
  array.array_max = 5;
  array.stdout_path = "o-%a-%t";
  fb::TaskSpecT silent = basic_spec(3);
  silent.token_hi = silent.token_lo = 0;
  h.launch({{.attempt = kA}, {.attempt = kB, .spec = array, .index = 3}, {.attempt = {3, 1}, .spec = silent}});

  auto read = h.read_log();
  read.token_lo = 23;
  h.ask<fb::ReadLog>(kUser, read);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::NotAllowed);
  read = h.read_log();
  read.node = "n2";
  h.ask<fb::ReadLog>(kUser, read);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::UnknownNode);
  h.ask<fb::ReadLog>(kUser, h.read_log(99));
  const auto unknown = h.answer();
  REQUIRE(refused_code(*unknown) == fb::RefusedCode::UnknownJob);
  REQUIRE(unknown->body.AsRefused()->request == 77);
  read = h.read_log(3);
  read.token_hi = read.token_lo = 0;
  h.ask<fb::ReadLog>(kUser, read);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::NotAllowed);
  read = h.read_log(2);
  read.index = 6;
  h.ask<fb::ReadLog>(kUser, read);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::BadRequest);
  read.index = 4;
  read.rank = 1;
  h.ask<fb::ReadLog>(kUser, read);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::BadRequest);
  read.rank = 0;
  h.ask<fb::ReadLog>(kUser, read);
  REQUIRE(h.log_reads.size() == 1);
  REQUIRE(h.log_reads[0].path == "/home/u/o-4-0");
  REQUIRE(h.log_reads[0].task_ended);  // element 4 does not run here
}

TEST_CASE("a restarted agent still knows where output is") {
  // Goal: the records suffice. Method: end and forget the task, restart, read.
  Users h;
  h.up();
  h.launch({{.attempt = kA}});
  h.started(kA);
  h.ended(kA);
  h.acknowledge(h.last_update().seq);
  REQUIRE(h.output_file.size() == 1);
  h.output_file.emplace_back("torn");
  h.start_agent();
  h.up();
  h.ask<fb::ReadLog>(kUser, h.read_log());
  REQUIRE(h.log_reads.size() == 1);
  REQUIRE(h.log_reads[0].task_ended);
}

TEST_CASE("an array writes one output record, not one per element") {
  Users h;
  h.up();
  fb::TaskSpecT array = basic_spec(2);
  array.is_array = true;
  array.array_max = 100;
  std::vector<LaunchArgs> many;
  for (std::uint32_t i = 0; i < 4; ++i) {
    many.push_back({.attempt = {2, i}, .spec = array, .index = i});
  }
  h.launch(many);
  REQUIRE(h.output_file.size() == 1);
}

TEST_CASE("an executor and its framework exchange messages") {
  // Goal: hello binds the link; what came before waits. Method: message, hello, messages both ways, end.
  Users h;
  h.up();
  fb::TaskSpecT spec = basic_spec(1);
  spec.executor = true;
  h.launch({{.attempt = kA, .spec = spec}, {.attempt = kB}});
  h.started(kA);
  const auto from_framework = [&](const std::string& text) {
    fb::MessageT message;
    message.framework = kFramework.value();
    message.attempt = std::make_unique<fb::AttemptId>(to_fb(kA));
    message.data.assign(text.begin(), text.end());
    h.say<fb::Message>(message);
  };
  from_framework("early");
  REQUIRE(h.to_users.empty());

  fb::ExecutorHelloT hello;
  hello.framework = kFramework.value();
  hello.attempt = std::make_unique<fb::AttemptId>(to_fb(kA));
  hello.token_hi = 11;
  hello.token_lo = 21;
  h.ask<fb::ExecutorHello>(LinkId(5), hello);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::NotAllowed);
  fb::MessageT up;
  up.data = {'u', 'p'};
  h.ask<fb::Message>(LinkId(5), up);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::Unauthenticated);

  hello.token_lo = 22;
  h.ask<fb::ExecutorHello>(LinkId(5), hello);
  REQUIRE(h.answer()->body.type == fb::Body::Heartbeat);
  auto early = h.answer();
  REQUIRE(early->body.AsMessage()->data.size() == 5);
  h.ask<fb::Message>(LinkId(5), up);
  REQUIRE(h.messages == std::vector<std::pair<AttemptId, std::string>>{{kA, "up"}});
  from_framework("down");
  REQUIRE(h.to_users.at(0).link == LinkId(5));
  REQUIRE(h.answer()->body.AsMessage()->data.size() == 4);

  hello.attempt = std::make_unique<fb::AttemptId>(to_fb(kB));
  h.ask<fb::ExecutorHello>(LinkId(6), hello);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::NotAllowed);  // not an executor

  h.ended(kA);
  h.ask<fb::Message>(LinkId(5), up);
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::Unauthenticated);
}

TEST_CASE("messages before a hello are bounded") {
  Users h;
  h.up();
  fb::TaskSpecT spec = basic_spec(1);
  spec.executor = true;
  h.launch({{.attempt = kA, .spec = spec}});
  fb::MessageT message;
  message.framework = kFramework.value();
  message.attempt = std::make_unique<fb::AttemptId>(to_fb(kA));
  for (int i = 0; i < 200; ++i) {
    h.say<fb::Message>(message);
  }
  fb::ExecutorHelloT hello;
  hello.framework = kFramework.value();
  hello.attempt = std::make_unique<fb::AttemptId>(to_fb(kA));
  hello.token_hi = 11;
  hello.token_lo = 22;
  h.ask<fb::ExecutorHello>(LinkId(5), hello);
  REQUIRE(h.to_users.size() == 65);
}

TEST_CASE("what is not part of the job conversation is refused") {
  Users h;
  h.up();
  h.ask<fb::Suppress>(kUser, {});
  REQUIRE(refused_code(*h.answer()) == fb::RefusedCode::UnknownMessage);
}

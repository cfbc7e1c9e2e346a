// Step daemons as the node's core sees them: what one is started with, where it is found, and what it leaves.
#include "node/core/stepd_plan.hpp"
#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {

const AttemptId kA{1, 1};
const AttemptId kB{1, 2};
const LinkId kDaemon{900};
const LinkId kUser{901};

struct Daemons : Harness {
  Daemons() : Harness(8) {}

  // Of the one task that the launcher was given.
  TaskStart start() {
    const auto starts = taken<command::Start>();
    REQUIRE(starts.size() == 1);
    return starts[0].task;
  }
  template <class Body>
  void ask(LinkId from, const typename Body::NativeTableType& body) {
    const FrameBytes bytes = pack_frame<Body>({}, body);
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    core->on_user_frame(from, {true, 0, 0}, **frame, now);
    step();
  }
  std::unique_ptr<fb::FrameT> answer() {
    REQUIRE(to_users.size() == 1);
    const FrameBytes bytes = to_users.front().bytes;
    to_users.clear();
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    return std::unique_ptr<fb::FrameT>((*frame)->UnPack());
  }
  std::string refusal(fb::RefusedCode code) {
    const auto frame = answer();
    REQUIRE(frame->body.type == fb::Body::Refused);
    CHECK(frame->body.AsRefused()->code == code);
    return frame->body.AsRefused()->text;
  }
  void leave(const AttemptId& attempt, int exit_code, const std::string& report) {
    event::Ended end;
    end.framework = kFramework;
    end.attempt = attempt;
    end.state = TaskState::finished;
    end.exit_code = exit_code;
    end.ended = now.wall;
    end.report = report;
    event(end);
  }
};

fb::TaskSpecT allocation(fb::TaskKind kind) {
  fb::TaskSpecT spec = basic_spec(1);
  spec.kind = kind;
  spec.argv = {"first", "second"};
  spec.script = {'#', '!', 0, 'x'};
  spec.step = std::make_unique<fb::StepSpecT>();
  spec.step->argv = {"hostname"};
  spec.environment = {"HOME=/home/u", "SECRET=x", "MUSTER_RANK=7"};
  return spec;
}

LaunchArgs launch_of(const AttemptId& attempt, fb::TaskKind kind) {
  return {.attempt = attempt, .spec = allocation(kind), .shape = shape_of(4), .first_rank = 8, .ranks = 4, .member = 2};
}

const fb::StepdPlan* plan_in(const std::string& input, FrameBytes& storage) {
  storage.assign(input.begin(), input.end());
  flatbuffers::Verifier verifier(storage.data(), storage.size());
  REQUIRE(verifier.VerifyBuffer<fb::StepdPlan>(nullptr));
  return flatbuffers::GetRoot<fb::StepdPlan>(storage.data());
}

fb::StepdHelloT hello_of(const AttemptId& attempt) {
  fb::StepdHelloT hello;
  hello.framework = kFramework.value();
  hello.attempt = std::make_unique<fb::AttemptId>(to_fb(attempt));
  hello.token_hi = 11;
  hello.token_lo = 22;
  hello.job = 1;
  hello.endpoints = {"ipc:///run/n1/jobs/x/stepd", "tcp://10.0.0.1:4711#key"};
  return hello;
}

fb::FindStepdT find_of(std::uint64_t job) {
  fb::FindStepdT find;
  find.request = 5;
  find.token_hi = 11;
  find.token_lo = 22;
  find.job = job;
  find.node = "n1";
  return find;
}

std::string report_of(const std::string& text, std::uint8_t signal = 0) {
  fb::StepReportT report;
  report.text = text;
  report.signal = signal;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::StepReport::Pack(builder, &report));
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

}  // namespace

TEST_CASE("what is no plain ranks starts as one step daemon with a plan") {
  // Goal: the daemon knows all of its task. Method: launch one of each kind and read what the launcher gets.
  const auto kind = GENERATE(fb::TaskKind::Run, fb::TaskKind::Batch, fb::TaskKind::Allocation);
  Daemons h;
  h.config.step_listen = "tcp://10.0.0.1:*";
  h.start_agent();
  h.up();
  h.launch({launch_of(kA, kind)});
  const TaskStart start = h.start();
  CHECK(start.argv == std::vector<std::string>{"/lib/muster-stepd"});
  CHECK(start.shared_environment == nullptr);
  CHECK(start.environment == std::vector<std::string>{"HOME=/home/u", "PATH=/usr/local/bin:/usr/bin:/bin"});
  CHECK(start.has_report);
  REQUIRE(start.ranks.size() == 1);
  CHECK(start.ranks[0].rank == 8);
  CHECK(start.ranks[0].cpus == start.cpus);
  CHECK(start.ranks[0].stderr_path.empty());
  CHECK(start.cpus_milli == 4000);
  CHECK(start.directory.rfind("/run/n1/jobs/", 0) == 0);
  CHECK(start.directory.size() == 13 + 13);

  FrameBytes storage;
  const fb::StepdPlan& plan = *plan_in(start.input, storage);
  FrameBytes spec_storage;
  const auto spec = verify_spec(std::span(plan.spec()->data(), plan.spec()->size()), spec_storage);
  REQUIRE(spec);
  CHECK((*spec)->kind() == kind);
  CHECK((*spec)->script()->size() == 4);
  CHECK((*spec)->environment()->size() == 3);
  CHECK(plan.framework() == kFramework.value());
  CHECK(from_fb(*plan.attempt()) == kA);
  CHECK(plan.member() == 2);
  CHECK(plan.first_rank() == 8);
  CHECK(plan.ranks() == 4);
  CHECK(text_of(plan.node()) == "n1");
  CHECK(text_of(plan.agent_endpoint()) == "ipc:///run/n1/job");
  CHECK(text_of(plan.listen()) == "tcp://10.0.0.1:*");
  CHECK(text_of(plan.directory()) == start.directory);
  REQUIRE(plan.cpus()->size() == 4);
  REQUIRE(plan.os_cpus()->size() == 4);
  for (flatbuffers::uoffset_t i = 0; i < 4; ++i) {
    CHECK(plan.os_cpus()->Get(i) == plan.cpus()->Get(i) + 100);
  }
  CHECK(plan.topology()->pus()->size() == 4);
  CHECK(plan.memory_bytes() == kGiB);
  const auto has = [&plan](const std::string& line) {
    return std::any_of(plan.environment()->begin(), plan.environment()->end(),
                       [&](const auto* one) { return text_of(one) == line; });
  };
  CHECK(has("MUSTER_NODE_RANK=2"));
  CHECK(has("MUSTER_LOCAL_NTASKS=4"));
}

TEST_CASE("a batch job's first step daemon speaks into the job's output") {
  Daemons h;
  h.up();
  LaunchArgs launch = launch_of(kA, fb::TaskKind::Batch);
  launch.member = 0;
  launch.first_rank = 0;
  h.launch({launch});
  CHECK(h.start().ranks[0].stderr_path == "/home/u/muster-1.out");
  launch.attempt = kB;
  launch.spec = allocation(fb::TaskKind::Batch);
  launch.spec.stderr_path = "/var/%j-%t.err";
  h.launch({launch});
  CHECK(h.start().ranks[0].stderr_path == "/var/1-0.err");
}

TEST_CASE("what can't run at all is refused by name") {
  Daemons h;
  h.up();
  LaunchArgs launch = launch_of(kA, fb::TaskKind::Batch);
  launch.spec.script.clear();
  h.launch({launch});
  CHECK(h.last_update().state == TaskState::start_failed);
  CHECK(h.last_update().text == "the task has no script to run");
  launch = launch_of(kB, fb::TaskKind::Run);
  launch.spec.step->argv.clear();
  h.launch({launch});
  CHECK(h.last_update().text == "the task's step names no command to run");
}

TEST_CASE("the part of a topology that a task has is a topology") {
  const Topology whole = make_topology({.packages = 2, .cores_per_l3 = 4, .pus_per_core = 2});
  const std::vector<std::uint32_t> cpus{3, 10, 11};
  const Topology part = topology_of(whole, cpus);
  REQUIRE(part.pus.size() == 3);
  CHECK(validate(part).has_value());
  CHECK(part.counts().packages == 2);
  CHECK(part.counts().cores == 2);
}

TEST_CASE("a step daemon is found with the job's token, before and after the agent restarts") {
  // Goal: nobody without the token learns where a job listens, and a restarted agent knows it after a second.
  // Method: ask before the daemon has spoken, after, with one thing wrong each, and from a second agent.
  Daemons h;
  h.up();
  h.launch({launch_of(kA, fb::TaskKind::Allocation)});
  const TaskStart start = h.start();
  h.started(kA);
  h.ask<fb::FindStepd>(kUser, find_of(1));
  CHECK(h.refusal(fb::RefusedCode::UnknownJob).find("has not spoken yet") != std::string::npos);
  h.ask<fb::StepdHello>(kDaemon, hello_of(kA));
  CHECK(h.to_users.empty());
  h.ask<fb::FindStepd>(kUser, find_of(1));
  auto frame = h.answer();
  REQUIRE(frame->body.type == fb::Body::StepdPlace);
  CHECK(frame->body.AsStepdPlace()->request == 5);
  CHECK(frame->body.AsStepdPlace()->endpoints == hello_of(kA).endpoints);
  CHECK(from_fb(*frame->body.AsStepdPlace()->attempt) == kA);

  fb::FindStepdT find = find_of(1);
  find.token_lo = 23;
  h.ask<fb::FindStepd>(kUser, find);
  CHECK(h.refusal(fb::RefusedCode::NotAllowed).find("token") != std::string::npos);
  find = find_of(1);
  find.index = 3;
  h.ask<fb::FindStepd>(kUser, find);
  CHECK(h.refusal(fb::RefusedCode::UnknownJob) == "job 1 does not run on node n1 now");
  find = find_of(1);
  find.node = "n2";
  h.ask<fb::FindStepd>(kUser, find);
  CHECK(h.refusal(fb::RefusedCode::UnknownNode) == "this is node n1, not n2; ask that node");

  fb::StepdHelloT hello = hello_of(kA);
  hello.token_hi = 0;
  h.ask<fb::StepdHello>(kDaemon, hello);
  CHECK(h.refusal(fb::RefusedCode::NotAllowed).find("token") != std::string::npos);
  h.ask<fb::StepdHello>(kDaemon, hello_of(kB));
  CHECK(h.refusal(fb::RefusedCode::UnknownAttempt).find("does not run on node n1") != std::string::npos);
  hello = hello_of(kA);
  hello.endpoints.clear();
  h.ask<fb::StepdHello>(kDaemon, hello);
  CHECK(h.refusal(fb::RefusedCode::BadRequest).find("endpoints") != std::string::npos);

  h.master.close();
  h.start_agent();
  h.up({{.task = start, .phase = RecoveredTask::Phase::started, .processes = {}, .started = h.now.wall, .end = {}}});
  h.ask<fb::FindStepd>(kUser, find_of(1));
  CHECK(h.refusal(fb::RefusedCode::UnknownJob).find("has not spoken yet") != std::string::npos);
  h.ask<fb::StepdHello>(kDaemon, hello_of(kA));
  h.ask<fb::FindStepd>(kUser, find_of(1));
  CHECK(h.answer()->body.type == fb::Body::StepdPlace);
  h.leave(kA, 0, report_of(""));
  h.ask<fb::FindStepd>(kUser, find_of(1));
  CHECK(h.refusal(fb::RefusedCode::UnknownJob) == "job 1 does not run on node n1 now");
}

TEST_CASE("a report travels with the end, and what it says first is the text") {
  Daemons h;
  h.up();
  h.launch({launch_of(kA, fb::TaskKind::Run)});
  h.started(kA);
  const std::string report = report_of("rank 3 on node n1 was killed by signal 11", 11);
  h.leave(kA, 139, report);
  SeenUpdate last = h.last_update();
  CHECK(last.state == TaskState::finished);
  CHECK(last.exit_code == 139);
  CHECK(last.signal == 11);
  CHECK(last.text == "rank 3 on node n1 was killed by signal 11");
  CHECK(std::string(last.report.begin(), last.report.end()) == report);
  h.launch({launch_of(kB, fb::TaskKind::Run)});
  h.started(kB);
  h.leave(kB, 1, "no report at all");
  last = h.last_update();
  CHECK(last.text == "the report of the step daemon on node n1 does not verify");
  CHECK(last.report.empty());
}

TEST_CASE("many large reports leave in frames of bounded size") {
  Daemons h;
  h.up();
  const std::string report = report_of(std::string(200'000, 'x'));
  h.master_deaf = true;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const AttemptId attempt{2, i};
    h.launch({launch_of(attempt, fb::TaskKind::Run)});
    h.started(attempt);
    h.leave(attempt, 0, report);
  }
  h.master_deaf = false;
  h.frames.clear();
  h.updates.clear();
  h.core->on_master_link_down(h.now);
  h.master.close();
  h.core->on_master_link_up(h.now);
  h.step();
  h.registered();
  CHECK(h.updates.size() == 40);
  for (const FrameBytes& frame : h.frames) {
    CHECK(frame.size() < FrameLimits{}.frame_bytes_max);
  }
}

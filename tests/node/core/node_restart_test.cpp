// NodeCore between a fake master and a fake launcher: what survives restarts of agent, launcher and link.
#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {
const AttemptId kA{1, 1};
const AttemptId kB{1, 2};
const AttemptId kC{1, 3};

RecoveredTask recovered(const TaskStart& start, RecoveredTask::Phase phase, WallTime started) {
  RecoveredTask task;
  task.task = start;
  task.task.environment.clear();
  task.phase = phase;
  task.started = started;
  return task;
}
}  // namespace

TEST_CASE("an agent that comes back takes its tasks over") {
  // Goal: restarting the agent ends nothing and loses nothing. Method: restart with one task in each phase;
  // books, limits, sequences and Go still work.
  Harness h(8);
  h.up();
  fb::TaskSpecT limited = basic_spec(1);
  limited.time_limit_ms = 60'000;
  const AttemptId ended_attempt{1, 9};
  h.launch({{.attempt = kA, .spec = limited, .shape = shape_of(2)}, {.attempt = ended_attempt}});
  h.prepare({{.attempt = kB, .shape = shape_of(3)}});
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 3);
  h.started(kA);
  const WallTime began = h.now.wall;
  h.parked(kB);
  h.started(ended_attempt);
  const auto seq_before = h.last_update().seq;
  h.advance(Duration::from_seconds(30));

  std::vector<RecoveredTask> tasks = {recovered(starts[0].task, RecoveredTask::Phase::started, began),
                                      recovered(starts[1].task, RecoveredTask::Phase::ended, began),
                                      recovered(starts[2].task, RecoveredTask::Phase::parked, WallTime{})};
  tasks[1].end.framework = kFramework;
  tasks[1].end.attempt = ended_attempt;
  tasks[1].end.state = TaskState::finished;
  tasks[1].end.exit_code = 42;
  tasks[1].end.started = began;
  tasks[1].end.ended = h.now.wall;
  h.commands.clear();
  h.updates.clear();
  h.start_agent();
  h.up(tasks);

  const auto& report = h.registrations.back().tasks;
  REQUIRE(report.size() == 3);
  REQUIRE(static_cast<TaskState>(report[0].state()) == TaskState::running);
  REQUIRE(static_cast<TaskState>(report[1].state()) == TaskState::prepared);
  REQUIRE(report[1].gang() == 1);
  REQUIRE(static_cast<TaskState>(report[2].state()) == TaskState::finished);
  REQUIRE(h.updates.size() == 2);
  for (const SeenUpdate& u : h.updates) {
    REQUIRE(u.seq > seq_before);
  }
  REQUIRE(h.updates[0].exit_code == 42);  // ends first: what follows in a line comes after
  REQUIRE(h.updates[1].cpus == "0-1");
  REQUIRE(h.core->status_text().find("uses cpus=5;") != std::string::npos);

  h.launch({{.attempt = AttemptId{3, 1}, .shape = shape_of(4)}});
  REQUIRE(h.last_update().reason == TaskReason::no_room);
  h.go(kB);
  REQUIRE(h.taken<command::Go>().size() == 1);
  h.run_for(Duration::from_seconds(29));
  REQUIRE(h.taken<command::Kill>().empty());
  h.run_for(Duration::from_ms(1100));
  REQUIRE(h.taken<command::Kill>().size() == 1);  // 60 s after the recorded start
}

TEST_CASE("an end that the old agent asked for is still called by its limit") {
  Harness h;
  h.up();
  fb::TaskSpecT spec = basic_spec(1);
  spec.time_limit_ms = 1000;
  h.launch({{.attempt = kA, .spec = spec}});
  auto task = recovered(h.taken<command::Start>().at(0).task, RecoveredTask::Phase::ended, h.now.wall);
  task.end = {kFramework, kA, TaskState::killed, TaskReason::none, 143, 15, "", h.now.wall,
              WallTime::from_ns(h.now.wall.ns() + 1'100'000'000), {}, {}, {}};
  h.advance(Duration::from_seconds(2));
  h.start_agent();
  h.up({task});
  REQUIRE(h.last_update().state == TaskState::timed_out);
}

TEST_CASE("a launcher that died takes its tasks with it, the link stays") {
  // Goal: no launch goes into the void. Method: lose the launcher, launch meanwhile, then a hello with ends.
  Harness h;
  h.up();
  h.launch({{.attempt = kA}});
  const auto start = h.taken<command::Start>().at(0).task;
  h.started(kA);
  h.core->on_launcher_lost(h.now);
  h.step();
  h.launch({{.attempt = kB}});
  REQUIRE(h.commands.empty());
  h.run_for(Duration::from_seconds(4));
  REQUIRE(h.registrations.size() == 1);
  auto lost = recovered(start, RecoveredTask::Phase::ended, h.now.wall);
  lost.end.framework = kFramework;
  lost.end.attempt = kA;
  lost.end.state = TaskState::lost;
  lost.end.reason = TaskReason::launcher_died;
  lost.end.ended = h.now.wall;
  h.hello({lost});
  REQUIRE(h.last_update().state == TaskState::lost);
  REQUIRE(h.last_update().reason == TaskReason::launcher_died);
  const auto again = h.taken<command::Start>();
  REQUIRE(again.size() == 1);
  REQUIRE(again[0].task.attempt == kB);
}

TEST_CASE("a Go or kill that the dead launcher never heard is said again") {
  Harness h;
  h.up();
  h.prepare({{.attempt = kA}});
  const auto gang = h.taken<command::Start>().at(0).task;
  h.parked(kA);
  h.go(kA);
  h.launch({{.attempt = kB}});
  const auto plain = h.taken<command::Start>().at(0).task;
  h.started(kB);
  h.kill(kB);
  h.commands.clear();
  h.core->on_launcher_lost(h.now);
  h.hello({recovered(gang, RecoveredTask::Phase::parked, {}), recovered(plain, RecoveredTask::Phase::started, h.now.wall)});
  REQUIRE(h.taken<command::Go>().size() == 1);
  REQUIRE(h.taken<command::Kill>().size() == 1);
}

TEST_CASE("a forget that the launcher missed is repeated, the end is not reported twice") {
  Harness h;
  h.up();
  h.launch({{.attempt = kA}});
  const auto start = h.taken<command::Start>().at(0).task;
  h.started(kA);
  h.ended(kA);
  h.core->on_launcher_lost(h.now);
  h.acknowledge(h.last_update().seq);
  h.updates.clear();
  auto task = recovered(start, RecoveredTask::Phase::ended, h.now.wall);
  task.end.framework = kFramework;
  task.end.attempt = kA;
  task.end.state = TaskState::finished;
  h.hello({task});
  REQUIRE(h.taken<command::Forget>().size() == 1);
  REQUIRE(h.updates.empty());
}

TEST_CASE("a drain is remembered and restated") {
  Harness h;
  h.up();
  fb::NodeDrainT body;
  body.node = 5;
  body.drained = true;
  body.reason = "broken fan";
  h.say<fb::NodeDrain>(body);
  REQUIRE(h.disk.drained);
  h.start_agent();
  h.up();
  REQUIRE(h.registrations.back().drained);
  REQUIRE(h.registrations.back().drain_reason == "broken fan");
  body.drained = false;
  h.say<fb::NodeDrain>(body);
  REQUIRE_FALSE(h.disk.drained);
}

TEST_CASE("a task that can't be killed drains its node and stays charged") {
  Harness h;
  h.up();
  h.launch({{.attempt = kA, .shape = shape_of(4)}});
  h.started(kA);
  h.event(event::Unkillable{kFramework, kA, "process 12 is in uninterruptible sleep"});
  REQUIRE(h.last_update().state == TaskState::running);
  h.run_for(Duration::from_ms(100), false);
  REQUIRE(h.registrations.size() == 2);
  REQUIRE(h.registrations[1].drained);
  h.registered();
  h.launch({{.attempt = kB}});
  REQUIRE(h.last_update().reason == TaskReason::no_room);
}

TEST_CASE("incarnations grow although the disk was wiped, and jump when the master knows larger ones") {
  Harness h;
  h.up();
  const auto first = h.master.incarnation();
  h.disk = {};
  h.advance(Duration::from_seconds(1));
  h.start_agent();
  h.up();
  REQUIRE(h.master.incarnation() > first);
  for (int i = 0; i < 3; ++i) {
    const auto before = h.master.incarnation();
    fb::RefusedT refused;
    refused.code = fb::RefusedCode::StaleIncarnation;
    h.deliver(pack_frame<fb::Refused>({h.epoch, before, 0, 0}, refused));
    h.run_for(Duration::from_ms(60), false);
    REQUIRE(h.master.incarnation() > before);
  }
}

TEST_CASE("updates in flight are bounded, acknowledgements let the rest follow") {
  Harness h(16);
  h.config.updates_in_flight_max = 4;
  h.start_agent();
  h.up();
  std::vector<LaunchArgs> many;
  for (std::uint64_t i = 0; i < 10; ++i) {
    many.push_back({.attempt = AttemptId{4, i}, .shape = shape_of(1, 1)});
  }
  h.launch(many);
  for (const auto& l : many) {
    h.started(l.attempt);
  }
  REQUIRE(h.updates.size() == 4);
  h.acknowledge(h.updates[1].seq);
  REQUIRE(h.updates.size() == 6);
  h.acknowledge(h.updates[5].seq);
  REQUIRE(h.updates.size() == 10);
}

TEST_CASE("a launch for another node's index is refused") {
  Harness h;
  h.up();
  h.launch({{.attempt = kA, .node = 6}});
  REQUIRE(h.taken<command::Start>().empty());
  REQUIRE(h.refusals.size() == 1);
  REQUIRE(h.refusals[0].code == fb::RefusedCode::UnknownNode);
}

TEST_CASE("a node that ends kills its tasks as drained and starts none") {
  Harness h;
  h.up();
  h.launch({{.attempt = kA}});
  h.started(kA);
  h.core->on_leaving(h.now);
  h.step();
  const auto shutdowns = h.taken<command::Shutdown>();
  REQUIRE(shutdowns.size() == 1);
  REQUIRE(shutdowns[0].kill_tasks);
  h.commands.clear();
  h.launch({{.attempt = kB}});
  REQUIRE(h.commands.empty());
  REQUIRE(h.last_update().state == TaskState::not_started);
  REQUIRE(h.last_update().reason == TaskReason::drained);
  h.ended(kA, TaskState::killed, 143, 15);
  REQUIRE(h.last_update().state == TaskState::killed);
  REQUIRE(h.last_update().reason == TaskReason::drained);
}

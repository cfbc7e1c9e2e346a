// NodeCore between a fake master and a fake launcher: what the launcher is told so that the node keeps its promises
// without an agent: the fence, and the attempts that are over.
#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {

const AttemptId kA{1, 1};
const AttemptId kB{1, 2};

fb::TaskSpecT requeueable() {
  fb::TaskSpecT spec = basic_spec(1);
  spec.requeueable = true;
  return spec;
}

// Takes all commands; the last Fence must stand before the first Start.
std::optional<Instant> fence_before_start(Harness& h) {
  std::optional<Instant> at;
  for (const LauncherCommand& command : h.commands) {
    if (const auto* fence = std::get_if<command::Fence>(&command)) {
      at = fence->at;
    } else if (std::holds_alternative<command::Start>(command)) {
      break;
    }
  }
  h.commands.clear();
  return at;
}

}  // namespace

TEST_CASE("the launcher knows the fence before a requeueable task starts, and it moves with confirmed contact") {
  // Goal: whenever the agent dies, the launcher's deadline is that of the last confirmed contact, within a step.
  // Method: launch, talk, fall deaf; look at the Fence commands.
  Harness h;
  h.hello();
  h.registered(20'000);
  h.launch({{.attempt = kB}});
  REQUIRE_FALSE(fence_before_start(h));  // nothing to fence
  h.started(kB);
  h.run_for(Duration::from_seconds(5));
  REQUIRE(h.taken<command::Fence>().empty());

  h.launch({{.attempt = kA, .spec = requeueable()}});
  const auto first = fence_before_start(h);
  REQUIRE(first);
  REQUIRE(*first <= h.now.mono + Duration::from_seconds(20));
  REQUIRE(*first >= h.now.mono + Duration::from_seconds(18));
  h.started(kA);
  h.run_for(Duration::from_seconds(10));
  const auto moved = h.taken<command::Fence>();
  REQUIRE(moved.size() >= 8);
  REQUIRE(moved.size() <= 41);  // not with every frame
  REQUIRE(moved.back().at >= h.now.mono + Duration::from_seconds(18));
  REQUIRE(moved.back().at <= h.now.mono + Duration::from_seconds(20));

  h.master_deaf = true;
  h.run_for(Duration::from_seconds(2));
  const auto last = h.taken<command::Fence>();
  h.run_for(Duration::from_seconds(15));
  REQUIRE(h.taken<command::Fence>().empty());
  REQUIRE((last.empty() ? moved.back().at : last.back().at) <= h.now.mono + Duration::from_seconds(4));
}

TEST_CASE("an agent that comes back tells its launcher the fence that its master had set") {
  // Goal: an agent without a master does not count longer than the master does. Method: the master's fence is shorter
  // than the configured one; restart without the master.
  Harness h;
  REQUIRE(h.config.fence == Duration::from_seconds(60));
  h.hello();
  h.registered(20'000);
  h.launch({{.attempt = kA, .spec = requeueable()}});
  RecoveredTask task;
  task.task = h.taken<command::Start>().at(0).task;
  REQUIRE(task.task.requeueable);
  task.phase = RecoveredTask::Phase::started;
  h.started(kA);
  REQUIRE(h.disk.fence == Duration::from_seconds(20));
  h.commands.clear();
  h.start_agent();
  h.hello({task});
  const auto told = h.taken<command::Fence>();
  REQUIRE(told.size() == 1);
  REQUIRE(told[0].at <= h.now.mono + Duration::from_seconds(20));
  h.run_for(Duration::from_seconds(21), false);
  REQUIRE(h.taken<command::Kill>().size() == 1);
}

TEST_CASE("what the launcher ended at the fence is reported as fenced, not as its time limit") {
  Harness h;
  h.up();
  fb::TaskSpecT spec = requeueable();
  spec.time_limit_ms = 10'000;
  h.launch({{.attempt = kA, .spec = spec}});
  RecoveredTask task;
  task.task = h.taken<command::Start>().at(0).task;
  task.phase = RecoveredTask::Phase::ended;
  task.started = h.now.wall;
  task.end = {kFramework, kA, TaskState::killed, TaskReason::fenced, 143, 15, "", h.now.wall,
              WallTime::from_ns(h.now.wall.ns() + 60'000'000'000), {}, {}, {}};
  h.advance(Duration::from_seconds(70));
  h.start_agent();
  h.up({task});
  REQUIRE(h.last_update().state == TaskState::killed);
  REQUIRE(h.last_update().reason == TaskReason::fenced);
}

TEST_CASE("an attempt whose end was acknowledged is not run again after a restart of the agent") {
  // Goal: a launch that is repeated late starts nothing, whoever remembers. Method: one attempt that ran and one that
  // was refused are acknowledged; a new agent hears of them in the launcher's hello.
  Harness h;
  h.up();
  h.launch({{.attempt = kA}, {.attempt = kB, .shape = shape_of(99)}});
  h.started(kA);
  h.ended(kA);
  h.acknowledge(h.last_update().seq);
  LauncherHello hello;
  hello.boot_id = h.config.boot_id;
  for (const command::Forget& forget : h.taken<command::Forget>()) {
    hello.forgotten.emplace_back(forget.framework, forget.attempt);
  }
  REQUIRE(hello.forgotten.size() == 2);
  h.commands.clear();
  h.start_agent();
  h.core->on_launcher_hello(hello, h.now);
  h.step();
  h.registered();
  REQUIRE(h.registrations.back().tasks.empty());
  const auto updates = h.updates.size();
  h.launch({{.attempt = kA}, {.attempt = kB}});
  REQUIRE(h.commands.empty());
  REQUIRE(h.updates.size() == updates);
  h.launch({{.attempt = AttemptId{1, 3}}});
  REQUIRE(h.taken<command::Start>().size() == 1);
}

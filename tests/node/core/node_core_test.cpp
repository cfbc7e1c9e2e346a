// NodeCore between a fake master and a fake launcher: one behaviour per case.
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

TEST_CASE("nothing is registered before the launcher has said hello") {
  // Goal: a node never offers itself before it knows what runs. Method: look for a Register without a hello.
  Harness h;
  h.run_for(Duration::from_seconds(5));
  REQUIRE(h.registrations.empty());
  h.hello();
  REQUIRE(h.registrations.size() == 1);
  REQUIRE(h.registrations[0].name == "n1");
  REQUIRE(h.registrations[0].topology->pus.size() == 4);
}

// Goal: the boot number is that of the run log's boot. Method: two lives of one boot, then a launcher of the next boot.
TEST_CASE("a registration says in which boot its launcher's log was begun") {
  Harness h;
  h.config.boot_id = "what the agent reads does not count";
  h.boot = "boot-1";
  h.start_agent();
  h.hello();
  REQUIRE(h.registrations.size() == 1);
  const std::uint32_t first = h.registrations[0].boot;
  CHECK(first != 0);
  CHECK(h.registrations[0].boot_id == "boot-1");
  h.start_agent();
  h.hello();
  REQUIRE(h.registrations.size() == 2);
  CHECK(h.registrations[1].boot == first);
  h.boot = "boot-2";
  h.start_agent();
  h.hello();
  REQUIRE(h.registrations.size() == 3);
  CHECK(h.registrations[2].boot != 0);
  CHECK(h.registrations[2].boot != first);
}

TEST_CASE("a task runs from launch to acknowledged end") {
  // Goal: the ordinary path. Method: follow one task through commands, updates, acknowledgement.
  Harness h;
  h.up();
  h.launch({{.attempt = kA, .shape = shape_of(2)}});
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  REQUIRE(starts[0].task.attempt == kA);
  REQUIRE_FALSE(starts[0].task.park);
  REQUIRE(starts[0].task.ranks.size() == 1);
  REQUIRE(starts[0].task.cpus == std::vector<std::uint32_t>{100, 101});
  REQUIRE(starts[0].task.ranks[0].stdout_path == "/home/u/muster-1.out");

  h.started(kA);
  REQUIRE(h.last_update().state == TaskState::running);
  REQUIRE(h.last_update().cpus == "0-1");
  const auto running_seq = h.last_update().seq;
  h.ended(kA, TaskState::finished, 3);
  REQUIRE(h.last_update().state == TaskState::finished);
  REQUIRE(h.last_update().exit_code == 3);
  REQUIRE(h.last_update().cpus == "0-1");
  REQUIRE(h.last_update().seq > running_seq);
  REQUIRE(h.taken<command::Forget>().empty());
  h.acknowledge(h.last_update().seq);
  REQUIRE(h.taken<command::Forget>().size() == 1);
  REQUIRE(h.gaps == 0);
}

TEST_CASE("unacknowledged updates are sent again after a new registration, in order") {
  // Goal: at least once. Method: end two tasks, acknowledge none, open a new life.
  Harness h;
  h.up();
  h.launch({{.attempt = kA}, {.attempt = kB}});
  h.started(kA);
  h.started(kB);
  h.ended(kB);
  h.ended(kA);
  h.updates.clear();
  fb::RefusedT refused;
  refused.code = fb::RefusedCode::NotRegistered;
  h.deliver(pack_frame<fb::Refused>({h.epoch, h.master.incarnation(), 0, 0}, refused));
  h.run_for(Duration::from_ms(60), false);
  REQUIRE(h.registrations.size() == 2);
  REQUIRE(h.registrations[1].tasks.size() == 2);
  REQUIRE(h.updates.empty());
  h.registered();
  REQUIRE(h.updates.size() == 2);
  REQUIRE(h.updates[0].attempt == kB);
  REQUIRE(h.updates[1].attempt == kA);
  REQUIRE(h.updates[0].seq < h.updates[1].seq);
  h.acknowledge(h.updates[1].seq);  // cumulative
  REQUIRE(h.taken<command::Forget>().size() == 2);
}

TEST_CASE("a launch that is known is answered, not run again") {
  // Goal: idempotency by attempt. Method: repeat the launch in each state.
  Harness h;
  h.up();
  h.launch({{.attempt = kA}});
  h.launch({{.attempt = kA}});
  REQUIRE(h.taken<command::Start>().size() == 1);
  h.started(kA);
  h.acknowledge(h.last_update().seq);
  h.updates.clear();
  h.launch({{.attempt = kA}});
  REQUIRE(h.last_update().state == TaskState::running);
  h.ended(kA);
  h.updates.clear();
  h.launch({{.attempt = kA}});
  REQUIRE(h.last_update().state == TaskState::finished);
  h.acknowledge(h.last_update().seq);
  h.updates.clear();
  h.launch({{.attempt = kA}});
  REQUIRE(h.taken<command::Start>().empty());
}

TEST_CASE("frames of a lower epoch are dropped and refused") {
  // Goal: a succeeded master commands nothing. Method: register at epoch 5, then speak as epoch 4.
  Harness h;
  h.epoch = Epoch(5);
  h.up();
  REQUIRE(h.disk.highest_epoch == Epoch(5));
  h.epoch = Epoch(4);
  h.launch({{.attempt = kA}});
  REQUIRE(h.taken<command::Start>().empty());
  REQUIRE(h.refusals.size() == 1);
  REQUIRE(h.refusals[0].code == fb::RefusedCode::StaleEpoch);
}

TEST_CASE("a higher epoch is taken only from Registered on the node's own life") {
  // Goal: nobody raises the epoch by a stray frame. Method: a Launch of epoch 9 in a life of epoch 1.
  Harness h;
  h.up();
  h.epoch = Epoch(9);
  h.launch({{.attempt = kA}});
  REQUIRE(h.taken<command::Start>().empty());
  REQUIRE(h.disk.highest_epoch == Epoch(1));
  h.run_for(Duration::from_ms(100), false);  // it registers anew
  REQUIRE(h.registrations.size() == 2);
  h.registered();
  REQUIRE(h.disk.highest_epoch == Epoch(9));
}

TEST_CASE("a missing frame ends the life, a repeated one is dropped") {
  // Goal: gapless links. Method: skip a sequence, and deliver one twice.
  Harness h;
  h.up();
  const FrameBytes twice = pack_frame<fb::Launch>(h.master.next_head(h.epoch), h.launch_body<fb::Launch>({{.attempt = kA}}));
  h.deliver(twice);
  h.deliver(twice);
  REQUIRE(h.taken<command::Start>().size() == 1);
  static_cast<void>(h.master.next_head(h.epoch));
  h.launch({{.attempt = kB}});
  REQUIRE(h.taken<command::Start>().empty());
  h.run_for(Duration::from_ms(60), false);
  REQUIRE(h.registrations.size() == 2);
  REQUIRE(h.registrations[1].tasks.size() == 1);
}

TEST_CASE("a silent master is registered with again, once a second") {
  // Goal: the connecting side reopens. Method: count registrations over silent time.
  Harness h;
  h.up();
  h.run_for(Duration::from_ms(2900), false);
  REQUIRE(h.registrations.size() == 1);
  h.run_for(Duration::from_ms(200), false);
  REQUIRE(h.registrations.size() == 2);
  h.run_for(Duration::from_ms(3000), false);
  REQUIRE(h.registrations.size() == 5);
}

TEST_CASE("a gang's member parks, says Prepared and execs on Go") {
  // Goal: the two-step start. Method: Prepare, Parked, Go, Started in order; Go twice is one Go.
  Harness h;
  h.up();
  h.prepare({{.attempt = kA}});
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  REQUIRE(starts[0].task.park);
  h.go(kA);  // too early: the master has no Prepared of ours
  REQUIRE(h.taken<command::Go>().empty());
  h.parked(kA);
  REQUIRE(h.prepared == std::vector<AttemptId>{kA});
  REQUIRE(h.seen.back()->body.AsPrepared()->frameworks == std::vector<std::uint64_t>{kFramework.value()});
  REQUIRE(h.updates.empty());
  h.go(kA);
  h.go(kA);
  REQUIRE(h.taken<command::Go>().size() == 1);
  h.run_for(Duration::from_seconds(10));
  REQUIRE(h.taken<command::Release>().empty());
  h.started(kA);
  REQUIRE(h.last_update().state == TaskState::running);
}

TEST_CASE("a repeated Prepare is answered with Prepared again") {
  Harness h;
  h.up();
  h.prepare({{.attempt = kA}});
  h.parked(kA);
  h.prepare({{.attempt = kA}});
  REQUIRE(h.prepared.size() == 2);
  REQUIRE(h.taken<command::Start>().size() == 1);
}

TEST_CASE("a released member has not started") {
  // Goal: release proves never executed, whenever it comes. Method: release while spawning and when parked.
  for (const bool wait_for_park : {false, true}) {
    Harness h;
    h.up();
    h.prepare({{.attempt = kA}});
    if (wait_for_park) {
      h.parked(kA);
    }
    h.release(kA);
    h.release(kA);
    REQUIRE(h.taken<command::Release>().size() == 1);
    h.go(kA);  // too late
    REQUIRE(h.taken<command::Go>().empty());
    h.ended(kA, TaskState::not_started);
    REQUIRE(h.last_update().state == TaskState::not_started);
    REQUIRE(h.last_update().reason == TaskReason::released);
  }
}

TEST_CASE("a parked task without Go releases itself") {
  // Goal: a lost Go holds nothing for ever. Method: let prepare_silence pass.
  Harness h;
  h.hello();
  h.registered(0, 2000);
  h.prepare({{.attempt = kA}});
  h.parked(kA);
  h.run_for(Duration::from_ms(1900));
  REQUIRE(h.taken<command::Release>().empty());
  h.run_for(Duration::from_ms(200));
  REQUIRE(h.taken<command::Release>().size() == 1);
  h.ended(kA, TaskState::not_started);
  REQUIRE(h.last_update().reason == TaskReason::prepare_silence);
}

TEST_CASE("a release of a running member is a kill by its gang") {
  Harness h;
  h.up();
  h.prepare({{.attempt = kA}});
  h.parked(kA);
  h.go(kA);
  h.started(kA);
  h.release(kA);
  REQUIRE(h.taken<command::Kill>().size() == 1);
  h.ended(kA, TaskState::killed, 143, 15);
  REQUIRE(h.last_update().state == TaskState::killed);
  REQUIRE(h.last_update().reason == TaskReason::gang_failed);
}

TEST_CASE("a kill is reported with the reason it was asked for") {
  struct Row { TaskReason asked; TaskReason reported; };
  for (const Row& row : {Row{TaskReason::none, TaskReason::kill_requested},
                         Row{TaskReason::gang_failed, TaskReason::gang_failed},
                         Row{TaskReason::drained, TaskReason::drained}}) {
    Harness h;
    h.up();
    h.launch({{.attempt = kA}});
    h.started(kA);
    h.kill(kA, row.asked, 700);
    const auto kills = h.taken<command::Kill>();
    REQUIRE(kills.size() == 1);
    REQUIRE(kills[0].grace_ms == 700);
    REQUIRE(kills[0].signal == 15);
    h.kill(kA, row.asked, 900);  // not harsher
    REQUIRE(h.taken<command::Kill>().empty());
    h.kill(kA, row.asked, 100);
    REQUIRE(h.taken<command::Kill>().size() == 1);
    h.ended(kA, TaskState::killed, 143, 15);
    REQUIRE(h.last_update().state == TaskState::killed);
    REQUIRE(h.last_update().reason == row.reported);
    REQUIRE(h.last_update().signal == 15);
  }
}

TEST_CASE("a signal alone ends nothing") {
  Harness h;
  h.up();
  h.launch({{.attempt = kA}});
  h.started(kA);
  fb::NodeKillT body;
  body.attempts.emplace_back(to_fb(kA), kFramework.value(), 5U, 0U);
  body.signal = 10;
  body.only_signal = true;
  h.say<fb::NodeKill>(body);
  REQUIRE(h.taken<command::Kill>().empty());
  const auto signals = h.taken<command::Signal>();
  REQUIRE(signals.size() == 1);
  REQUIRE(signals[0].signal == 10);
}

TEST_CASE("a task ends at its time limit") {
  // Goal: limits are the node's duty and named so. Method: 10 s limit, then the launcher's killed.
  Harness h;
  h.up();
  fb::TaskSpecT spec = basic_spec(1);
  spec.time_limit_ms = 10'000;
  spec.kill_grace_ms = 1234;
  h.launch({{.attempt = kA, .spec = spec}});
  h.started(kA);
  h.run_for(Duration::from_ms(9900));
  REQUIRE(h.taken<command::Kill>().empty());
  h.run_for(Duration::from_ms(200));
  const auto kills = h.taken<command::Kill>();
  REQUIRE(kills.size() == 1);
  REQUIRE(kills[0].grace_ms == 1234);
  h.kill(kA);  // a user's word comes second
  h.ended(kA, TaskState::killed, 143, 15);
  REQUIRE(h.last_update().state == TaskState::timed_out);
  REQUIRE(h.last_update().reason == TaskReason::time_limit);
}

TEST_CASE("requeueable tasks end when no master confirms us for the fence") {
  // Goal: fencing counts from the last frame of ours that a master confirmed, not from what we hear.
  // Method: the master talks on but confirms nothing (its frames carry an old `received`).
  Harness h;
  h.hello();
  h.registered(20'000);
  fb::TaskSpecT spec = basic_spec(1);
  spec.requeueable = true;
  h.launch({{.attempt = kA, .spec = spec}, {.attempt = kB}});
  h.started(kA);
  h.started(kB);
  h.run_for(Duration::from_seconds(30));
  REQUIRE(h.taken<command::Kill>().empty());
  h.master_deaf = true;
  for (int i = 0; i < 19; ++i) {
    h.run_for(Duration::from_seconds(1));  // heartbeats arrive, nothing is confirmed
  }
  REQUIRE(h.taken<command::Kill>().empty());
  h.run_for(Duration::from_seconds(3));
  const auto kills = h.taken<command::Kill>();
  REQUIRE(kills.size() == 1);
  REQUIRE(kills[0].attempt == kA);
  REQUIRE(kills[0].grace_ms <= 2000);
  h.ended(kA, TaskState::killed, 143, 15);
  h.master_deaf = false;
  h.run_for(Duration::from_seconds(5), false);
  h.registered();
  REQUIRE(h.last_update().state == TaskState::killed);
  REQUIRE(h.last_update().reason == TaskReason::fenced);
}

TEST_CASE("the fence goes on counting across a restart of the agent") {
  Harness h;
  h.hello();
  h.registered(60'000);
  fb::TaskSpecT spec = basic_spec(1);
  spec.requeueable = true;
  h.launch({{.attempt = kA, .spec = spec}});
  const TaskStart start = h.taken<command::Start>().at(0).task;
  h.started(kA);
  const WallTime began = h.now.wall;
  h.run_for(Duration::from_seconds(20));
  h.advance(Duration::from_seconds(40));  // the agent is away
  h.start_agent();
  h.hello({recovered(start, RecoveredTask::Phase::started, began)});
  h.run_for(Duration::from_seconds(10), false);
  REQUIRE(h.taken<command::Kill>().empty());
  h.run_for(Duration::from_seconds(16), false);
  REQUIRE(h.taken<command::Kill>().size() == 1);
}

TEST_CASE("what does not fit is refused as no_room, naming the resource") {
  // Goal: the node trusts its own books. Method: launches beyond cpus and memory; freed at the end.
  Harness h;
  h.up();
  h.launch({{.attempt = kA, .shape = shape_of(3)}, {.attempt = kB, .shape = shape_of(2)},
            {.attempt = kC, .shape = shape_of(1, 9 * kGiB)}});
  REQUIRE(h.taken<command::Start>().size() == 1);
  REQUIRE(h.updates.size() == 2);
  for (const SeenUpdate& u : h.updates) {
    REQUIRE(u.state == TaskState::start_failed);
    REQUIRE(u.reason == TaskReason::no_room);
  }
  REQUIRE(h.updates[0].text == "node n1 has no room: cpus: wants 2, has 1");
  h.started(kA);
  h.ended(kA);
  h.launch({{.attempt = AttemptId{2, 1}, .shape = shape_of(4)}});
  REQUIRE(h.taken<command::Start>().size() == 1);
}

TEST_CASE("a launch that makes no sense ends start_failed with a sentence") {
  Harness h;
  h.up();
  LaunchArgs empty{.attempt = kA};
  empty.spec.argv.clear();
  LaunchArgs no_ranks{.attempt = kB, .ranks = 0};
  h.launch({empty, no_ranks});
  REQUIRE(h.taken<command::Start>().empty());
  REQUIRE(h.updates.size() == 2);
  REQUIRE(h.updates[0].state == TaskState::start_failed);
  REQUIRE(h.updates[0].text == "the task names no command to run");
  h.launch({{.attempt = kC, .spec_place = std::uint16_t{9}}});
  REQUIRE(h.last_update().attempt == kC);
  REQUIRE(h.last_update().state == TaskState::start_failed);
}

TEST_CASE("bindings that wrap say so") {
  // Goal: 4 advertised cpus on 2 real ones are bound and named. Method: a machine of 2 cpus.
  Harness h(4, 2);
  h.up();
  h.launch({{.attempt = kA, .shape = shape_of(4), .ranks = 4}});
  const auto start = h.taken<command::Start>().at(0).task;
  REQUIRE(start.cpus == std::vector<std::uint32_t>{100, 101});
  REQUIRE(start.ranks[0].cpus == std::vector<std::uint32_t>{100});
  REQUIRE(start.ranks[3].cpus == std::vector<std::uint32_t>{101});
  REQUIRE(start.ranks[3].environment == std::vector<std::string>{"MUSTER_RANK=3", "MUSTER_LOCAL_RANK=3", "MUSTER_CPUS=3"});
  h.started(kA);
  REQUIRE(h.last_update().cpus == "0-3");
  REQUIRE(h.last_update().text == "4 advertised cpus on 2 real ones");
}

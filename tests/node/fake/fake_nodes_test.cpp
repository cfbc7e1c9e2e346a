// Goal: simulated nodes keep the protocol as real ones do: they register, run what is launched for its time, park gangs, keep
// lines, resend what is not acknowledged, and come back to a new master with what runs.
// Method: FakeNodes in front of a fake master with the test's time; their books are audited after every step.
#include "node/fake/fake_nodes.hpp"

#include <algorithm>
#include <set>

#include "tests/node/fake/fake_harness.hpp"

namespace muster::node::test {
namespace {

const AttemptId kA{1, 1};
const AttemptId kB{1, 2};
const AttemptId kC{1, 3};
const AttemptId kD{1, 4};

const Duration kDuration = Duration::from_ms(100);

}  // namespace

TEST_CASE("simulated nodes register on their links, with names, size and an attribute that says so") {
  FakeHarness h(5, 2);
  REQUIRE(h.registrations[0].size() == 3);
  REQUIRE(h.registrations[1].size() == 2);
  std::set<std::string> names;
  for (const auto& link : h.registrations) {
    for (const auto& node : link) {
      names.insert(node.name);
      CHECK(node.capacity->amounts->cpus_milli() == 4000);
      CHECK(node.capacity->amounts->memory_bytes() == 8 * kGiB);
      CHECK(node.attributes == std::vector<std::string>{"fake=true"});
      CHECK(node.boot != 0);
      CHECK(node.tasks.empty());
    }
  }
  CHECK(names == std::set<std::string>{"f1", "f2", "f3", "f4", "f5"});
  CHECK(h.nodes->counts().registered == 5);
}

TEST_CASE("a task runs for its duration on cpus of its own and ends with exit code 0") {
  FakeHarness h;
  h.launch({{.attempt = kA, .node = 2, .cpus_milli = 2000}, {.attempt = kB, .node = 2}, {.attempt = kC, .node = 1, .cpus_milli = 500}});
  REQUIRE(h.updates.size() == 3);
  CHECK(h.updates_of(kA).at(0).state == TaskState::running);
  CHECK(h.updates_of(kA).at(0).cpus == "0-1");
  CHECK(h.updates_of(kA).at(0).node == 102);
  CHECK(h.updates_of(kB).at(0).cpus == "2");
  CHECK(h.updates_of(kC).at(0).cpus.empty());  // it shares
  h.run_for(kDuration - Duration::from_ms(1));
  CHECK(h.updates.size() == 3);
  h.run_for(Duration::from_ms(1));
  REQUIRE(h.updates.size() == 6);
  CHECK(h.last_of(kA).state == TaskState::finished);
  CHECK(h.last_of(kA).exit_code == 0);
  CHECK(h.last_of(kA).cpus == "0-1");
  CHECK(h.last_of(kA).seq > h.updates_of(kA).at(0).seq);
  CHECK(h.nodes->counts().live == 0);
}

TEST_CASE("a simulated node refuses what it has no room for") {
  FakeHarness h;
  h.launch({{.attempt = kA, .cpus_milli = 3000}, {.attempt = kB, .cpus_milli = 2000}});
  CHECK(h.last_of(kA).state == TaskState::running);
  CHECK(h.last_of(kB).state == TaskState::start_failed);
  CHECK(h.last_of(kB).reason == TaskReason::no_room);
  h.run_for(kDuration);
  h.launch({{.attempt = kC, .cpus_milli = 4000}});
  CHECK(h.last_of(kC).state == TaskState::running);
}

TEST_CASE("a time limit below the duration ends a task, one above it does not") {
  FakeHarness h;
  h.launch({{.attempt = kA, .time_limit_ms = 30}, {.attempt = kB, .time_limit_ms = 3000}});
  h.run_for(Duration::from_ms(31));
  CHECK(h.last_of(kA).state == TaskState::timed_out);
  CHECK(h.last_of(kA).reason == TaskReason::time_limit);
  CHECK(h.last_of(kB).state == TaskState::running);
  h.run_for(kDuration);
  CHECK(h.last_of(kB).state == TaskState::finished);
}

TEST_CASE("a gang's member is prepared, runs after Go, and is released by a Release or by silence") {
  FakeHarness h;
  h.launch({{.attempt = kA, .node = 1}, {.attempt = kB, .node = 2}}, true);
  h.launch({{.attempt = kC, .node = 3}, {.attempt = kD, .node = 4}}, true);
  CHECK(h.prepared == std::vector<AttemptId>{kA, kB, kC, kD});
  CHECK(h.updates.empty());
  h.order<fb::Go>(kA, 1);
  CHECK(h.last_of(kA).state == TaskState::running);
  h.order<fb::Release>(kC, 3);
  CHECK(h.last_of(kC).state == TaskState::not_started);
  CHECK(h.last_of(kC).reason == TaskReason::released);
  h.order<fb::Release>(kA, 1);  // it runs: its gang has failed
  CHECK(h.last_of(kA).state == TaskState::killed);
  CHECK(h.last_of(kA).reason == TaskReason::gang_failed);
  h.order<fb::NodeKill>(kB, 2);
  CHECK(h.last_of(kB).state == TaskState::not_started);
  h.run_for(Duration::from_ms(3001));
  CHECK(h.last_of(kD).state == TaskState::not_started);
  CHECK(h.last_of(kD).reason == TaskReason::prepare_silence);
}

TEST_CASE("a kill ends a running task at once, a signal only if it is deadly") {
  FakeHarness h;
  h.launch({{.attempt = kA}, {.attempt = kB}, {.attempt = kC}});
  fb::NodeKillT kill;
  kill.signal = 9;
  kill.reason = static_cast<std::uint8_t>(TaskReason::gang_failed);
  h.order<fb::NodeKill>(kA, 1, kill);
  CHECK(h.last_of(kA).state == TaskState::killed);
  CHECK(h.last_of(kA).reason == TaskReason::gang_failed);
  CHECK(h.last_of(kA).exit_code == 137);
  fb::NodeKillT signal;
  signal.only_signal = true;
  signal.signal = 10;
  h.order<fb::NodeKill>(kB, 1, signal);
  CHECK(h.last_of(kB).state == TaskState::running);
  signal.signal = 15;
  h.order<fb::NodeKill>(kB, 1, signal);
  CHECK(h.last_of(kB).state == TaskState::finished);
  CHECK(h.last_of(kB).exit_code == 143);
  h.order<fb::NodeKill>(kD, 1);  // unknown: nothing
  h.run_for(kDuration);
  CHECK(h.updates.size() == 6);
}

TEST_CASE("what is queued starts on its predecessor's cpus when that has ended, and not before") {
  FakeHarness h;
  h.launch({{.attempt = kA, .cpus_milli = 4000}, {.attempt = kB, .cpus_milli = 4000, .after = kA},
            {.attempt = kC, .cpus_milli = 4000, .after = kB}, {.attempt = kD, .cpus_milli = 4000, .after = {9, 9}}});
  CHECK(h.nodes->counts().queued == 2);
  h.run_for(Duration::from_ms(3));  // updates gather while something is queued
  CHECK(h.last_of(kA).state == TaskState::running);
  CHECK(h.last_of(kD).reason == TaskReason::predecessor_ended);
  CHECK(h.updates_of(kB).empty());
  h.order<fb::Release>(kB, 1);
  CHECK(h.nodes->counts().queued == 1);
  h.run_for(kDuration);
  CHECK(h.last_of(kA).state == TaskState::finished);
  CHECK(h.last_of(kB).reason == TaskReason::recalled);
  CHECK(h.last_of(kC).state == TaskState::running);
  CHECK(h.last_of(kC).cpus == "0-3");
  CHECK(h.last_of(kC).seq > h.last_of(kA).seq);
  h.order<fb::Release>(kC, 1);  // its turn has come
  h.run_for(kDuration);
  CHECK(h.last_of(kC).state == TaskState::finished);
}

TEST_CASE("a launch behind an end that is not acknowledged starts at once") {
  FakeHarness h;
  h.launch({{.attempt = kA}});
  h.run_for(kDuration);
  h.launch({{.attempt = kB, .after = kA}});
  CHECK(h.last_of(kB).state == TaskState::running);
}

TEST_CASE("an attempt runs once: known ones answer with their state, forgotten ones are dropped") {
  FakeHarness h;
  h.launch({{.attempt = kA}});
  h.launch({{.attempt = kA}});
  REQUIRE(h.updates.size() == 2);
  CHECK(h.updates[1].state == TaskState::running);
  h.run_for(kDuration);
  h.acknowledge(1, h.last_of(kA).seq);
  CHECK(h.nodes->counts().unacknowledged == 0);
  h.updates.clear();
  h.launch({{.attempt = kA}});
  h.run_for(kDuration);
  CHECK(h.updates.empty());
}

TEST_CASE("a new master hears what runs and every end that is not acknowledged") {
  FakeHarness h;
  h.launch({{.attempt = kA}, {.attempt = kB, .node = 2}});
  h.run_for(kDuration);
  h.acknowledge(1, h.last_of(kA).seq);
  h.launch({{.attempt = kC, .cpus_milli = 2000}, {.attempt = kD, .cpus_milli = 2000, .after = kC}});
  h.run_for(Duration::from_ms(3));
  for (std::uint32_t i = 0; i < h.config.links; ++i) {
    h.nodes->on_link_down(i, h.now);
  }
  h.run_for(Duration::from_ms(20));
  h.epoch = Epoch(2);
  h.updates.clear();
  h.connect();
  CHECK(h.disk.highest_epoch == Epoch(2));
  const auto& first = h.registrations[0].at(0);
  REQUIRE(first.tasks.size() == 2);  // f1: C runs, D has left its line
  for (const fb::TaskReport& report : first.tasks) {
    const bool is_c = from_fb(report.attempt()) == kC;
    CHECK(static_cast<TaskState>(report.state()) == (is_c ? TaskState::running : TaskState::not_started));
    CHECK(first.shapes.at(report.shape())->amounts->cpus_milli() == (is_c ? 2000U : 0U));
  }
  REQUIRE(h.registrations[0].at(1).tasks.size() == 1);  // f2: B's end
  CHECK(h.updates_of(kA).empty());
  CHECK(h.last_of(kB).state == TaskState::finished);
  CHECK(h.last_of(kC).state == TaskState::running);
  CHECK(h.last_of(kD).reason == TaskReason::recalled);
  h.run_for(kDuration);
  CHECK(h.last_of(kC).state == TaskState::finished);
}

TEST_CASE("a master of an earlier epoch is refused, and a gap opens the next life") {
  FakeHarness h;
  h.epoch = Epoch(5);
  for (std::uint32_t i = 0; i < h.config.links; ++i) {
    h.nodes->on_link_down(i, h.now);
  }
  h.connect();
  h.epoch = Epoch(4);
  fb::HeartbeatT heartbeat;
  h.say<fb::Heartbeat>(0, heartbeat);
  REQUIRE(h.refusals.size() == 1);
  CHECK(h.refusals[0].code == fb::RefusedCode::StaleEpoch);
  h.epoch = Epoch(5);
  const Incarnation before = h.links[0].incarnation();
  h.say<fb::Heartbeat>(0, heartbeat);  // the refused one is missing in their count
  h.run_for(Duration::from_ms(60));
  CHECK(h.links[0].incarnation() > before);
  CHECK(h.nodes->counts().registered == 4);
}

TEST_CASE("a silent link says that it lives, and opens again when the master is silent") {
  FakeHarness h;
  h.run_for(Duration::from_ms(2500));
  CHECK(h.heartbeats == 4);  // two links
  const Incarnation before = h.links[0].incarnation();
  h.run_for(Duration::from_ms(600));
  CHECK(h.links[0].incarnation() > before);
}

TEST_CASE("cut off from every master, requeueable and queued tasks end at the fence") {
  FakeHarness h;
  h.config.duration = Duration::from_seconds(1000);
  h.start();
  h.launch({{.attempt = kA, .requeueable = true}, {.attempt = kB}, {.attempt = kC, .after = kB}});
  h.deaf = true;
  h.run_for(Duration::from_seconds(62));
  h.deaf = false;
  h.run_for(Duration::from_seconds(4));
  CHECK(h.last_of(kA).state == TaskState::killed);
  CHECK(h.last_of(kA).reason == TaskReason::fenced);
  CHECK(h.last_of(kB).state == TaskState::running);
  CHECK(h.last_of(kC).state == TaskState::not_started);
}

TEST_CASE("the drain of a simulated node is remembered and restated") {
  FakeHarness h;
  fb::NodeDrainT drain;
  drain.node = 103;
  drain.drained = true;
  drain.reason = "new fan";
  h.say<fb::NodeDrain>(1, drain);
  CHECK(h.disk.drained == std::map<std::uint32_t, std::string>{{3, "new fan"}});
  h.start();
  CHECK(h.registrations[1].at(0).drained);
  CHECK(h.registrations[1].at(0).drain_reason == "new fan");
  CHECK_FALSE(h.registrations[1].at(1).drained);
  drain.drained = false;
  h.say<fb::NodeDrain>(1, drain);
  CHECK(h.disk.drained.empty());
}

TEST_CASE("leaving ends every task as drained, and nothing is started any more") {
  FakeHarness h;
  h.launch({{.attempt = kA}, {.attempt = kB, .after = kA}});
  h.nodes->on_leaving(h.now);
  h.run_for(Duration::from_ms(3));
  CHECK(h.last_of(kA).state == TaskState::killed);
  CHECK(h.last_of(kA).reason == TaskReason::drained);
  CHECK(h.last_of(kB).state == TaskState::not_started);
  h.launch({{.attempt = kC}});
  CHECK(h.last_of(kC).state == TaskState::not_started);
}

TEST_CASE("a reader of output is told that there is none") {
  FakeHarness h;
  fb::ReadLogT read;
  read.request = 5;
  read.job = 3;
  read.node = "f2";
  const FrameBytes answer = h.nodes->answer_user(*verify_frame(pack_frame<fb::ReadLog>({}, read)).value());
  const auto* refused = verify_frame(answer).value()->body_as_Refused();
  REQUIRE(refused != nullptr);
  CHECK(refused->request() == 5);
  CHECK_THAT(std::string(text_of(refused->text())), Catch::Matchers::Contains("node f2 is simulated") &&
                                                        Catch::Matchers::Contains("job 3 has no output"));
}

TEST_CASE("ten thousand tasks on a thousand nodes end once each") {
  FakeHarness h(1000, 64, 16);
  std::uint64_t next = 0;
  for (std::uint32_t node = 1; node <= 1000; ++node) {
    std::vector<FakeLaunch> launches;
    for (std::uint32_t i = 0; i < 10; ++i) {
      launches.push_back({.attempt = {2, ++next}, .node = node});
    }
    h.launch(launches);
  }
  h.run_for(kDuration);
  std::map<AttemptId, int> ends;
  for (const FakeUpdate& update : h.updates) {
    ends[update.attempt] += is_terminal(update.state) ? 1 : 0;
  }
  CHECK(ends.size() == 10'000);
  CHECK(std::all_of(ends.begin(), ends.end(), [](const auto& end) { return end.second == 1; }));
}

}  // namespace muster::node::test

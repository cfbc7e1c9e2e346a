// Goal: a task in line starts when, and only when, nothing of what it follows is left, on the same cpus.
// Method: NodeCore between a fake master and a fake launcher; updates may gather for 8 ms while tasks are queued.
#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {

const AttemptId kA{1, 1};
const AttemptId kB{1, 2};
const AttemptId kC{1, 3};
const AttemptId kD{1, 4};

struct Line : Harness {
  // `first` runs on two of four cpus.
  explicit Line(const AttemptId& first = kA) {
    up();
    launch({{.attempt = first, .shape = shape_of(2)}});
    started(first);
    (void)taken<command::Start>();
    updates.clear();
  }
  void follow(const AttemptId& attempt, const AttemptId& after) {
    launch({{.attempt = attempt, .shape = shape_of(2), .after = after}});
  }
  void gathered() { run_for(Duration::from_ms(9)); }
  [[nodiscard]] std::vector<SeenUpdate> updates_of(const AttemptId& attempt) const {
    std::vector<SeenUpdate> out;
    std::copy_if(updates.begin(), updates.end(), std::back_inserter(out),
                 [&](const SeenUpdate& u) { return u.attempt == attempt; });
    return out;
  }
  void lose_life() {
    fb::RefusedT refused;
    refused.code = fb::RefusedCode::NotRegistered;
    deliver(pack_frame<fb::Refused>({epoch, master.incarnation(), 0, 0}, refused));
    run_for(Duration::from_ms(60), false);
  }
};

}  // namespace

TEST_CASE("a successor starts on its predecessor's cpus in the moment that it has ended") {
  Line h;
  h.launch({{.attempt = kD, .shape = shape_of(2)}});  // the other two cpus
  (void)h.taken<command::Start>();
  h.follow(kB, kA);
  REQUIRE(h.taken<command::Start>().empty());
  h.ended(kA);
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0].task.attempt == kB);
  CHECK(starts[0].task.cpus == std::vector<std::uint32_t>{100, 101});
  h.started(kB);
  h.gathered();
  REQUIRE(h.updates_of(kA).size() == 1);
  CHECK(h.updates_of(kA)[0].state == TaskState::finished);
  REQUIRE(h.updates_of(kB).size() == 1);
  CHECK(h.updates_of(kB)[0].state == TaskState::running);
  CHECK(h.updates_of(kB)[0].cpus == "0-1");
  CHECK(h.updates_of(kA)[0].seq < h.updates_of(kB)[0].seq);
}

TEST_CASE("updates gather while tasks wait in line: for milliseconds, or until half as many have ended as wait") {
  const AttemptId kE{1, 5};
  const AttemptId kF{1, 6};
  Line h;
  h.follow(kB, kA);
  h.follow(kC, kB);
  h.follow(kD, kC);
  h.follow(kE, kD);
  h.follow(kF, kE);
  h.ended(kA);
  h.started(kB);
  CHECK(h.updates.empty());
  CHECK(h.core->next_timer() <= h.now.mono + Duration::from_ms(8));
  h.gathered();
  CHECK(h.updates.size() == 2);
  h.ended(kB);  // three wait
  h.started(kC);
  CHECK(h.updates.size() == 2);
  h.ended(kC);  // two wait, and two have ended
  CHECK(h.updates.size() == 4);
  h.ended(kD);
  CHECK(h.updates.size() == 5);  // one waits
}

TEST_CASE("a launch behind an attempt that has ended here starts at once") {
  Line h;
  h.ended(kA);
  h.follow(kB, kA);
  REQUIRE(h.taken<command::Start>().size() == 1);
}

TEST_CASE("a launch behind an attempt that nobody knows here never runs") {
  Line h;
  h.follow(kB, kC);
  CHECK(h.taken<command::Start>().empty());
  CHECK(h.last_update().state == TaskState::not_started);
  CHECK(h.last_update().reason == TaskReason::predecessor_ended);
}

TEST_CASE("a queued task is killed or recalled without ever having run, and the next moves up") {
  Line h;
  h.follow(kB, kA);
  h.follow(kC, kB);
  h.follow(kD, kC);
  h.release(kB);
  h.kill(kC);
  h.gathered();
  CHECK(h.updates_of(kB).at(0).state == TaskState::not_started);
  CHECK(h.updates_of(kB).at(0).reason == TaskReason::recalled);
  CHECK(h.updates_of(kC).at(0).state == TaskState::not_started);
  CHECK(h.updates_of(kC).at(0).reason == TaskReason::kill_requested);
  CHECK(h.taken<command::Start>().empty());
  CHECK(h.taken<command::Kill>().empty());
  h.ended(kA);
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0].task.attempt == kD);
}

TEST_CASE("a recall of a task whose turn has come changes nothing") {
  Line h;
  h.follow(kB, kA);
  h.ended(kA);
  h.release(kB);
  h.started(kB);
  h.release(kB);
  CHECK(h.taken<command::Kill>().empty());
  CHECK(h.taken<command::Release>().empty());
  CHECK(h.last_update().state == TaskState::running);
}

TEST_CASE("a launch behind a task that was taken out of the line waits for what that one followed") {
  // The launch of C was on its way when B was recalled.
  Line h;
  h.follow(kB, kA);
  h.release(kB);
  h.follow(kC, kB);
  CHECK(h.taken<command::Start>().empty());
  h.ended(kA);
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0].task.attempt == kC);
}

TEST_CASE("a task that could not start hands its turn on") {
  Line h;
  h.follow(kB, kA);
  h.follow(kC, kB);
  h.ended(kA, TaskState::killed, 137, 9);
  REQUIRE(h.taken<command::Start>().size() == 1);
  h.ended(kB, TaskState::start_failed, 0, 0, TaskReason::exec_not_found);
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0].task.attempt == kC);
}

TEST_CASE("a new life of the link ends what waits in line before it registers") {
  Line h;
  h.follow(kB, kA);
  h.follow(kC, kB);
  h.ended(kA);  // B's turn has come
  h.started(kB);
  h.lose_life();
  REQUIRE(h.registrations.size() == 2);
  std::map<std::uint64_t, TaskState> named;
  for (const fb::TaskReport& report : h.registrations[1].tasks) {
    named[report.attempt().lo()] = static_cast<TaskState>(report.state());
  }
  CHECK(named.at(kB.lo) == TaskState::running);
  CHECK(named.at(kC.lo) == TaskState::not_started);
  CHECK(h.registrations[1].uids.size() == h.registrations[1].tasks.size());
  h.registered();
  CHECK(h.updates_of(kC).back().reason == TaskReason::recalled);
  h.ended(kB);
  CHECK(h.taken<command::Start>().size() == 1);  // B's alone
}

TEST_CASE("a launcher that comes back with a task that has ended starts the next once") {
  Line h;
  h.follow(kB, kA);
  h.follow(kC, kB);
  h.core->on_launcher_lost(h.now);
  h.hello();  // it knows nothing of A any more
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 1);
  CHECK(starts[0].task.attempt == kB);
  h.gathered();
  CHECK(h.updates_of(kA).back().state == TaskState::lost);
}

TEST_CASE("a node that is cut off, or leaves, starts nothing that waits in line") {
  {
    Line h;
    h.follow(kB, kA);
    h.run_for(Duration::from_seconds(70), false);
    CHECK(h.taken<command::Start>().empty());
    h.ended(kA);
    CHECK(h.taken<command::Start>().empty());
  }
  {
    Line h;
    h.follow(kB, kA);
    h.core->on_leaving(h.now);
    h.step();
    CHECK(h.last_update().reason == TaskReason::drained);
    h.ended(kA, TaskState::killed, 143, 15);
    CHECK(h.taken<command::Start>().empty());
  }
}

// A job's way through the gang core, against a scripted master and a store that keeps only what was committed.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

std::vector<AttemptId> live(const Cluster& c) {
  std::vector<AttemptId> ids;
  for (const auto& [id, task] : c.master.tasks) {
    if (!is_terminal(task.state)) {
      ids.push_back(id);
    }
  }
  return ids;
}

void end_all(Cluster& c, TaskState state = TaskState::finished, int code = 0) {
  for (const AttemptId& id : live(c)) {
    c.master.end_task(id, state, code);
  }
  c.pump();
}

}  // namespace

// Goal: submit → launch → running → completed, acknowledged and on record. Method: the shortest way.
TEST_CASE("a job runs and is recorded as completed", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec());
  c.pump();
  REQUIRE(live(c).size() == 1);
  CHECK(c.state(id) == JobState::Running);
  CHECK(c.row(id).elements.at(0)->cpus == std::vector<std::string>{"0-0"});
  end_all(c);
  CHECK(c.state(id) == JobState::Completed);
  CHECK(c.master.tasks.empty());  // its end was acknowledged
  const LoadedJob* stored = c.store.job(id);
  REQUIRE(stored != nullptr);
  CHECK(stored->state == JobState::Completed);
  REQUIRE(stored->attempts.size() == 1);
  CHECK(stored->attempts[0].state == JobState::Completed);
  CHECK(stored->attempts[0].nodes == std::vector<std::string>{"n1"});
}

// Goal: nothing leaves before its batch. Method: hold the commits back and look at what has left.
TEST_CASE("answers, accepts and acknowledgements wait for their commit", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  c.hold_commits = true;
  c.answers.clear();
  const FrameBytes frame = submit_frame(spec(), 1, 11);
  c.core->on_user_frame(LinkId(5), Peer{true, 1000, 1}, **verify_frame(frame), c.now());
  c.pump();
  CHECK(c.answers.empty());
  CHECK(c.master.accepts == 0);
  c.hold_commits = false;
  c.pump();
  REQUIRE(c.answers.size() == 1);
  CHECK(c.master.accepts == 1);

  c.hold_commits = true;
  end_all(c);
  CHECK(c.master.tasks.size() == 1);  // unacknowledged
  c.hold_commits = false;
  c.pump();
  CHECK(c.master.tasks.empty());
}

// Goal: a retried Submit is the same job, also over a restart. Method: the same key three times.
TEST_CASE("a submit key stands for one job", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec(), 99);
  CHECK(c.submit(spec(), 99) == id);
  c.crash();
  c.pump();
  CHECK(c.submit(spec(), 99) == id);
  CHECK(c.submit(spec(), 100) != id);
}

TEST_CASE("exit codes and signals reach the row", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec());
  const AttemptId attempt = live(c).at(0);
  c.master.end_task(attempt, TaskState::finished, 137, TaskReason::none, 9);
  c.pump();
  const auto row = c.row(id);
  CHECK(row.state == JobState::Failed);
  CHECK(row.exit_code == 137);
  CHECK(row.signal == 9);
  CHECK(row.reason == "killed by signal 9");
}

// Goal: a gang is taken whole. Method: 8 ranks on two nodes of 4, ends in two steps.
TEST_CASE("a gang starts over two nodes in one accept and ends with its worst member", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec(8));
  REQUIRE(live(c).size() == 2);
  CHECK(c.master.accepts == 1);
  const auto ids = live(c);
  CHECK(c.master.tasks.at(ids[0]).gang != 0);
  CHECK(c.master.tasks.at(ids[0]).gang == c.master.tasks.at(ids[1]).gang);
  CHECK(c.master.tasks.at(ids[0]).first_rank + c.master.tasks.at(ids[1]).first_rank == 4);
  FrameBytes storage;
  const auto task_spec = verify_spec(c.master.tasks.at(ids[0]).spec, storage);
  REQUIRE(task_spec.has_value());
  CHECK((*task_spec)->nodes()->size() == 2);
  CHECK((*task_spec)->ntasks() == 8);
  c.master.end_task(ids[0], TaskState::finished, 0);
  c.pump();
  CHECK(c.state(id) == JobState::Completing);
  c.master.end_task(ids[1], TaskState::finished, 3);
  c.pump();
  const auto row = c.row(id);
  CHECK(row.state == JobState::Failed);
  CHECK(row.exit_code == 3);
  CHECK(row.reason == "n2: exit code 3");
}

// Goal: a member's acknowledged end is not forgotten by a crash. Method: end one, crash, end the other.
TEST_CASE("a gang's first end survives a restart of the gang framework", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec(8));
  const auto ids = live(c);
  c.master.end_task(ids[0], TaskState::finished, 5);
  c.pump();
  REQUIRE_FALSE(c.master.tasks.contains(ids[0]));  // acknowledged and forgotten
  c.crash();
  c.pump();
  CHECK(c.master.restated == std::set<AttemptId>{ids[1]});
  CHECK(c.state(id) == JobState::Completing);
  c.master.end_task(ids[1], TaskState::finished, 0);
  c.pump();
  CHECK(c.row(id).exit_code == 5);
}

TEST_CASE("a lost member fails the gang and ends the others, --requeue starts it again with a new try", "[gang]") {
  const bool requeue = GENERATE(false, true);
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec(8);
  wish.requeue = requeue;
  const auto id = c.submit(wish);
  const auto ids = live(c);
  c.master.end_task(ids[0], TaskState::lost, 0, TaskReason::node_lost);
  c.pump();
  CHECK(c.master.kills == std::vector<AttemptId>{ids[1]});
  c.pump();
  if (requeue) {
    const auto again = live(c);
    REQUIRE(again.size() == 2);
    CHECK((again[0].hi & 0xffffU) == 2);
    end_all(c);
    CHECK(c.state(id) == JobState::Completed);
    CHECK(c.store.job(id)->attempts.at(0).requeued);
  } else {
    const auto row = c.row(id);
    CHECK(row.state == JobState::NodeFail);
    CHECK(row.reason == "n1: node lost");
    CHECK(live(c).empty());
  }
}

TEST_CASE("what never started is tried again without a penalty, under a new try number", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  c.master.auto_run = false;
  c.master.refuse_next_accept(fb::RefusedCode::OfferGone);
  const auto id = c.submit(spec());
  c.pump();
  auto ids = live(c);
  REQUIRE(ids.size() == 1);
  CHECK((ids[0].hi & 0xffffU) == 2);
  c.advance(Duration::from_ms(10));
  c.master.end_task(ids[0], TaskState::not_started, 0, TaskReason::no_room);
  c.pump();
  CHECK(c.row(id).reason.find("Retrying") == 0);
  c.advance(Duration::from_seconds(1));
  ids = live(c);
  REQUIRE(ids.size() == 1);
  CHECK((ids[0].hi & 0xffffU) == 3);
  c.master.run_task(ids[0]);
  end_all(c);
  CHECK(c.state(id) == JobState::Completed);
}

TEST_CASE("a command that can't start fails its job once, with the reason", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec();
  wish.requeue = true;
  const auto id = c.submit(wish);
  c.master.end_task(live(c).at(0), TaskState::start_failed, 0, TaskReason::exec_not_found);
  c.pump();
  const auto row = c.row(id);
  CHECK(row.state == JobState::Failed);
  CHECK(row.exit_code == 127);
  CHECK(row.reason.find("n1: ") == 0);
  CHECK(live(c).empty());
}

TEST_CASE("time limits and memory limits have their own states", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto a = c.submit(spec());
  c.master.end_task(live(c).at(0), TaskState::timed_out, 143, TaskReason::time_limit, 15);
  c.pump();
  CHECK(c.state(a) == JobState::Timeout);
  const auto b = c.submit(spec());
  c.master.end_task(live(c).at(0), TaskState::out_of_memory, 137, TaskReason::memory_limit, 9);
  c.pump();
  CHECK(c.state(b) == JobState::OutOfMemory);
}

TEST_CASE("a new master is told of live attempts and what it never saw goes again", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto kept = c.submit(spec());
  c.master.auto_run = false;
  const auto forgotten = c.submit(spec());
  const auto ids = live(c);
  REQUIRE(ids.size() == 2);
  c.master.tasks.erase(ids[1]);  // its launch never reached the node
  c.master.auto_run = true;
  c.master.new_epoch();
  c.advance(Duration::from_seconds(5));
  CHECK(c.master.restated.size() == 2);
  CHECK(live(c).size() == 2);
  end_all(c);
  CHECK(c.state(kept) == JobState::Completed);
  CHECK(c.state(forgotten) == JobState::Completed);
  CHECK(c.store.job(forgotten)->attempts.size() == 2);
}

TEST_CASE("a running task that nobody knows any more is ended", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto id = c.submit(spec());
  const AttemptId attempt = live(c).at(0);
  c.master.end_task(attempt, TaskState::lost, 0, TaskReason::launcher_died);
  c.pump();
  CHECK(c.state(id) == JobState::Lost);
  // It comes back from the dead.
  ScriptedMaster::Task ghost;
  ghost.resources = *parse_resources("cpus=1");
  ghost.ranks = 1;
  c.master.tasks.emplace(attempt, ghost);
  c.master.run_task(attempt);
  c.pump();
  CHECK(c.master.kills == std::vector<AttemptId>{attempt});
  CHECK(c.state(id) == JobState::Lost);
}

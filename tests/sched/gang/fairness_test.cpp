// What keeps jobs from waiting for ever, and offers from being kept for nothing.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

std::vector<AttemptId> running(const Cluster& c) {
  std::vector<AttemptId> ids;
  for (const auto& [id, task] : c.master.tasks) {
    if (task.state == TaskState::running) {
      ids.push_back(id);
    }
  }
  return ids;
}

}  // namespace

// Goal: a gang that needs the whole cluster is not passed for ever by small jobs. Method: small ones that end one at a
// time, so that never two nodes are free at once.
TEST_CASE("after a bounded number of overtakes a gang's nodes are held for it", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto small = spec();
  set_array(small, 1, 8);
  c.submit(small);
  const auto gang = c.submit(spec(8));
  set_array(small, 1, 1000);
  const auto behind = c.submit(small);
  REQUIRE(running(c).size() == 8);
  int rounds = 0;
  for (; rounds < 400 && c.state(gang) == JobState::Pending; ++rounds) {
    const auto ids = running(c);
    if (!ids.empty()) {
      c.master.end_task(ids[static_cast<std::size_t>(rounds * 7) % ids.size()], TaskState::finished, 0);
    }
    c.pump();
    c.advance(Duration::from_ms(50));
  }
  INFO(c.row(gang).reason);
  CHECK(c.state(gang) == JobState::Running);
  CHECK(rounds <= 8 + 100 + 20);
  CHECK(c.row(behind).elements_total == 1000);
  for (const AttemptId& id : running(c)) {
    CHECK((id.hi >> 16U) == gang);
    c.master.end_task(id, TaskState::finished, 0);
  }
  c.pump();
  CHECK(c.state(gang) == JobState::Completed);
  CHECK(c.state(behind) == JobState::Running);
}

TEST_CASE("a small job passes a gang that does not fit", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  const auto blocker = c.submit(spec(5));
  const auto gang = c.submit(spec(8));
  const auto small = c.submit(spec());
  CHECK(c.state(blocker) == JobState::Running);
  CHECK(c.state(gang) == JobState::Pending);
  CHECK(c.state(small) == JobState::Running);
  CHECK(c.row(gang).reason.find("Resources: waits for 8 cpus, 8G") == 0);
}

TEST_CASE("offers that nobody needs go back at once", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  CHECK(c.master.wants.empty());
  const auto id = c.submit(spec(8));
  REQUIRE(running(c).size() == 2);
  CHECK(c.master.wants.empty());
  // A late offer: nothing is pending any more.
  c.master.wants.emplace_back();
  c.master.wants.back().count = 8;
  c.master.wants.back().shape = std::make_unique<fb::ShapeT>(to_shape_object(*parse_resources("cpus=1")));
  for (const AttemptId& attempt : running(c)) {
    c.master.end_task(attempt, TaskState::finished, 0);
  }
  c.pump();
  CHECK(c.state(id) == JobState::Completed);
  CHECK(c.master.declined == 2);
}

TEST_CASE("rescinded offers are asked for again", "[gang]") {
  Cluster c(two_nodes());
  c.master.auto_offer = false;
  c.pump();
  const auto id = c.submit(spec());
  CHECK(c.master.wants.size() == 1);
  c.master.offer();
  c.master.rescind_all();
  c.master.auto_offer = true;
  c.pump();
  CHECK(c.state(id) == JobState::Running);
  CHECK(c.store.job(id)->attempts.size() <= 2);
}

TEST_CASE("an accept whose offer lapsed is answered by a retry that succeeds", "[gang]") {
  Cluster c(two_nodes());
  c.master.auto_offer = false;
  c.pump();
  const auto id = c.submit(spec(8));
  c.master.offer();
  c.hold_commits = true;
  c.pump();
  c.master.rescind_all();
  c.hold_commits = false;
  c.master.auto_offer = true;
  c.pump();
  c.advance(Duration::from_seconds(1));
  CHECK(c.state(id) == JobState::Running);
  CHECK(running(c).size() == 2);
}

TEST_CASE("spread jobs get their nodes", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec(2);
  wish.nodes_min = 2;
  const auto id = c.submit(wish);
  c.pump();
  CHECK(running(c).size() == 2);
  wish = spec(4);
  wish.ntasks_per_node = 2;
  const auto other = c.submit(wish);
  CHECK(running(c).size() == 4);
  CHECK(c.state(id) == JobState::Running);
  CHECK(c.state(other) == JobState::Running);
}

TEST_CASE("a gang that does not start in time is ended and, with --requeue, tried again", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  c.master.auto_run = false;
  auto wish = spec(8);
  wish.requeue = true;
  const auto id = c.submit(wish);
  REQUIRE(c.master.tasks.size() == 2);
  c.master.run_task(c.master.tasks.begin()->first);
  c.pump();
  c.master.auto_run = true;
  for (int i = 0; i < 11; ++i) {
    c.advance(Duration::from_seconds(1));
  }
  CHECK(c.master.kills.size() == 2);
  CHECK(c.state(id) == JobState::Running);
  CHECK((running(c).at(0).hi & 0xffffU) == 2);
}

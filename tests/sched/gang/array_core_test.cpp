// Arrays through the gang core: one record, many launches per accept, bounded work per event.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

TEST_CASE("an array runs every element once, within its throttle, many launches per accept", "[gang]") {
  Cluster c({{"n1", *parse_resources("cpus=64;mem=64G"), fb::NodeState::Up}});
  c.pump();
  auto wish = spec();
  set_array(wish, 1, 1000, 50);
  const auto id = c.submit(wish);
  std::size_t ended = 0;
  std::size_t most = 0;
  for (int round = 0; round < 1000 && ended < 1000; ++round) {
    std::vector<AttemptId> live;
    for (const auto& [attempt, task] : c.master.tasks) {
      if (task.state == TaskState::running) {
        live.push_back(attempt);
      }
    }
    most = std::max(most, live.size());
    for (const AttemptId& attempt : live) {
      c.master.auto_offer = false;
      c.master.end_task(attempt, TaskState::finished, 0);
      ++ended;
    }
    c.master.auto_offer = true;
    c.master.offer();
    c.pump();
  }
  CHECK(ended == 1000);
  CHECK(most == 50);
  CHECK(c.master.largest_accept == 50);
  CHECK(c.master.launched.size() == 1000);
  const auto row = c.row(id, false);
  CHECK(row.state == JobState::Completed);
  REQUIRE(row.counts.size() == 1);
  CHECK(row.counts[0].count() == 1000);
  CHECK(c.store.job(id)->attempts.size() == 1000);
}

TEST_CASE("cancelling a range of an array leaves the others alone", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec();
  set_array(wish, 1, 100);
  const auto id = c.submit(wish);
  REQUIRE(c.ask(cancel_frame(id, 5, 90))->body_as_Done()->count() == 86);
  c.pump();
  for (int round = 0; round < 50; ++round) {
    std::vector<AttemptId> live;
    for (const auto& [attempt, task] : c.master.tasks) {
      if (task.state == TaskState::running) {
        live.push_back(attempt);
      }
    }
    for (const AttemptId& attempt : live) {
      c.master.end_task(attempt, TaskState::finished, 0);
    }
    c.pump();
  }
  const auto row = c.row(id);
  CHECK(row.state == JobState::Cancelled);
  REQUIRE(row.elements.size() == 100);
  for (const auto& element : row.elements) {
    const bool cancelled = element->index >= 5 && element->index <= 90;
    CHECK(element->state == (cancelled ? JobState::Cancelled : JobState::Completed));
  }
  c.crash();
  c.pump();
  CHECK(c.row(id).elements.at(50)->state == JobState::Cancelled);
}

// Goal: ten million pending elements are one record. Method: submit, cancel, look at the answer.
TEST_CASE("ten million elements cost nothing while they wait", "[gang]") {
  Cluster c(two_nodes());
  c.pump();
  auto wish = spec();
  set_array(wish, 1, 10'000'000);
  const auto id = c.submit(wish);
  CHECK(c.row(id, false).elements_total == 10'000'000);
  CHECK(c.master.launched.size() == 8);
  CHECK(c.ask(cancel_frame(id))->body_as_Done()->count() == 10'000'000);
  c.pump();
  CHECK(c.state(id) == JobState::Cancelled);
  CHECK(c.store.job(id)->ended_elements.size() == 1);
}

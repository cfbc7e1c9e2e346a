// Goal: on an idle cluster a job starts on offers that are there already, in one commit. Method: a GangCore with standing
// wants against a scripted master that keeps them offered.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

GangConfig warm() {
  GangConfig config = Cluster::default_config();
  config.standing_pieces = 8;
  return config;
}

}  // namespace

TEST_CASE("an idle gang keeps its standing offers and starts the next job on them without asking", "[gang]") {
  Cluster c(two_nodes(), warm());
  c.pump();
  REQUIRE(c.master.wants.size() == 1);
  CHECK(c.master.wants.front().standing);
  CHECK(c.master.declined == 0);
  c.master.wants.clear();  // whatever were asked now would show
  c.master.auto_offer = false;
  const auto id = c.submit(spec(2), 1);
  CHECK(c.state(id) == JobState::Running);
  for (const auto& want : c.master.wants) {
    CHECK(want.standing);
  }
  CHECK(c.master.accepts == 1);
}

TEST_CASE("a gang whose standing offers are taken back asks for what its jobs need", "[gang]") {
  Cluster c(two_nodes(), warm());
  c.pump();
  c.master.auto_offer = false;
  c.master.rescind_all();
  c.pump();
  c.master.wants.clear();
  const auto id = c.submit(spec(2), 1);
  CHECK(c.state(id) == JobState::Pending);
  REQUIRE(c.master.wants.size() == 1);
  CHECK_FALSE(c.master.wants.front().standing);
  c.master.auto_offer = true;
  c.master.offer();
  c.pump();
  CHECK(c.state(id) == JobState::Running);
}

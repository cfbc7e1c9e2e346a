// Goal: large arrays and wide gangs cost the scheduler no more at once than it can do between two frames, and lose nothing by
// that. Method: a GangCore against a scripted master and a memory store; the batches are looked into before they are committed.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

std::vector<op::PutAttempt> attempts_in(const StoreBatch& batch) {
  std::vector<op::PutAttempt> found;
  for (const StoreOp& op : batch.ops) {
    if (const auto* put = std::get_if<op::PutAttempt>(&op)) {
      found.push_back(*put);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("a long array starts in several passes, and all of it starts", "[gang]") {
  std::vector<ScriptedMaster::Node> nodes;
  for (const char* name : {"n1", "n2", "n3"}) {
    nodes.push_back({name, *parse_resources("cpus=4000;mem=4000G"), fb::NodeState::Up});
  }
  Cluster c(std::move(nodes));
  c.pump();
  c.master.auto_offer = false;
  fb::JobSpecT job = spec();
  set_array(job, 0, 11'999);
  const std::uint64_t id = c.submit(job);
  c.pump();
  c.hold_commits = true;
  c.master.offer();
  c.pump();
  REQUIRE(c.waiting);
  const std::size_t first = attempts_in(*c.waiting).size();
  CHECK(first >= 4'000);
  CHECK(first < 9'000);
  CHECK(c.core->audit());
  c.hold_commits = false;
  c.master.auto_offer = true;  // a node that was used in part is offered again
  c.pump(200);
  CHECK(c.master.tasks.size() == 12'000);
  CHECK(c.master.declined == 0);  // what the first pass left over was for the second
  CHECK(c.state(id) == JobState::Running);
  CHECK(c.core->audit());
}

TEST_CASE("a batch holds a gang's record once, with all its members' news", "[gang]") {
  std::vector<ScriptedMaster::Node> nodes;
  for (int i = 1; i <= 20; ++i) {
    nodes.push_back({"n" + std::to_string(i), *parse_resources("cpus=1;mem=4G"), fb::NodeState::Up});
  }
  Cluster c(std::move(nodes));
  c.pump();
  const std::uint64_t id = c.submit(spec(20));
  c.pump();
  REQUIRE(c.master.tasks.size() == 20);
  c.hold_commits = true;
  std::vector<AttemptId> members;
  for (const auto& [attempt, task] : c.master.tasks) {
    members.push_back(attempt);
  }
  // Whatever goes with the first one's end, the others' are together in the batch after it.
  for (std::size_t i = 0; i < 19; ++i) {
    c.master.end_task(members[i], TaskState::finished, i == 7 ? 3 : 0);
  }
  c.pump();
  REQUIRE(c.waiting);
  CHECK(attempts_in(*c.waiting).size() == 1);
  c.hold_commits = false;
  c.pump();
  REQUIRE(c.store.job(id)->attempts.size() == 1);
  CHECK(c.store.job(id)->attempts[0].ends.size() == 19);
  c.crash();
  c.pump();
  c.master.end_task(members[19], TaskState::finished);
  c.pump();
  CHECK(c.state(id) == JobState::Failed);
  CHECK(c.row(id).exit_code == 3);
  CHECK(c.store.job(id)->attempts[0].ends.empty());
}


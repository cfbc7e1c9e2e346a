// Goal: a crash of the gang framework between any two steps loses nothing acknowledged and runs nothing twice.
// Method: one scenario (single jobs, a gang, an array, a requeue), crashed after step k, for every k; the scripted
// master refuses an attempt that is launched twice, the store one that ends twice.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

// Drives everything to its end; returns how many steps it took. Crashes after `crash_at` steps.
int play(int crash_at, bool lose_commit_in_flight) {
  Cluster c(two_nodes());
  c.crash_after = crash_at;
  c.lose_commit_in_flight = lose_commit_in_flight;
  std::vector<FrameBytes> submits;
  submits.push_back(submit_frame(spec(), 1, 1));
  submits.push_back(submit_frame(spec(8), 2, 2));
  auto array = spec();
  set_array(array, 1, 20, 6);
  submits.push_back(submit_frame(array, 3, 3));
  auto requeue = spec();
  requeue.requeue = true;
  submits.push_back(submit_frame(requeue, 4, 4));
  std::map<std::uint64_t, std::uint64_t> acknowledged;  // request → job
  bool lost_one = false;
  std::map<std::pair<std::uint64_t, std::uint32_t>, int> finished;  // (job, index) → elements that ran to their end
  for (int round = 0; round < 400; ++round) {
    if (acknowledged.size() < submits.size()) {
      // A user repeats what was not answered, with the same key.
      for (std::size_t i = 0; i < submits.size(); ++i) {
        if (!acknowledged.contains(i + 1)) {
          c.core->on_user_frame(LinkId(5), Peer{true, 1000, 1}, **verify_frame(submits[i]), c.now());
        }
      }
    }
    for (int i = 0; i < 4 && c.step(); ++i) {
    }
    for (const FrameBytes& bytes : c.answers) {
      const auto* submitted = (*verify_frame(bytes))->body_as_Submitted();
      if (submitted != nullptr) {
        const auto [known, fresh] = acknowledged.emplace(submitted->request(), submitted->job());
        REQUIRE((fresh || known->second == submitted->job()));
      }
    }
    c.answers.clear();
    std::vector<AttemptId> running;
    for (const auto& [id, task] : c.master.tasks) {
      if (task.state == TaskState::running) {
        running.push_back(id);
      }
    }
    for (std::size_t i = 0; i < running.size() && i < 3; ++i) {
      const std::uint64_t job = running[i].hi >> 16U;
      if (acknowledged.contains(4) && job == acknowledged.at(4) && !lost_one) {
        lost_one = true;
        c.master.end_task(running[i], TaskState::lost, 0, TaskReason::node_lost);
      } else {
        c.master.end_task(running[i], TaskState::finished, 0);
        if ((running[i].lo >> 32U) == 0) {
          ++finished[{job, static_cast<std::uint32_t>(running[i].lo)}];
        }
      }
    }
    c.step();
    c.advance(Duration::from_ms(100));
    bool all = acknowledged.size() == submits.size();
    for (const auto& [request, job] : acknowledged) {
      const LoadedJob* stored = c.store.job(job);
      REQUIRE(stored != nullptr);  // acknowledged: on record
      all = all && stored->state != JobState::Pending;
    }
    if (all) {
      break;
    }
  }
  INFO("crash after step " << crash_at << (lose_commit_in_flight ? ", losing" : ", keeping") << " the commit in flight; "
                           << c.core->status_text());
  REQUIRE(acknowledged.size() == submits.size());
  CHECK(lost_one);
  for (const auto& [request, job] : acknowledged) {
    CHECK(c.store.job(job)->state == JobState::Completed);
  }
  CHECK(finished.size() == 1 + 1 + 20 + 1);
  for (const auto& [element, times] : finished) {
    CHECK(times == 1);
  }
  c.pump();
  CHECK(c.master.tasks.empty());
  return c.steps;
}

}  // namespace

TEST_CASE("a crash of the gang framework after any step loses nothing and repeats nothing", "[gang]") {
  const int steps = play(0, true);
  REQUIRE(steps > 50);
  for (int k = 1; k <= steps; ++k) {
    play(k, true);
    play(k, false);
  }
}

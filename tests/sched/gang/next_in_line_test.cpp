// Goal: elements of an array are launched behind what runs, are shown as pending, and come back without counting as
// failed starts. Method: a GangCore against a scripted master that keeps the lines.
#include "tests/sched/gang/harness.hpp"

using namespace muster;
using namespace muster::gang;
using namespace muster::gang::test;

namespace {

GangConfig with_lines() {
  GangConfig config = Cluster::default_config();
  config.next_in_line = true;
  return config;
}

std::size_t count(const Cluster& c, TaskState state) {
  return static_cast<std::size_t>(std::count_if(c.master.tasks.begin(), c.master.tasks.end(),
                                                [&](const auto& task) { return task.second.state == state; }));
}

std::vector<AttemptId> in_state(const Cluster& c, TaskState state) {
  std::vector<AttemptId> ids;
  for (const auto& [id, task] : c.master.tasks) {
    if (task.state == state) {
      ids.push_back(id);
    }
  }
  return ids;
}

std::uint32_t shown(const fb::JobRowT& row, JobState state) {
  for (const fb::StateCount& counted : row.counts) {
    if (counted.state() == state) {
      return counted.count();
    }
  }
  return 0;
}

std::uint64_t submit_array(Cluster& c, std::uint32_t size, std::uint32_t throttle = 0) {
  fb::JobSpecT job = spec();
  set_array(job, 0, size - 1, throttle);
  return c.submit(job, size + throttle + 1);
}

// Lines are formed when the master has had time to offer what is free, with the next end.
void form_lines(Cluster& c) {
  c.pump();
  c.advance(Duration::from_ms(30));
  const auto running = in_state(c, TaskState::running);
  REQUIRE_FALSE(running.empty());
  c.master.end_task(running.front(), TaskState::finished);
  c.pump();
}

// Ends all that runs, again and again.
void run_out(Cluster& c) {
  for (int i = 0; i < 1000 && count(c, TaskState::running) > 0; ++i) {
    for (const AttemptId& id : in_state(c, TaskState::running)) {
      c.master.end_task(id, TaskState::finished);
    }
    c.pump();
  }
}

}  // namespace

TEST_CASE("an array goes on behind its own elements, two deep", "[gang]") {
  Cluster c(two_nodes(), with_lines());
  c.pump();
  const auto id = submit_array(c, 200);
  c.pump();
  const std::size_t slots = count(c, TaskState::running);
  REQUIRE(slots > 0);
  CHECK(count(c, TaskState::queued) == 0);
  form_lines(c);
  CHECK(count(c, TaskState::running) == slots);
  CHECK(count(c, TaskState::queued) == 2 * slots);
  const auto row = c.row(id);
  CHECK(row.state == JobState::Running);
  CHECK(shown(row, JobState::Running) == slots);
  CHECK(shown(row, JobState::Pending) == 199 - slots);
  std::size_t next = 0;
  for (const auto& element : row.elements) {
    if (element->state == JobState::Pending && !element->nodes.empty()) {
      CHECK(element->reason == "next in line on " + element->nodes.front());
      ++next;
    }
  }
  CHECK(next == 2 * slots);
  // One end, one start on the node, one more in line.
  const auto offers_before = c.master.accepts;
  c.master.end_task(in_state(c, TaskState::running).front(), TaskState::finished);
  c.pump();
  CHECK(count(c, TaskState::running) == slots);
  CHECK(count(c, TaskState::queued) == 2 * slots);
  CHECK(c.master.accepts == offers_before + 1);
  run_out(c);
  CHECK(c.state(id) == JobState::Completed);
  CHECK(shown(c.row(id), JobState::Completed) == 200);
  CHECK(c.core->audit());
}

TEST_CASE("no successor is launched while a job of another shape waits first, or the array is throttled", "[gang]") {
  {
    Cluster c(two_nodes(), with_lines());
    c.pump();
    (void)submit_array(c, 4);
    c.pump();
    c.advance(Duration::from_ms(30));
    fb::JobSpecT wide = spec(2);
    wide.nodes_min = wide.nodes_max = 2;
    wide.cpus_per_task_milli = 4000;
    (void)c.submit(wide, 900);
    (void)submit_array(c, 50);
    form_lines(c);
    CHECK(count(c, TaskState::queued) == 0);
  }
  {
    Cluster c(two_nodes(), with_lines());
    c.pump();
    (void)submit_array(c, 50, 3);
    form_lines(c);
    CHECK(count(c, TaskState::running) == 3);
    CHECK(count(c, TaskState::queued) == 0);
  }
}

TEST_CASE("a hold takes back what waits in line, and a release lets it go on", "[gang]") {
  Cluster c(two_nodes(), with_lines());
  c.pump();
  const auto id = submit_array(c, 100);
  form_lines(c);
  const std::size_t slots = count(c, TaskState::running);
  REQUIRE(count(c, TaskState::queued) == 2 * slots);
  fb::HoldJobT hold;
  hold.request = 77;
  hold.jobs.push_back(std::make_unique<fb::JobRangeT>());
  hold.jobs.back()->job = id;
  (void)c.ask(pack_frame<fb::HoldJob>({}, hold));
  c.pump();
  CHECK(c.master.recalls.size() == 2 * slots);
  CHECK(count(c, TaskState::queued) == 0);
  CHECK(shown(c.row(id), JobState::Pending) == 99 - slots);
  CHECK(c.row(id).reason.find("Held") != std::string::npos);
  run_out(c);
  CHECK(count(c, TaskState::running) == 0);
  fb::ReleaseJobT release;
  release.request = 78;
  release.jobs.push_back(std::make_unique<fb::JobRangeT>());
  release.jobs.back()->job = id;
  (void)c.ask(pack_frame<fb::ReleaseJob>({}, release));
  c.pump();
  run_out(c);
  CHECK(c.state(id) == JobState::Completed);
}

TEST_CASE("cancelled elements in line never run", "[gang]") {
  Cluster c(two_nodes(), with_lines());
  c.pump();
  const auto id = submit_array(c, 100);
  form_lines(c);
  REQUIRE(count(c, TaskState::queued) > 0);
  const std::size_t started = count(c, TaskState::running) + 1;  // one has ended
  (void)c.ask(cancel_frame(id));
  c.pump();
  CHECK(c.state(id) == JobState::Cancelled);
  CHECK(shown(c.row(id), JobState::Cancelled) == 99);
  const auto row = c.row(id);
  std::size_t never = 0;
  for (const auto& element : row.elements) {
    never += element->started_ns == 0 ? 1 : 0;
  }
  CHECK(never == 100 - started);
}

TEST_CASE("what waits in line moves to where something is offered", "[gang]") {
  Cluster c(two_nodes(), with_lines());
  c.pump();
  (void)submit_array(c, 24);
  form_lines(c);
  REQUIRE(count(c, TaskState::queued) > 0);
  // All is started or in line. One node's tasks end, the other's go on and on.
  while (count(c, TaskState::queued) > 0) {
    const auto running = in_state(c, TaskState::running);
    const auto ends = std::find_if(running.begin(), running.end(),
                                   [&](const AttemptId& id) { return c.master.tasks.at(id).node == 0; });
    REQUIRE(ends != running.end());
    c.master.end_task(*ends, TaskState::finished);
    c.pump();
  }
  CHECK_FALSE(c.master.recalls.empty());
  run_out(c);
  CHECK(count(c, TaskState::running) == 0);
}

TEST_CASE("an element that comes back from a line is tried again at once and counts no failed start", "[gang]") {
  Cluster c(two_nodes(), with_lines());
  c.pump();
  const auto id = submit_array(c, 100);
  form_lines(c);
  for (int i = 0; i < 5; ++i) {
    const auto queued = in_state(c, TaskState::queued);
    REQUIRE_FALSE(queued.empty());
    c.master.end_task(queued.front(), TaskState::not_started, 0, TaskReason::recalled);
    c.pump();
    // The master wants its slots back: no line is formed for a while.
    CHECK(count(c, TaskState::queued) == queued.size() - 1);
    CHECK(c.row(id).reason.find("Retrying") == std::string::npos);
    c.advance(Duration::from_ms(300));
    c.master.end_task(in_state(c, TaskState::running).front(), TaskState::finished);
    c.pump();
  }
  run_out(c);
  CHECK(c.state(id) == JobState::Completed);
  for (const auto& element : c.row(id).elements) {
    CHECK(element->try_number == 1);  // to its user it was tried once
  }
}

TEST_CASE("a gang that restarts finds its elements in line and forms no line behind what it did not launch", "[gang]") {
  Cluster c(two_nodes(), with_lines());
  c.pump();
  const auto id = submit_array(c, 60);
  form_lines(c);
  const std::size_t slots = count(c, TaskState::running);
  c.crash();
  c.pump();
  CHECK(count(c, TaskState::queued) == 2 * slots);
  CHECK(shown(c.row(id), JobState::Running) == slots);
  CHECK(shown(c.row(id), JobState::Pending) == 59 - slots);
  run_out(c);
  CHECK(c.state(id) == JobState::Completed);
}

// NodeCore: tasks with fractions of a cpu share a pool of cpus, and follow it when it changes.
#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {

const AttemptId kA{1, 1};
const AttemptId kB{1, 2};
const AttemptId kC{1, 3};

LaunchArgs fraction(const AttemptId& attempt, std::uint32_t cpus_milli) {
  LaunchArgs args{.attempt = attempt};
  args.shape = shape_of(0);
  args.shape.cpus_milli = cpus_milli;
  return args;
}

using Cpus = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("tasks that share the pool are bound anew when it grows and when a whole task takes of it") {
  // Goal: after every step all live pool tasks are bound to exactly the pool. Method: four cpus (100-103); A and B
  // make the pool 2, B's end leaves a surplus that the whole task C takes.
  Harness h(4);
  h.up();
  h.launch({fraction(kA, 600)});
  REQUIRE(h.taken<command::Start>().at(0).task.cpus == Cpus{100});
  h.started(kA);
  REQUIRE(h.last_update().cpus == "0");
  h.launch({fraction(kB, 900)});
  REQUIRE(h.taken<command::Start>().at(0).task.cpus == Cpus{100, 101});
  auto rebinds = h.taken<command::Rebind>();
  REQUIRE(rebinds.size() == 1);
  REQUIRE(rebinds[0].attempt == kA);
  REQUIRE(rebinds[0].cpus == Cpus{100, 101});
  REQUIRE(h.last_update().attempt == kA);
  REQUIRE(h.last_update().state == TaskState::running);
  REQUIRE(h.last_update().cpus == "0-1");

  h.started(kB);
  h.ended(kB);
  REQUIRE(h.taken<command::Rebind>().empty());  // the surplus stays until it is needed
  h.launch({{.attempt = kC, .shape = shape_of(3)}});
  REQUIRE(h.commands.size() == 2);
  REQUIRE(std::holds_alternative<command::Rebind>(h.commands[0]));  // A leaves before C comes
  REQUIRE(std::get<command::Rebind>(h.commands[0]).attempt == kA);
  REQUIRE(std::get<command::Rebind>(h.commands[0]).cpus == Cpus{100});
  REQUIRE(std::get<command::Start>(h.commands[1]).task.cpus == Cpus{101, 102, 103});
  REQUIRE(h.updates[h.updates.size() - 1].cpus == "0");
}

TEST_CASE("one frame of launches rebinds a pool task once") {
  Harness h(4);
  h.up();
  h.launch({fraction(kA, 900), fraction(kB, 900), fraction(kC, 900)});
  const auto starts = h.taken<command::Start>();
  REQUIRE(starts.size() == 3);
  REQUIRE(starts[2].task.cpus == Cpus{100, 101, 102});
  const auto rebinds = h.taken<command::Rebind>();
  REQUIRE(rebinds.size() == 2);
  for (const command::Rebind& rebind : rebinds) {
    REQUIRE(rebind.cpus == Cpus{100, 101, 102});
  }
}

TEST_CASE("an agent that comes back binds the pool's tasks to what it has made of the pool") {
  // Goal: books and bindings agree after a restart, whatever the notes of the start say. Method: A was started on one
  // cpu, later the pool had two.
  Harness h(4);
  h.up();
  h.launch({fraction(kA, 600)});
  h.launch({fraction(kB, 900)});
  std::vector<RecoveredTask> tasks;
  for (const command::Start& start : h.taken<command::Start>()) {
    RecoveredTask task;
    task.task = start.task;
    task.phase = RecoveredTask::Phase::started;
    task.started = h.now.wall;
    tasks.push_back(task);
  }
  h.commands.clear();
  h.start_agent();
  h.hello(tasks);
  const auto rebinds = h.taken<command::Rebind>();
  REQUIRE(rebinds.size() == 2);
  REQUIRE(rebinds[0].cpus == rebinds[1].cpus);
  REQUIRE(rebinds[0].cpus == Cpus{100, 101});
}

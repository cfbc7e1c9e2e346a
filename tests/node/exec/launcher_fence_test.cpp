// Goal: requeueable tasks end at the fence although no agent lives, and their end is told truthfully.
// Method: a real launcher and real tasks; the agent's end goes away before the fence.
#include "node/exec/run_log_file.hpp"
#include "tests/node/exec/launcher_home.hpp"

using namespace muster;
using namespace muster::node;

namespace {

Instant in_ms(std::int64_t ms) { return SystemClock().now().mono + Duration::from_ms(ms); }

}  // namespace

TEST_CASE("without an agent the launcher ends requeueable tasks at the fence, and no others") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  TaskStart requeueable = home.shell("(trap '' TERM; setsid sleep 1000) & touch ready.0; sleep 1000");
  requeueable.requeueable = true;
  TaskStart other = home.shell("echo $$ > other; touch ready.1; exec sleep 1000");
  other.environment = {"PATH=/usr/bin:/bin"};
  TaskStart parked = home.shell("touch executed");
  parked.requeueable = true;
  parked.park = true;
  const Instant fence = in_ms(1500);
  home.send(command::Fence{in_ms(700)});
  home.send(command::Start{requeueable});
  home.send(command::Start{other});
  home.send(command::Start{parked});
  home.send(command::Fence{fence});  // contact: the earlier one counts no more
  REQUIRE(home.wait_event<event::Parked>(parked));
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready.0")) && std::filesystem::exists(home.file("ready.1")); }));
  home.disconnect();
  REQUIRE(eventually([&] {
    const auto log = RunLogFile::read(home.directory());
    return log && log->tasks.size() == 3 && log->tasks[0].known.phase == RecoveredTask::Phase::ended &&
           log->tasks[2].known.phase == RecoveredTask::Phase::ended;
  }));
  CHECK(SystemClock().now().mono >= fence);
  CHECK(living_with(home.mark()).empty());  // verified before it was written
  const auto other_pid = static_cast<pid_t>(first_number(slurp(home.file("other"))));
  CHECK(LauncherHome::is_alive(other_pid));

  const bool launcher_dies = GENERATE(false, true);
  if (launcher_dies) {
    home.kill_launcher();
  }
  const LauncherHello hello = home.connect();
  REQUIRE(hello.tasks.size() == 3);
  CHECK(hello.tasks[0].end.state == TaskState::killed);
  CHECK(hello.tasks[0].end.reason == TaskReason::fenced);
  CHECK(hello.tasks[2].end.state == TaskState::not_started);
  CHECK(hello.tasks[2].end.reason == TaskReason::fenced);
  CHECK(!std::filesystem::exists(home.file("executed")));
  if (!launcher_dies) {
    CHECK(hello.tasks[1].phase == RecoveredTask::Phase::started);
  }
}

TEST_CASE("a requeueable task that comes after the fence ends too, and contact revives the node") {
  LauncherHome home;
  home.connect();
  home.send(command::Fence{in_ms(-1000)});
  TaskStart late = home.shell("sleep 1000");
  late.requeueable = true;
  home.send(command::Start{late});
  const event::Ended ended = home.wait_end(late);
  CHECK(ended.reason == TaskReason::fenced);
  home.send(command::Fence{in_ms(60'000)});
  TaskStart next = home.shell("exit 3");
  next.requeueable = true;
  home.send(command::Start{next});
  CHECK(home.wait_end(next).exit_code == 3);
}

TEST_CASE("a kill that was asked for before the fence keeps its reason") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("trap '' TERM; touch ready; while :; do sleep 0.01; done");
  task.requeueable = true;
  home.send(command::Start{task});
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready")); }));
  home.send(command::Kill{task.framework, task.attempt, SIGTERM, 600'000});
  home.send(command::Fence{in_ms(0)});
  const event::Ended ended = home.wait_end(task);  // within the fence's grace, not the kill's
  CHECK(ended.state == TaskState::killed);
  CHECK(ended.reason == TaskReason::kill_requested);
}

TEST_CASE("what was forgotten is told to every later agent, over the launcher's death and a rewritten log") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("true");
  home.send(command::Start{task});
  home.wait_end(task);
  home.send(command::Forget{task.framework, task.attempt});
  home.send(command::Forget{FrameworkId(9), AttemptId{4, 4}});  // never came to the launcher
  const std::vector<AttemptKey> expected{{task.framework, task.attempt}, {FrameworkId(9), AttemptId{4, 4}}};
  CHECK(eventually([&] { return RunLogFile::read(home.directory())->forgotten == expected; }));
  LauncherHello hello = home.connect();
  CHECK(hello.tasks.empty());
  CHECK(hello.forgotten == expected);
  for (int life = 0; life < 2; ++life) {
    home.kill_launcher();
    hello = home.connect();
    CHECK(hello.tasks.empty());
    CHECK(hello.forgotten == expected);
  }
}

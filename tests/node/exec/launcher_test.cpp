// Goal: tasks start, end and fail the way the launcher says. Method: a real launcher in a temporary
// directory, spoken to through its socket; once with the machine's control groups, once without.
#include <sys/resource.h>

#include "tests/node/exec/launcher_home.hpp"

using namespace muster;
using namespace muster::node;

TEST_CASE("a task's exit code, output and process come back") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  const LauncherHello hello = home.connect();
  CHECK(!hello.boot_id.empty());
  CHECK((!plain || hello.containment.starts_with("plain")));
  TaskStart task = home.shell("echo hello $RANK; echo $$; exit 7");
  home.send(command::Start{task});
  const auto started = home.wait_event<event::Started>(task);
  REQUIRE(started);
  REQUIRE(started->processes.size() == 1);
  CHECK(started->processes[0].start_time_ticks > 0);
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.state == TaskState::finished);
  CHECK(ended.exit_code == 7);
  CHECK(ended.signal == 0);
  CHECK(ended.started.ns() > 0);
  CHECK(ended.ended >= ended.started);
  REQUIRE(ended.ranks.size() == 1);
  CHECK(ended.ranks[0].exit_code == 7);
  CHECK(home.output(task) == "hello 0\n" + std::to_string(started->processes[0].pid) + "\n");
}

TEST_CASE("a signal beats an exit code, and the largest code wins") {
  LauncherHome home;
  home.connect();
  TaskStart signalled = home.shell("if [ $RANK = 1 ]; then kill -SEGV $$; fi; exit 200", 3);
  home.send(command::Start{signalled});
  event::Ended ended = home.wait_end(signalled);
  CHECK(ended.state == TaskState::finished);
  CHECK(ended.signal == SIGSEGV);
  CHECK(ended.exit_code == 128 + SIGSEGV);
  REQUIRE(ended.ranks.size() == 3);
  CHECK(ended.ranks[0].exit_code == 200);
  CHECK(ended.ranks[1].signal == SIGSEGV);
  TaskStart coded = home.shell("exit $((RANK * 3))", 3);
  home.send(command::Start{coded});
  ended = home.wait_end(coded);
  CHECK(ended.signal == 0);
  CHECK(ended.exit_code == 6);
}

TEST_CASE("what can't start says why, with a type and a sentence") {
  const bool park = GENERATE(false, true);
  LauncherHome home;
  home.connect();
  auto ends = [&](TaskStart task, TaskReason reason, const std::string& words) {
    task.park = park;
    home.send(command::Start{task});
    const event::Ended ended = home.wait_end(task);
    INFO(ended.text);
    CHECK(ended.state == TaskState::start_failed);
    CHECK(ended.reason == reason);
    CHECK(ended.text.find(words) != std::string::npos);
    CHECK(ended.exit_code != 0);
  };
  TaskStart task = home.shell("");
  task.argv = {"no-such-command"};
  ends(task, TaskReason::exec_not_found, "'no-such-command' was not found in PATH (/usr/bin:/bin)");
  task = home.shell("");
  task.argv = {"./missing"};
  ends(task, TaskReason::exec_not_found, "'./missing' was not found: No such file or directory");
  task = home.shell("");
  std::ofstream(home.file("plain-file")) << "text\n";
  task.argv = {home.file("plain-file")};
  ends(task, TaskReason::exec_not_executable, "not executable: Permission denied");
  task = home.shell("");
  task.argv = {"/tmp"};
  ends(task, TaskReason::exec_not_executable, "Is a directory");
  task = home.shell("true");
  task.working_directory = "/no/such/dir";
  ends(task, TaskReason::bad_directory, "'/no/such/dir' can't be entered: No such file or directory");
  task = home.shell("true", 2);
  task.ranks[1].stdout_path = "/no/such/dir/out";
  ends(task, TaskReason::bad_output, "'/no/such/dir/out' can't be opened");
  task = home.shell("true");
  task.stdin_path = home.file("no-input");
  ends(task, TaskReason::bad_output, "input file");
  task = home.shell("true");
  task.switch_user = true;
  task.uid = 4'242'424;
  task.gid = 4'242'424;
  ends(task, TaskReason::unknown_user, "user id 4242424 is unknown");
  task = home.shell("true");
  task.argv = {};
  ends(task, TaskReason::spawn_failed, "no command");
  task = home.shell("true");
  task.cpus = {5000};
  ends(task, TaskReason::spawn_failed, "none of the task's cpus (5000)");
  // Nothing of a failed task remains, and the launcher still works.
  CHECK(living_with(home.mark()).empty());
  task = home.shell("true");
  home.send(command::Start{task});
  CHECK(home.wait_end(task).state == TaskState::finished);
}

TEST_CASE("a program that the kernel refuses is a failed start") {
  LauncherHome home;
  home.connect();
  {
    std::ofstream(home.file("empty-program")) << "neither ELF nor script";
    ::chmod(home.file("empty-program").c_str(), 0755);
    std::ofstream(home.file("bad-script")) << "#!/no/such/interpreter\n";
    ::chmod(home.file("bad-script").c_str(), 0755);
  }
  const std::uint32_t ranks = GENERATE(1U, 2U);
  TaskStart task = home.shell("", ranks);
  task.argv = {home.file("empty-program")};
  home.send(command::Start{task});
  event::Ended ended = home.wait_end(task);
  CHECK(ended.state == TaskState::start_failed);
  CHECK(ended.reason == TaskReason::exec_not_executable);
  CHECK(ended.exit_code == 126);
  task = home.shell("", ranks);
  task.argv = {home.file("bad-script")};
  home.send(command::Start{task});
  ended = home.wait_end(task);
  CHECK(ended.state == TaskState::start_failed);
  CHECK(ended.reason == TaskReason::exec_not_found);
  CHECK(ended.text.find("interpreter") != std::string::npos);
}

TEST_CASE("parked ranks exec after Go and not before") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("echo ran $RANK >> trace", 4);
  task.park = true;
  home.send(command::Start{task});
  REQUIRE(home.wait_event<event::Parked>(task));
  CHECK(!home.wait_event<event::Started>(task, std::chrono::milliseconds(100)));
  CHECK(slurp(home.file("trace")).empty());
  home.send(command::Go{task.framework, task.attempt});
  const auto started = home.wait_event<event::Started>(task);
  REQUIRE(started);
  CHECK(started->processes.size() == 4);
  CHECK(home.wait_end(task).state == TaskState::finished);
  CHECK(slurp(home.file("trace")).size() == 4 * std::string("ran 0\n").size());
}

TEST_CASE("a released or killed parked task leaves no trace of an exec") {
  LauncherHome home;
  home.connect();
  const bool by_kill = GENERATE(false, true);
  TaskStart task = home.shell("echo ran >> trace", 3);
  TaskStart other = home.shell("echo other >> trace", 2);
  task.park = other.park = true;
  home.send(command::Start{task});
  home.send(command::Start{other});
  REQUIRE(home.wait_event<event::Parked>(task));
  REQUIRE(home.wait_event<event::Parked>(other));
  if (by_kill) {
    home.send(command::Kill{task.framework, task.attempt, SIGTERM, 1000});
  } else {
    home.send(command::Release{task.framework, task.attempt});
  }
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.state == TaskState::not_started);
  CHECK(ended.reason == (by_kill ? TaskReason::kill_requested : TaskReason::released));
  CHECK(ended.started.ns() == 0);
  CHECK(slurp(home.file("trace")).empty());
  home.send(command::Go{task.framework, task.attempt});  // too late: no effect
  home.send(command::Go{other.framework, other.attempt});
  CHECK(home.wait_end(other).state == TaskState::finished);
  CHECK(slurp(home.file("trace")) == "other\nother\n");
}

TEST_CASE("a killed launcher's parked ranks never exec") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("echo ran >> trace", 3);
  task.park = true;
  home.send(command::Start{task});
  REQUIRE(home.wait_event<event::Parked>(task));
  home.kill_launcher();
  const LauncherHello hello = home.connect();
  event::Ended ended;
  REQUIRE(hello.tasks.size() == 1);
  if (hello.tasks[0].phase == RecoveredTask::Phase::ended) {
    ended = hello.tasks[0].end;
  } else {
    ended = home.wait_end(task);
  }
  CHECK(ended.state == TaskState::not_started);
  CHECK(ended.reason == TaskReason::launcher_died);
  CHECK(hello.tasks[0].task.agent_note == "note of the agent");
  CHECK(slurp(home.file("trace")).empty());
}

TEST_CASE("an attempt that is known is not started again") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("echo ran >> trace");
  home.send(command::Start{task});
  home.send(command::Start{task});
  CHECK(home.wait_end(task).state == TaskState::finished);
  home.send(command::Start{task});
  CHECK(home.wait_end(task).state == TaskState::finished);
  CHECK(slurp(home.file("trace")) == "ran\n");
}

TEST_CASE("an agent that comes back learns what happened without it") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  TaskStart ends = home.shell("while [ ! -e go ]; do sleep 0.01; done; touch done; exit 3");
  TaskStart stays = home.shell("sleep 1000");
  home.send(command::Start{ends});
  home.send(command::Start{stays});
  REQUIRE(home.wait_event<event::Started>(ends));
  REQUIRE(home.wait_event<event::Started>(stays));
  const pid_t launcher = home.launcher_pid();
  home.disconnect();
  std::ofstream(home.file("go")) << "";
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("done")); }));
  LauncherHello hello = home.connect();
  CHECK(home.launcher_pid() == launcher);
  REQUIRE(hello.tasks.size() == 2);
  const event::Ended ended = hello.tasks[0].phase == RecoveredTask::Phase::ended ? hello.tasks[0].end : home.wait_end(ends);
  CHECK(ended.exit_code == 3);
  CHECK(hello.tasks[1].phase == RecoveredTask::Phase::started);
  CHECK(hello.tasks[1].processes.size() == 1);
  home.send(command::Forget{ends.framework, ends.attempt});
  home.send(command::Forget{stays.framework, stays.attempt});  // still runs: stays known
  hello = home.connect();
  REQUIRE(hello.tasks.size() == 1);
  CHECK(hello.tasks[0].task.attempt == stays.attempt);
  home.send(command::Kill{stays.framework, stays.attempt, SIGTERM, 1000});
  CHECK(home.wait_end(stays).state == TaskState::killed);
}

TEST_CASE("a second launcher in the same directory is refused") {
  LauncherHome home;
  home.connect();
  const std::string command =
      LauncherHome::launcher_path() + " --dir " + home.directory() + " 2> " + home.file("second") + " < /dev/null";
  const int status = std::system(command.c_str());
  CHECK(WEXITSTATUS(status) == 3);
  CHECK(slurp(home.file("second")).find("already runs in " + home.directory()) != std::string::npos);
}

TEST_CASE("ranks get a clean process: no stray descriptors, limits as they were, signals at their default") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell(
      "ls /proc/self/fd | tr '\\n' ' '; ulimit -Sn; ulimit -c; umask; grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n'; "
      "cat; echo; echo $A-$B; pwd");
  task.environment.insert(task.environment.end(), {"A=1", "B=1", "A=2"});
  task.ranks[0].environment = {"B=3"};
  home.send(command::Start{task});
  REQUIRE(home.wait_end(task).exit_code == 0);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  // Four descriptors: 0 to 2, and the one with which ls reads the directory.
  CHECK(home.output(task) == "0 1 2 3 " + std::to_string(files.rlim_cur) +
                                 "\n0\n0022\nSigBlk:\t0000000000000000SigIgn:\t0000000000000000\n2-3\n" +
                                 home.directory() + "\n");
}

TEST_CASE("output is appended, or truncated by the first attempt") {
  LauncherHome home;
  home.connect();
  std::ofstream(home.file("log")) << "old\n";
  for (const bool truncate : {false, true}) {
    TaskStart task = home.shell("echo new; echo error >&2");
    task.truncate_output = truncate;
    task.ranks[0].stdout_path = home.file("log");
    home.send(command::Start{task});
    REQUIRE(home.wait_end(task).exit_code == 0);
    CHECK(slurp(home.file("log")) == (truncate ? "new\nerror\n" : "old\nnew\nerror\n"));
  }
  TaskStart task = home.shell("echo out; echo error >&2; cat");
  std::ofstream(home.file("input")) << "from input\n";
  task.stdin_path = home.file("input");
  task.ranks[0].stderr_path = home.file("err");
  home.send(command::Start{task});
  REQUIRE(home.wait_end(task).exit_code == 0);
  CHECK(home.output(task) == "out\nfrom input\n");
  CHECK(slurp(home.file("err")) == "error\n");
}

TEST_CASE("many tasks at once all end, each once") {
  LauncherHome home;
  home.connect();
  constexpr int kTasks = 300;
  for (int i = 0; i < kTasks; ++i) {
    TaskStart task = home.shell("echo x >> count; exit " + std::to_string(i % 3));
    REQUIRE(home.client().queue(command::Start{task}));
  }
  REQUIRE(home.client().flush());
  int ended = 0;
  int codes = 0;
  for (; ended < kTasks; ++ended) {
    REQUIRE(home.wait_for(
        [&](LauncherMessage& message) {
          auto* event = std::get_if<LauncherEvent>(&message);
          auto* end = event != nullptr ? std::get_if<event::Ended>(event) : nullptr;
          if (end != nullptr) {
            CHECK(end->state == TaskState::finished);
            codes += end->exit_code;
            return true;
          }
          return false;
        },
        std::chrono::seconds(60)));
    if (ended % 50 == 0) {
      REQUIRE(home.client().flush());
    }
  }
  CHECK(codes == kTasks);
  CHECK(slurp(home.file("count")).size() == kTasks * 2);
}

TEST_CASE("a directory longer than a socket's name will do") {
  LauncherHome home(false, std::string(100, 'd') + "/" + std::string(60, 'e'));
  home.connect();
  TaskStart task = home.shell("exit 2");
  home.send(command::Start{task});
  CHECK(home.wait_end(task).exit_code == 2);
}

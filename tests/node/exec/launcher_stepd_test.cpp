// Goal: a step daemon gets its plan, leaves its report, and nothing of its directory remains. Method: shells that play the
// daemon under a real launcher, alone (sharing its memory until exec) and parked (forked), and one that is killed with it.
#include <sys/stat.h>

#include <filesystem>

#include "tests/node/exec/launcher_home.hpp"

using namespace muster;
using namespace muster::node;

namespace {

TaskStart daemon_of(LauncherHome& home, const std::string& script) {
  TaskStart task = home.shell(script);
  task.ranks[0].stdout_path = home.file("never");
  task.input = "the plan\n" + std::string(300'000, 'p');
  task.has_report = true;
  task.directory = home.file("jobs/one");
  return task;
}

std::size_t entries_in(const std::string& directory) {
  const auto begin = std::filesystem::directory_iterator(directory);
  return static_cast<std::size_t>(std::distance(std::filesystem::begin(begin), std::filesystem::end(begin)));
}

void run_to_end(LauncherHome& home, const TaskStart& task) {
  home.send(command::Start{task});
  if (task.park) {
    REQUIRE(home.wait_event<event::Parked>(task));
    home.send(command::Go{task.framework, task.attempt});
  }
}

}  // namespace

TEST_CASE("a step daemon reads its plan from descriptor 0 and leaves its report on descriptor 1") {
  LauncherHome home;
  home.connect();
  TaskStart task = daemon_of(home, "head -n 1; wc -c | tr -d ' '; echo trouble >&2; stat -c %a jobs jobs/one; exit 3");
  task.park = GENERATE(false, true);
  const bool has_file = GENERATE(false, true);
  task.ranks[0].stderr_path = has_file ? home.file("errors") : "";
  run_to_end(home, task);
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.state == TaskState::finished);
  CHECK(ended.exit_code == 3);
  // `head` reads ahead: what is left is counted from where it stopped, in a file that is the same for both.
  CHECK(ended.report.substr(0, 9) == "the plan\n");
  CHECK(ended.report.find("711\n700\n") != std::string::npos);
  CHECK(ended.report.find("trouble") == std::string::npos);
  CHECK(ended.text.empty());
  CHECK(slurp(home.file("errors")) == (has_file ? "trouble\n" : ""));
  CHECK_FALSE(std::filesystem::exists(home.file("never")));
  CHECK_FALSE(std::filesystem::exists(task.directory));
  // What an agent that comes later learns.
  const LauncherHello hello = home.connect();
  REQUIRE(hello.tasks.size() == 1);
  CHECK(hello.tasks[0].end.report == ended.report);
  CHECK(slurp(home.file("run.log")).find("ppppppppp") == std::string::npos);
}

TEST_CASE("of a long report the beginning is kept, and a missing one is said") {
  LauncherHome home;
  home.connect();
  TaskStart loud = daemon_of(home, "head -c 1000000 /dev/zero | tr '\\0' x");
  run_to_end(home, loud);
  const event::Ended ended = home.wait_end(loud);
  CHECK(ended.report == std::string(kReportMax, 'x'));
  TaskStart silent = daemon_of(home, "kill -SEGV $$");
  run_to_end(home, silent);
  CHECK(home.wait_end(silent).text == "the step daemon ended by signal 11 and left no report");
}

TEST_CASE("a task's directory goes with all that is in it, and no link is followed") {
  LauncherHome home;
  home.connect();
  std::filesystem::create_directories(home.file("precious/inside"));
  std::ofstream(home.file("precious/file")) << "keep";
  // Many files, a deep path, directories closed to their own user, links out of it.
  TaskStart task = daemon_of(home,
                             "cd jobs/one; for i in $(seq 3000); do : > f$i; done; ln -s ../../precious link; ln -s / root\n"
                             "d=deep; for i in $(seq 200); do mkdir $d && cd $d; : > x; done; cd \"$OLDPWD\"\n"
                             "cd \"$MUSTER_TEST_HOME/jobs/one\"; mkdir -p a/b/c; : > a/b/c/x; chmod 0 a/b/c; chmod 0500 a/b; chmod 0 a\n"
                             "mkfifo pipe; echo done");
  run_to_end(home, task);
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.report == "done\n");
  CHECK_FALSE(std::filesystem::exists(task.directory));
  CHECK(eventually([&] { return entries_in(home.file("jobs")) == 0; }));
  CHECK(slurp(home.file("precious/file")) == "keep");
  CHECK(std::filesystem::exists(home.file("precious/inside")));
}

TEST_CASE("a step daemon that is lost with its launcher leaves no directory behind") {
  LauncherHome home;
  home.connect();
  TaskStart task = daemon_of(home, "mkdir jobs/one/sub; : > jobs/one/sub/file; : > ready; sleep 1000");
  run_to_end(home, task);
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready")); }));
  CHECK(std::filesystem::exists(home.file("jobs/one/sub/file")));
  home.kill_launcher();
  const LauncherHello hello = home.connect();
  REQUIRE(hello.tasks.size() == 1);
  if (hello.tasks[0].phase != RecoveredTask::Phase::ended) {
    CHECK(home.wait_end(task).state == TaskState::lost);
  }
  CHECK(entries_in(home.file("jobs")) == 0);
}

TEST_CASE("a directory is not made where others may write") {
  LauncherHome home;
  home.connect();
  std::filesystem::create_directory(home.file("jobs"));
  std::filesystem::permissions(home.file("jobs"), std::filesystem::perms::all);
  TaskStart task = daemon_of(home, "echo never");
  run_to_end(home, task);
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.state == TaskState::start_failed);
  CHECK(ended.text.find(home.file("jobs") + " must belong to user") != std::string::npos);

  TaskStart two = home.shell("true", 2);
  two.has_report = true;
  home.send(command::Start{two});
  CHECK(home.wait_end(two).text == "a task with an input or a report of its own must have one rank");
}

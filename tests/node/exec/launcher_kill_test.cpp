// Goal: whatever a task does, nothing of it is alive once its end is said; and limits hold.
// Method: tasks that fork away, ignore signals and take memory, under a real launcher that is killed too.
#include <grp.h>

#include <map>
#include <random>

#include "node/exec/run_log.hpp"
#include "tests/node/exec/launcher_home.hpp"
#include "wire/model/cpu_list.hpp"

using namespace muster;
using namespace muster::node;

namespace {

// Leaves a process in a session of its own whose parents are gone, then goes on with `rest`.
std::string with_daemon(const std::string& rest) {
  return "setsid sh -c 'setsid sleep 1000 & exit' & wait; (setsid setsid sleep 1001 &) ; " + rest;
}

bool runs_as_root() { return ::geteuid() == 0; }

}  // namespace

TEST_CASE("the end of the ranks ends what they left, double forks and new sessions too") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  TaskStart task = home.shell(with_daemon("touch ready; exit 5"));
  home.send(command::Start{task});
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.exit_code == 5);
  CHECK(ended.state == TaskState::finished);
  CHECK(living_with(home.mark()).empty());
}

TEST_CASE("a process that hides its environment and session ends with its task") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  TaskStart task = home.shell("env -i /bin/sh -c 'setsid sleep 1003 & echo $! > hidden' ; exit 0");
  home.send(command::Start{task});
  CHECK(home.wait_end(task).state == TaskState::finished);
  const auto hidden = static_cast<pid_t>(first_number(slurp(home.file("hidden"))));
  REQUIRE(hidden > 0);
  CHECK(!LauncherHome::is_alive(hidden));
}

TEST_CASE("Kill sends the signal, waits for the grace, then kills the tree") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  SECTION("a task that ends in time keeps its own exit code") {
    TaskStart task = home.shell("trap 'echo bye; exit 9' TERM; touch ready; while :; do sleep 0.01; done");
    home.send(command::Start{task});
    REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready")); }));
    home.send(command::Kill{task.framework, task.attempt, SIGTERM, 20'000});
    const event::Ended ended = home.wait_end(task);
    CHECK(ended.state == TaskState::killed);
    CHECK(ended.reason == TaskReason::kill_requested);
    CHECK(ended.exit_code == 9);
    CHECK(home.output(task).ends_with("bye\n"));
  }
  SECTION("a task that ignores it is killed with all its daemons") {
    TaskStart task = home.shell("trap '' TERM; " + with_daemon("touch ready.$RANK; while :; do sleep 0.01; done"), 2);
    home.send(command::Start{task});
    REQUIRE(eventually([&] {
      return std::filesystem::exists(home.file("ready.0")) && std::filesystem::exists(home.file("ready.1"));
    }));
    home.send(command::Kill{task.framework, task.attempt, SIGTERM, 100});
    const event::Ended ended = home.wait_end(task);
    CHECK(ended.state == TaskState::killed);
    CHECK(ended.signal == SIGKILL);
    CHECK(ended.exit_code == 137);
    CHECK(living_with(home.mark()).empty());
  }
  SECTION("what the ranks leave has the grace too") {
    TaskStart task = home.shell("(trap 'sleep 0.2; touch saved; exit' TERM; touch ready; while :; do sleep 0.01; done) & wait");
    home.send(command::Start{task});
    REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready")); }));
    home.send(command::Kill{task.framework, task.attempt, SIGTERM, 20'000});
    CHECK(home.wait_end(task).state == TaskState::killed);
    CHECK(std::filesystem::exists(home.file("saved")));
    CHECK(living_with(home.mark()).empty());
  }
}

TEST_CASE("Signal reaches every process of the task and ends nothing by itself") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("trap 'touch usr1.$RANK' USR1; touch ready.$RANK; while [ ! -e stop ]; do sleep 0.01; done", 2);
  home.send(command::Start{task});
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready.0")) && std::filesystem::exists(home.file("ready.1")); }));
  // The sleeps between die of it, the shells do not.
  home.send(command::Signal{task.framework, task.attempt, SIGUSR1});
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("usr1.0")) && std::filesystem::exists(home.file("usr1.1")); }));
  std::ofstream(home.file("stop")) << "";
  CHECK(home.wait_end(task).state == TaskState::finished);
}

TEST_CASE("after the launcher is killed its tasks are lost, and nothing of them is alive") {
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  TaskStart finished = home.shell("exit 4");
  TaskStart task = home.shell("trap '' TERM; " + with_daemon("touch ready.$RANK; while :; do sleep 1; done"), 2);
  TaskStart alone = home.shell("touch ready.alone; sleep 1000");
  home.send(command::Start{finished});
  CHECK(home.wait_end(finished).exit_code == 4);
  home.send(command::Start{task});
  home.send(command::Start{alone});
  REQUIRE(eventually([&] {
    return std::filesystem::exists(home.file("ready.0")) && std::filesystem::exists(home.file("ready.1")) &&
           std::filesystem::exists(home.file("ready.alone"));
  }));
  CHECK(!living_with(home.mark()).empty());
  home.kill_launcher();
  const LauncherHello hello = home.connect();
  REQUIRE(hello.tasks.size() == 3);
  CHECK(hello.tasks[0].end.exit_code == 4);
  CHECK(hello.tasks[0].end.state == TaskState::finished);
  for (std::size_t i : {1UL, 2UL}) {
    const event::Ended ended = hello.tasks[i].phase == RecoveredTask::Phase::ended ? hello.tasks[i].end
                                                                                   : home.wait_end(hello.tasks[i].task);
    CHECK(ended.state == TaskState::lost);
    CHECK(ended.reason == TaskReason::launcher_died);
  }
  CHECK(living_with(home.mark()).empty());
  // A lost attempt stays known: it is not run again.
  home.send(command::Start{alone});
  CHECK(home.wait_end(alone).state == TaskState::lost);
}

TEST_CASE("Shutdown ends the tasks if asked, and the launcher exits") {
  LauncherHome home;
  home.connect();
  TaskStart task = home.shell("touch ready; sleep 1000");
  home.send(command::Start{task});
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready")); }));
  const pid_t launcher = home.launcher_pid();
  home.send(command::Shutdown{true});
  CHECK(home.wait_end(task).state == TaskState::killed);
  CHECK(eventually([&] { return !LauncherHome::is_alive(launcher); }));
  CHECK(living_with(home.mark()).empty());
  // What ended and was not forgotten is still known to the next launcher.
  CHECK(home.connect().tasks.size() == 1);
}

TEST_CASE("a launcher without agent and tasks exits by itself") {
  LauncherHome home;
  auto client = LauncherClient::connect(
      {.directory = home.directory(), .launcher_path = LauncherHome::launcher_path(), .idle_seconds = "1"});
  REQUIRE(client);
  const pid_t launcher = home.launcher_pid();
  CHECK(launcher > 0);
  client = fail(Errc::unreachable, "dropped");
  CHECK(eventually([&] { return !LauncherHome::is_alive(launcher); }));
}

TEST_CASE("a task that takes more than its memory limit ends as out of memory") {
  LauncherHome home;
  const LauncherHello hello = home.connect();
  for (const std::string& missing : hello.not_enforced) {
    if (missing == "memory limits") {
      WARN("memory limits are not enforced here (" << hello.containment << "): not tested");
      return;
    }
  }
  TaskStart task = home.shell(
      "if [ $RANK = 1 ]; then sleep 1000; fi; exec python3 -c 'x = bytearray(400000000); print(len(x))'", 2);
  task.memory_limit_bytes = Bytes{64} << 20U;
  home.send(command::Start{task});
  const event::Ended ended = home.wait_end(task);
  CHECK(ended.state == TaskState::out_of_memory);
  CHECK(ended.reason == TaskReason::memory_limit);
  CHECK(ended.exit_code == 137);
  CHECK(ended.text.find("64M") != std::string::npos);
  CHECK(ended.usage.memory_peak_bytes > (Bytes{32} << 20U));
  CHECK(ended.usage.memory_peak_bytes <= (Bytes{64} << 20U));
  TaskStart small = home.shell("exit 0");
  small.memory_limit_bytes = Bytes{64} << 20U;
  home.send(command::Start{small});
  const event::Ended fits = home.wait_end(small);
  INFO(fits.text);
  CHECK(fits.state == TaskState::finished);
}

TEST_CASE("ranks are bound to their cpus, and the task to its own") {
  LauncherHome home;
  const LauncherHello hello = home.connect();
  const std::string status = slurp("/proc/self/status");
  const std::size_t list = status.find("Cpus_allowed_list:\t") + 19;
  const auto allowed = parse_cpu_list(status.substr(list, status.find('\n', list) - list));
  REQUIRE(allowed);
  const std::uint32_t cpu = allowed->back();
  TaskStart task = home.shell("grep Cpus_allowed_list /proc/self/status");
  task.cpus = {cpu};
  task.ranks[0].cpus = {cpu};
  home.send(command::Start{task});
  REQUIRE(home.wait_end(task).exit_code == 0);
  CHECK(home.output(task) == "Cpus_allowed_list:\t" + std::to_string(cpu) + "\n");
}

TEST_CASE("as an ordinary user it works without control groups and says what is not enforced") {
  if (!runs_as_root()) {
    WARN("runs as an ordinary user already: the other tests cover it");
    return;
  }
  LauncherHome home;
  REQUIRE(::chown(home.directory().c_str(), 65534, 65534) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int log = ::open(home.file("launcher.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ::dup2(log, 1);
    ::dup2(log, 2);
    if (::setgroups(0, nullptr) != 0 || ::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) {
      ::_exit(1);
    }
    ::execl(LauncherHome::launcher_path().c_str(), "muster-launcher", "--dir", home.directory().c_str(), nullptr);
    ::_exit(1);
  }
  REQUIRE(pid > 0);
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("launcher.sock")); }));
  const LauncherHello hello = home.connect();
  CHECK(hello.containment.starts_with("plain"));
  CHECK(!hello.not_enforced.empty());
  TaskStart task = home.shell(with_daemon("id -u; exit 6"), 1);
  task.memory_limit_bytes = Bytes{1} << 30U;
  task.cpus = {0};
  home.send(command::Start{task});
  CHECK(home.wait_end(task).exit_code == 6);
  CHECK(home.output(task) == "65534\n");
  CHECK(living_with(home.mark()).empty());
  TaskStart other = home.shell("true");
  other.switch_user = true;
  other.uid = 0;
  other.gid = 0;
  home.send(command::Start{other});
  const event::Ended refused = home.wait_end(other);
  CHECK(refused.state == TaskState::start_failed);
  CHECK(refused.text.find("can't become user 0") != std::string::npos);
  home.send(command::Shutdown{true});
  int status = 0;
  CHECK(::waitpid(pid, &status, 0) == pid);
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("tasks run as their user, with its groups") {
  if (!runs_as_root()) {
    WARN("needs root: not tested");
    return;
  }
  LauncherHome home;
  home.connect();
  ::chmod(home.directory().c_str(), 0777);
  TaskStart task = home.shell("id -u; id -g; id -G; cat /proc/$$/status | grep -c CapEff:.*0000000000000000");
  task.switch_user = true;
  task.uid = 65534;
  task.gid = 65534;
  home.send(command::Start{task});
  REQUIRE(home.wait_end(task).exit_code == 0);
  CHECK(home.output(task) == "65534\n65534\n65534\n1\n");
  struct stat info {};
  REQUIRE(::stat(task.ranks[0].stdout_path.c_str(), &info) == 0);
  CHECK(info.st_uid == 65534);
}

TEST_CASE("whenever the launcher is killed, no attempt executes twice and none that executed is called not started") {
  // Tasks leave a line when they execute; the launcher is killed at random moments, the agent starts all
  // attempts again, and at the end the ends are held against the lines. Seeded, but the timing is real.
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  std::mt19937 random(plain ? 11 : 12);
  std::vector<TaskStart> tasks;
  for (int i = 0; i < 60; ++i) {
    tasks.push_back(home.shell("echo $NAME.$RANK >> trace; exit 5", 1 + random() % 2));
    tasks.back().environment.push_back("NAME=" + std::to_string(i));
    tasks.back().park = i % 3 == 0;
  }
  for (int round = 0; round < 12; ++round) {
    home.connect();
    // The attempts of the rounds before again, and five new ones.
    for (std::size_t i = 0; i < (static_cast<std::size_t>(round) + 1) * 5; ++i) {
      REQUIRE(home.client().queue(command::Start{tasks[i]}));
    }
    for (const TaskStart& task : tasks) {
      REQUIRE(home.client().queue(command::Go{task.framework, task.attempt}));
    }
    REQUIRE(home.client().flush());
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    home.kill_launcher();
  }
  home.connect();
  std::map<std::string, int> lines;
  for (const TaskStart& task : tasks) {
    REQUIRE(home.client().queue(command::Start{task}));
  }
  std::vector<event::Ended> ends;
  for (const TaskStart& task : tasks) {
    if (task.park) {
      REQUIRE(home.client().queue(command::Go{task.framework, task.attempt}));
    }
  }
  REQUIRE(home.client().flush());
  for (const TaskStart& task : tasks) {
    ends.push_back(home.wait_end(task));
  }
  std::ifstream trace(home.file("trace"));
  for (std::string line; std::getline(trace, line);) {
    ++lines[line];
  }
  int executed = 0;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (std::size_t rank = 0; rank < tasks[i].ranks.size(); ++rank) {
      const int count = lines[std::to_string(i) + "." + std::to_string(rank)];
      INFO("task " << i << " rank " << rank << " " << to_string(ends[i].state) << " " << ends[i].text);
      CHECK(count <= 1);
      executed += count;
      if (ends[i].state == TaskState::finished) {
        CHECK(count == 1);
        CHECK(ends[i].exit_code == 5);
      } else {
        CHECK((ends[i].state == TaskState::lost || ends[i].state == TaskState::not_started));
        CHECK((ends[i].state == TaskState::lost || count == 0));
      }
    }
  }
  CHECK(executed > 0);
  CHECK(living_with(home.mark()).empty());
}

// The log is not synced: a power cut may keep an INTENT and drop its STARTED, so in another boot neither proves anything.
TEST_CASE("after a reboot what had not ended is lost") {
  LauncherHome home;
  TaskStart ran = home.shell("true");
  TaskStart waited = home.shell("true");
  {
    std::ofstream log(home.file("run.log"), std::ios::binary);
    log << run_log::encode_head({"another-boot", "0123456789abcdef", {{"v2", "/sys/fs/cgroup/none"}}})
        << run_log::encode_intent(ran) << run_log::encode_intent(waited)
        << run_log::encode_started(ran.framework, ran.attempt, WallTime::from_ns(1),
                                   {{.rank = 0, .pid = ::getpid(), .start_time_ticks = 0}}, "");
  }
  const LauncherHello hello = home.connect();
  REQUIRE(hello.tasks.size() == 2);
  CHECK(hello.tasks[0].end.state == TaskState::lost);
  CHECK(hello.tasks[0].end.reason == TaskReason::node_rebooted);
  CHECK(hello.tasks[1].end.state == TaskState::lost);
}

TEST_CASE("a damaged run log stops the launcher with a clear word") {
  LauncherHome home;
  TaskStart task = home.shell("true");
  {
    std::string bytes = run_log::encode_head({"boot", "id", {}}) + run_log::encode_intent(task) + run_log::encode_intent(task);
    bytes[100] = static_cast<char>(bytes[100] ^ 1);
    std::ofstream(home.file("run.log"), std::ios::binary) << bytes;
  }
  auto client = LauncherClient::connect({.directory = home.directory(),
                                         .launcher_path = LauncherHome::launcher_path(),
                                         .idle_seconds = {},
                                         .timeout = Duration::from_ms(5000)});
  REQUIRE(!client);
  CHECK(client.error().text.find(home.file("launcher.log")) != std::string::npos);
  CHECK(client.error().text.find("damaged at offset") != std::string::npos);
  CHECK(slurp(home.file("launcher.log")).find(home.file("run.log") + " is damaged at offset") != std::string::npos);
}

TEST_CASE("what can't be killed is said, and its end is not before it is gone") {
  // A process frozen by somebody else's v1 freezer takes no SIGKILL until it is thawed.
  const std::string freezer = "/sys/fs/cgroup/freezer/test-" + std::to_string(::getpid());
  if (!runs_as_root() || ::mkdir(freezer.c_str(), 0755) != 0) {
    WARN("needs root and a v1 freezer: not tested");
    return;
  }
  const bool plain = GENERATE(false, true);
  {
    LauncherHome home(plain);
    home.connect();
    TaskStart task = home.shell("touch ready; sleep 1000");
    home.send(command::Start{task});
    const auto started = home.wait_event<event::Started>(task);
    REQUIRE(started);
    const std::string pid = std::to_string(started->processes[0].pid);
    REQUIRE(write_existing(freezer + "/cgroup.procs", pid));
    REQUIRE(write_existing(freezer + "/freezer.state", "FROZEN"));
    home.send(command::Kill{task.framework, task.attempt, SIGTERM, 0});
    const auto unkillable = home.wait_event<event::Unkillable>(task);
    if (!unkillable) {
      (void)write_existing(freezer + "/freezer.state", "THAWED");
    }
    REQUIRE(unkillable);
    CHECK(unkillable->text.find(pid) != std::string::npos);
    CHECK(!home.wait_event<event::Ended>(task, std::chrono::milliseconds(100)));
    // An agent that comes later is told again.
    CHECK(home.connect().tasks.at(0).phase == RecoveredTask::Phase::started);
    CHECK(home.wait_event<event::Unkillable>(task));
    REQUIRE(write_existing(freezer + "/freezer.state", "THAWED"));
    CHECK(home.wait_end(task).state == TaskState::killed);
  }
  CHECK(eventually([&] { return ::rmdir(freezer.c_str()) == 0; }));
}

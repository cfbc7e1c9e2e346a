// Goal: a running task follows its cpus: every process and thread of it, whenever the word comes.
// Method: real tasks; what the kernel says in /proc about each thread.
#include "node/exec/cpu_affinity.hpp"
#include "tests/node/exec/launcher_home.hpp"
#include "wire/model/cpu_list.hpp"

using namespace muster;
using namespace muster::node;

namespace {

// Of all threads of the task's processes; "" when there is none.
std::set<std::string> cpu_lists(const std::string& mark) {
  std::set<std::string> lists;
  for (const ProcessInfo& process : living_with(mark)) {
    std::error_code gone;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(process.pid) + "/task", gone)) {
      const std::string status = slurp(thread.path().string() + "/status");
      if (const auto at = status.find("Cpus_allowed_list:\t"); at != std::string::npos) {
        lists.insert(status.substr(at + 19, status.find('\n', at) - at - 19));
      }
    }
  }
  return lists;
}

}  // namespace

TEST_CASE("a running task's processes and threads move to other cpus") {
  const std::vector<std::uint32_t> all = own_cpus();
  if (all.size() < 2) {
    WARN("this machine gives us one cpu: not tested");
    return;
  }
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  TaskStart task = home.shell(
      "setsid sleep 1000 & exec python3 -c 'import threading, time\n"
      "threading.Thread(target=time.sleep, args=(1000,)).start()\n"
      "open(\"ready.$RANK\", \"w\").close()'", 2);
  task.argv[2].replace(task.argv[2].find("$RANK"), 5, "'$RANK'");
  task.cpus = {all[0], all[1]};
  for (RankStart& rank : task.ranks) {
    rank.cpus = task.cpus;
  }
  home.send(command::Start{task});
  REQUIRE(eventually([&] { return std::filesystem::exists(home.file("ready.0")) && std::filesystem::exists(home.file("ready.1")); }));
  const std::string both = format_cpu_list(task.cpus);
  CHECK(cpu_lists(home.mark()) == std::set<std::string>{both});
  for (const std::vector<std::uint32_t>& cpus : {std::vector{all[1]}, std::vector{all[0]}, std::vector{all[0], all[1]}}) {
    home.send(command::Rebind{task.framework, task.attempt, cpus});
    CHECK(eventually([&] { return cpu_lists(home.mark()) == std::set<std::string>{format_cpu_list(cpus)}; }));
  }
  home.send(command::Rebind{task.framework, task.attempt, {4000}});  // none of ours: nothing changes
  home.send(command::Kill{task.framework, task.attempt, SIGTERM, 0});
  CHECK(home.wait_end(task).state == TaskState::killed);
  CHECK(living_with(home.mark()).empty());
}

TEST_CASE("a task that is being started or parked takes the new cpus along") {
  const std::vector<std::uint32_t> all = own_cpus();
  if (all.size() < 2) {
    WARN("this machine gives us one cpu: not tested");
    return;
  }
  const bool plain = GENERATE(false, true);
  LauncherHome home(plain);
  home.connect();
  const std::string until_moved =
      "until grep -q \"Cpus_allowed_list:.$CPU\\$\" /proc/self/status; do sleep 0.01; done";
  std::vector<TaskStart> tasks;
  for (int i = 0; i < 8; ++i) {
    TaskStart task = home.shell(until_moved, i % 4 == 3 ? 2 : 1);
    task.environment.push_back("CPU=" + std::to_string(all[1]));
    task.park = i % 2 == 0;
    task.cpus = {all[0]};
    for (RankStart& rank : task.ranks) {
      rank.cpus = task.cpus;
    }
    tasks.push_back(task);
    home.send(command::Start{task});
    home.send(command::Rebind{task.framework, task.attempt, {all[1]}});
  }
  for (const TaskStart& task : tasks) {
    if (task.park) {
      REQUIRE(home.wait_event<event::Parked>(task));
      home.send(command::Go{task.framework, task.attempt});
    }
  }
  for (const TaskStart& task : tasks) {
    CHECK(home.wait_end(task).exit_code == 0);
  }
}

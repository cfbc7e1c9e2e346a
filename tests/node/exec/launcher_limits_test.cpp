// Goal: where the kernel has control groups, limits hold for real, and afterwards nothing of ours is left and nothing
// of others has changed. Method: a real launcher on this machine's own groups; skipped, and said, where it has none.
#include <set>

#include "node/exec/cgroup_places.hpp"
#include "node/exec/run_log_file.hpp"
#include "tests/node/exec/launcher_home.hpp"

using namespace muster;
using namespace muster::node;

namespace {

bool has(const LauncherHello& hello, const std::string& missing) {
  return std::find(hello.not_enforced.begin(), hello.not_enforced.end(), missing) == hello.not_enforced.end();
}

// Groups beside ours, with their limits, in every hierarchy that this process can see. Other tests' come and go.
std::set<std::string> groups_of_others() {
  std::set<std::string> groups;
  const CgroupPlaces places = parse_cgroup_places(slurp("/proc/self/mountinfo"), slurp("/proc/self/cgroup"));
  std::vector<std::string> dirs;
  for (const auto& [controller, place] : places.v1) {
    dirs.push_back(place.own);
  }
  if (places.v2) {
    dirs.push_back(places.v2->own);
  }
  for (const std::string& dir : dirs) {
    std::error_code gone;
    for (const auto& entry : std::filesystem::directory_iterator(dir, gone)) {
      const std::string name = entry.path().filename().string();
      if (entry.is_directory(gone) && !name.starts_with("muster-")) {
        groups.insert(entry.path().string() + " " + slurp(entry.path().string() + "/memory.limit_in_bytes") +
                      slurp(entry.path().string() + "/pids.max") + slurp(entry.path().string() + "/cpuset.cpus"));
      }
    }
    for (const char* own : {"/memory.limit_in_bytes", "/memory.max", "/pids.max", "/cpuset.cpus", "/cgroup.subtree_control"}) {
      groups.insert(dir + own + " " + slurp(dir + own));
    }
  }
  return groups;
}

}  // namespace

TEST_CASE("a task can't have more processes than its limit, the next one in the same group can") {
  LauncherHome home;
  const LauncherHello hello = home.connect();
  if (!has(hello, "limits on the number of processes")) {
    WARN("process limits are not enforced here (" << hello.containment << "): not tested");
    return;
  }
  const std::string forks =
      "exec python3 -c 'import os, time\n"
      "n = 0\n"
      "try:\n"
      "  while n < 50:\n"
      "    if os.fork() == 0:\n"
      "      time.sleep(1000)\n"
      "    n += 1\n"
      "except OSError as e:\n"
      "  print(\"errno\", e.errno)\n"
      "print(n)'";
  for (const auto& [limit, output] : {std::pair<std::uint32_t, std::string>{8, "errno 11\n7\n"}, {20, "errno 11\n19\n"}, {0, "50\n"}, {1000, "50\n"}}) {
    TaskStart task = home.shell(forks);
    task.processes_max = limit;
    home.send(command::Start{task});
    CHECK(home.wait_end(task).exit_code == 0);
    CHECK(home.output(task) == output);
  }
  CHECK(living_with(home.mark()).empty());
}

TEST_CASE("after the launcher's end its groups are gone and those of others are as they were") {
  const std::set<std::string> before = groups_of_others();
  std::vector<run_log::ContainmentRoot> roots;
  {
    LauncherHome home;
    const LauncherHello hello = home.connect();
    if (hello.containment.starts_with("plain")) {
      WARN("no control groups here: not tested");
      return;
    }
    const auto log = RunLogFile::read(home.directory());
    REQUIRE(log);
    roots = log->head.roots;
    REQUIRE(!roots.empty());
    for (const run_log::ContainmentRoot& root : roots) {
      CHECK(std::filesystem::is_directory(root.path));
    }
    TaskStart greedy = home.shell("exec python3 -c 'x = bytearray(400000000)'");
    greedy.memory_limit_bytes = Bytes{64} << 20U;
    greedy.processes_max = 100;
    greedy.cpus = {0};
    TaskStart running = home.shell("sleep 1000");
    running.processes_max = 100;
    home.send(command::Start{greedy});
    home.send(command::Start{running});
    if (has(hello, "memory limits")) {
      const event::Ended ended = home.wait_end(greedy);
      CHECK(ended.state == TaskState::out_of_memory);
      CHECK(ended.reason == TaskReason::memory_limit);
    }
    const pid_t launcher = home.launcher_pid();
    home.send(command::Shutdown{true});
    REQUIRE(eventually([&] { return !LauncherHome::is_alive(launcher); }));
  }
  for (const run_log::ContainmentRoot& root : roots) {
    INFO(root.path);
    CHECK(!std::filesystem::exists(root.path));
  }
  const std::set<std::string> after = groups_of_others();
  for (const std::string& group : before) {
    INFO(group);
    CHECK(after.contains(group));
  }
}

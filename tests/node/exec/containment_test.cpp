// Goal: the right control groups are chosen per controller and get the right values. Method: fake trees of
// plain files for v2 and mixed systems; the kernel's own where the machine lets us (launcher tests).
#include "node/exec/containment.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "node/exec/cgroup_places.hpp"
#include "node/exec/process_scan.hpp"

using namespace muster;
using namespace muster::node;

namespace {

// Files stand in for the kernel's; what a real group gets at its making must be put there before.
struct FakeSystem {
  FakeSystem() {
    std::string name = (std::filesystem::temp_directory_path() / "muster-cg-XXXXXX").string();
    root = ::mkdtemp(name.data());
  }
  ~FakeSystem() { std::filesystem::remove_all(root); }
  void put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  }
  [[nodiscard]] std::string get(const std::string& path) const {
    std::ifstream in(root + path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void group_v2(const std::string& dir, const std::string& controllers, const std::string& passed_on) const {
    put(dir + "/cgroup.controllers", controllers + "\n");
    put(dir + "/cgroup.subtree_control", passed_on);
    for (const char* file : {"cgroup.procs", "cgroup.kill", "memory.max", "memory.swap.max", "memory.oom.group", "cpuset.cpus", "pids.max"}) {
      put(dir + "/" + file, "");
    }
    put(dir + "/memory.peak", "1048576\n");
    put(dir + "/memory.events", "low 0\noom 2\noom_kill 3\n");
  }
  std::string root;
};

}  // namespace

TEST_CASE("each controller's place is found by itself") {
  const std::string mountinfo =
      "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
      "33 31 0:30 /docker/x /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
      "40 31 0:40 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw\n";
  const CgroupPlaces places = parse_cgroup_places(mountinfo,
                                                  "9:name=systemd:/a\n4:memory:/docker/x/y\n2:cpu,cpuacct:/\n0::/user.slice/s\n");
  CHECK(places.v1.at("memory") == CgroupPlace{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/memory/y"});
  CHECK(places.v1.at("cpuacct") == CgroupPlace{"/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"});
  CHECK(places.v1.count("freezer") == 0);
  REQUIRE(places.v2);
  CHECK(*places.v2 == CgroupPlace{"/sys/fs/cgroup/uni fied", "/sys/fs/cgroup/uni fied/user.slice/s"});
  CHECK(!parse_cgroup_places("", "").v2);
}

TEST_CASE("on a v2 system a delegated parent is used when the own group can't pass controllers on") {
  const FakeSystem fake;
  fake.put("/proc/self/mountinfo", "40 31 0:40 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n");
  fake.put("/proc/self/cgroup", "0::/slice/own\n");
  fake.group_v2("/sys/fs/cgroup", "cpuset memory pids", "");
  fake.group_v2("/sys/fs/cgroup/slice", "cpuset memory pids", "cpuset memory pids\n");
  fake.group_v2("/sys/fs/cgroup/slice/own", "", "");
  fake.group_v2("/sys/fs/cgroup/slice/muster-id", "cpuset memory pids", "");
  const std::string task_dir = "/sys/fs/cgroup/slice/muster-id/t1";
  fake.group_v2(task_dir, "cpuset memory", "");

  Containment containment = Containment::detect({.root = fake.root, .launcher_id = "id"});
  CHECK(containment.describe() == "cgroup v2 (cpuset memory pids kill)");
  CHECK(containment.not_enforced().empty());
  // The own group was tried and left as it was; the parent's settings were not touched.
  CHECK(!std::filesystem::exists(fake.root + "/sys/fs/cgroup/slice/own/muster-id"));
  CHECK(fake.get("/sys/fs/cgroup/slice/cgroup.subtree_control") == "cpuset memory pids\n");
  REQUIRE(containment.roots().size() == 1);
  CHECK(containment.roots()[0] == run_log::ContainmentRoot{"v2", fake.root + "/sys/fs/cgroup/slice/muster-id"});

  auto group = containment.take({.memory_limit_bytes = 4096, .processes_max = 77, .cpus = {2, 0, 1}});
  REQUIRE(group);
  CHECK(fake.get(task_dir + "/memory.max") == "4096");
  CHECK(fake.get(task_dir + "/memory.swap.max") == "0");
  CHECK(fake.get(task_dir + "/memory.oom.group") == "1");
  CHECK(fake.get(task_dir + "/cpuset.cpus") == "0-2");
  CHECK(fake.get(task_dir + "/pids.max") == "77");
  REQUIRE(containment.rebind(*group, {0, 1}, {}));
  CHECK(fake.get(task_dir + "/cpuset.cpus") == "0-1");
  CHECK(group->tracks_processes());
  CHECK(group->memory_peak_bytes() == 1048576);
  CHECK(group->oom_kills() == 3);
  REQUIRE(group->join_fds().size() == 1);
  CHECK(::write(group->join_fds()[0], "0", 1) == 1);
  CHECK(fake.get(task_dir + "/cgroup.procs") == "0");
  group->kill_all();
  CHECK(fake.get(task_dir + "/cgroup.kill") == "1");
  fake.put(task_dir + "/cgroup.events", "populated 1\nfrozen 0\n");

  TaskGroup adopted = Containment::adopt(containment.roots(), fake.root + task_dir);
  CHECK(adopted.tracks_processes());
  fake.put(task_dir + "/cgroup.procs", "77\n");
  CHECK(adopted.processes() == std::vector<pid_t>{77});
  CHECK(adopted.has_processes());
  CHECK(!Containment::adopt(containment.roots(), "").tracks_processes());
  CHECK(!Containment::adopt(containment.roots(), "/somewhere/else").tracks_processes());
}

TEST_CASE("a group that only v2 can hold is still killed whole, and what is missing is said") {
  const FakeSystem fake;
  fake.put("/proc/self/mountinfo", "40 31 0:40 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n");
  fake.put("/proc/self/cgroup", "0::/own\n");
  fake.group_v2("/sys/fs/cgroup", "hugetlb", "");
  fake.group_v2("/sys/fs/cgroup/own", "hugetlb", "");
  fake.group_v2("/sys/fs/cgroup/own/muster-id", "", "");
  fake.group_v2("/sys/fs/cgroup/own/muster-id/t1", "", "");
  Containment containment = Containment::detect({.root = fake.root, .launcher_id = "id"});
  CHECK(containment.describe() == "cgroup v2 (kill)");
  CHECK(containment.not_enforced().size() == 3);
  auto group = containment.take({.memory_limit_bytes = 4096, .cpus = {1}});
  REQUIRE(group);
  CHECK(fake.get("/sys/fs/cgroup/own/muster-id/t1/memory.max").empty());
  CHECK(group->memory_peak_bytes() == 0);
}

TEST_CASE("a mounted v2 without controllers leaves memory and cpus to v1") {
  const FakeSystem fake;
  fake.put("/proc/self/mountinfo",
           "40 31 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
           "41 31 0:41 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
           "42 31 0:42 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
           "43 31 0:43 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
           "44 31 0:44 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n");
  fake.put("/proc/self/cgroup", "4:pids:/\n3:freezer:/\n2:cpuset:/\n1:memory:/m\n0::/\n");
  fake.group_v2("/sys/fs/cgroup/unified", "hugetlb", "");
  fake.put("/sys/fs/cgroup/memory/m/muster-id/memory.limit_in_bytes", "");
  fake.put("/sys/fs/cgroup/memory/m/muster-id/t2/memory.limit_in_bytes", "");
  fake.put("/sys/fs/cgroup/memory/m/muster-id/t2/memory.memsw.limit_in_bytes", "");
  fake.put("/sys/fs/cgroup/memory/m/muster-id/t2/tasks", "");
  fake.put("/sys/fs/cgroup/memory/m/muster-id/t2/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
  fake.put("/sys/fs/cgroup/cpuset/cpuset.cpus", "0-7\n");
  fake.put("/sys/fs/cgroup/cpuset/cpuset.mems", "0\n");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpuset.cpus", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpuset.mems", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-1,3/tasks", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-1,3/cpuset.cpus", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-1,3/cpuset.mems", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-3/tasks", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-3/cgroup.procs", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-3/cpuset.cpus", "");
  fake.put("/sys/fs/cgroup/cpuset/muster-id/cpus-3/cpuset.mems", "");
  fake.put("/sys/fs/cgroup/pids/muster-id/pids.max", "");
  fake.put("/sys/fs/cgroup/pids/muster-id/t3/pids.max", "");
  fake.put("/sys/fs/cgroup/pids/muster-id/t3/tasks", "");
  fake.put("/sys/fs/cgroup/freezer/muster-id/freezer.state", "");
  fake.put("/sys/fs/cgroup/freezer/muster-id/t1/freezer.state", "");
  fake.put("/sys/fs/cgroup/freezer/muster-id/t1/tasks", "");
  SECTION("v2 kills") {
    fake.group_v2("/sys/fs/cgroup/unified/muster-id", "", "");
    fake.group_v2("/sys/fs/cgroup/unified/muster-id/t1", "", "");
    Containment containment = Containment::detect({.root = fake.root, .launcher_id = "id"});
    CHECK(containment.describe() == "cgroup v1 (cpuset memory pids), v2 (kill)");
    CHECK(fake.get("/sys/fs/cgroup/cpuset/muster-id/cpuset.cpus") == "0-7");
    CHECK(fake.get("/sys/fs/cgroup/cpuset/muster-id/cpuset.mems") == "0");
    auto group = containment.take({.memory_limit_bytes = 8192, .processes_max = 99, .cpus = {3, 1}});
    REQUIRE(group);
    CHECK(fake.get("/sys/fs/cgroup/memory/m/muster-id/t2/memory.limit_in_bytes") == "8192");
    CHECK(fake.get("/sys/fs/cgroup/memory/m/muster-id/t2/memory.memsw.limit_in_bytes") == "8192");
    CHECK(fake.get("/sys/fs/cgroup/pids/muster-id/t3/pids.max") == "99");
    CHECK(group->join_fds().size() == 4);
    REQUIRE(containment.rebind(*group, {3}, {::getpid()}));
    CHECK(fake.get("/sys/fs/cgroup/cpuset/muster-id/cpus-3/cgroup.procs") == std::to_string(::getpid()));
    CHECK(group->oom_kills() == 1);
  }
  SECTION("without v2 the freezer kills: frozen, thawed at last") {
    fake.put("/proc/self/cgroup", "4:pids:/\n3:freezer:/\n2:cpuset:/\n1:memory:/m\n");
    Containment containment = Containment::detect({.root = fake.root, .launcher_id = "id"});
    CHECK(containment.describe() == "cgroup v1 (cpuset memory pids freezer)");
    auto group = containment.take({});
    REQUIRE(group);
    CHECK(group->join_fds().size() == 1);
    group->kill_all();
    CHECK(fake.get("/sys/fs/cgroup/freezer/muster-id/t1/freezer.state") == "THAWED");
  }
}

TEST_CASE("without control groups containment is plain and says so") {
  const FakeSystem fake;
  Containment containment = Containment::detect({.root = fake.root, .launcher_id = "id"});
  CHECK(containment.describe().starts_with("plain"));
  CHECK(containment.not_enforced().size() == 4);
  auto group = containment.take({.memory_limit_bytes = 1, .cpus = {1}});
  REQUIRE(group);
  CHECK(!group->tracks_processes());
  CHECK(containment.give_back(*group));
}

TEST_CASE("the kernel's line about a process is understood whatever its name holds") {
  const auto info = parse_stat("42 (a) b (c) S 7 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3");
  REQUIRE(info);
  CHECK(info->pid == 42);
  CHECK(info->parent == 7);
  CHECK(info->session == 40);
  CHECK(info->state == 'S');
  CHECK(info->start_time_ticks == 987654);
  CHECK(!parse_stat(""));
  CHECK(!parse_stat("42 (a) S 7"));
  const auto self = read_process(::getpid());
  REQUIRE(self);
  CHECK(self->parent == ::getppid());
}

TEST_CASE("a task's processes are found by descent and session, not by a reused pid") {
  const std::vector<ProcessInfo> all{
      {.pid = 1, .parent = 0, .session = 1, .state = 'S', .start_time_ticks = 1},
      {.pid = 900001, .parent = 1, .session = 900001, .state = 'S', .start_time_ticks = 100},  // rank
      {.pid = 900002, .parent = 900001, .session = 900001, .state = 'S', .start_time_ticks = 101},
      {.pid = 900003, .parent = 900002, .session = 900003, .state = 'S', .start_time_ticks = 102},  // own session
      {.pid = 900004, .parent = 1, .session = 900001, .state = 'S', .start_time_ticks = 103},       // orphan of the session
      {.pid = 900005, .parent = 1, .session = 900005, .state = 'S', .start_time_ticks = 104},       // somebody else's
      {.pid = 900006, .parent = 900001, .session = 900001, .state = 'Z', .start_time_ticks = 105},
      {.pid = 900010, .parent = 1, .session = 900010, .state = 'S', .start_time_ticks = 500},  // pid of a rank, reused
      {.pid = 900011, .parent = 900010, .session = 900010, .state = 'S', .start_time_ticks = 501}};
  TaskTraces traces;
  traces.ranks = {{.rank = 0, .pid = 900001, .start_time_ticks = 100}, {.rank = 1, .pid = 900010, .start_time_ticks = 99}};
  std::vector<pid_t> found;
  for (const ProcessInfo& info : find_task_processes(all, traces)) {
    found.push_back(info.pid);
  }
  std::sort(found.begin(), found.end());
  CHECK(found == std::vector<pid_t>{900001, 900002, 900003, 900004});
}

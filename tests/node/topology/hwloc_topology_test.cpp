// Goal: this machine and pretended ones are read as they are, and binding binds.
// Method: compares with the kernel's own answers (sched_getaffinity, /sys).
#include "node/topology/hwloc_topology.hpp"

#include <sched.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "wire/model/cpu_list.hpp"

using namespace muster;
using namespace muster::node;
using Cpus = std::vector<std::uint32_t>;

namespace {

Cpus kernel_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  REQUIRE(sched_getaffinity(0, sizeof set, &set) == 0);
  Cpus cpus;
  for (std::uint32_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

Cpus numbers(const Topology& topology) {
  Cpus all;
  for (const Pu& pu : topology.pus) {
    all.push_back(pu.os_index);
  }
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("this machine's topology is the cpus that this process may use") {
  const auto machine = HwlocTopology::discover();
  REQUIRE(machine);
  CHECK(validate(machine->topology()));
  CHECK(machine->is_this_system());
  CHECK(numbers(machine->topology()) == kernel_affinity());
  CHECK(machine->memory_bytes() > (64ULL << 20U));
  CHECK_FALSE(machine->numa_os_indexes(numbers(machine->topology())).empty());
}

TEST_CASE("a thread is bound to exactly the cpus asked for") {
  const auto machine = HwlocTopology::discover();
  REQUIRE(machine);
  const Cpus all = numbers(machine->topology());
  std::thread([&] {
    const Cpus last{all.back()};
    CHECK(machine->bind_this_thread(last));
    CHECK(kernel_affinity() == last);
    CHECK(machine->this_threads_cpus().value() == last);
    CHECK(machine->bind_this_thread_memory(last));
    CHECK(machine->bind_this_thread(all));
    CHECK(kernel_affinity() == all);
    CHECK(machine->bind_this_thread(Cpus{}).error().code == Errc::invalid_argument);
    CHECK(machine->bind_this_thread(Cpus{60'000}).error().text ==
          "binding: cpu 60000 is not one that may be used here");
  }).join();
}

TEST_CASE("a process under taskset discovers only the cpus it may use") {
  const auto machine = HwlocTopology::discover();
  REQUIRE(machine);
  const Cpus all = numbers(machine->topology());
  const Cpus last{all.back()};
  std::ptrdiff_t threads = 0;
  for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    ++threads;
  }
  REQUIRE(machine->bind_this_thread(last));
  const auto inner = HwlocTopology::discover();
  REQUIRE(machine->bind_this_thread(all));
  REQUIRE(inner);
  // A sanitizer's own thread stays unbound, and the process may then use all cpus.
  CHECK(numbers(inner->topology()) == (threads == 1 ? last : all));
}

TEST_CASE("pretended machines have the shape asked for and refuse to bind") {
  const auto machine = HwlocTopology::synthetic("node:2 core:16 pu:2");
  REQUIRE(machine);
  CHECK_FALSE(machine->is_this_system());
  CHECK(machine->topology().counts() == TopologyCounts{1, 2, 2, 32, 64});
  CHECK(machine->bind_this_thread(Cpus{0}).error().code == Errc::unsupported);
  const auto bad = HwlocTopology::synthetic("node:2 fish:3");
  REQUIRE_FALSE(bad);
  CHECK(bad.error().text ==
        "topology: 'node:2 fish:3' is not understood; write for example 'node:2 core:16 pu:2'");
}

TEST_CASE("a regular topology's description makes the same topology again") {
  for (const TopologyShape& shape :
       {TopologyShape{2, 2, 2, 8, 2}, TopologyShape{1, 1, 1, 1, 1}, TopologyShape{1, 4, 1, 3, 1}, TopologyShape{2, 1, 3, 2, 4}}) {
    const Topology topology = make_topology(shape);
    const auto again = HwlocTopology::synthetic(topology.synthetic_description());
    INFO(topology.synthetic_description());
    REQUIRE(again);
    CHECK(again->topology() == topology);
  }
}

// Goal: cpu lists and topologies have one printed form, one hash, and bad ones from outside are refused.
// Method: tables, a pinned hash value, seeded round trips.
#include "wire/model/topology.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "wire/model/cpu_list.hpp"

using namespace muster;
using Cpus = std::vector<std::uint32_t>;

TEST_CASE("cpu lists print merged and read back") {
  CHECK(format_cpu_list(Cpus{8, 0, 1, 2, 3}) == "0-3,8");
  CHECK(format_cpu_list(Cpus{}).empty());
  CHECK(format_cpu_list(Cpus{5, 5}) == "5");
  CHECK(parse_cpu_list("0-3,8").value() == Cpus{0, 1, 2, 3, 8});
  CHECK(parse_cpu_list("8,0-3,2").value() == Cpus{0, 1, 2, 3, 8});
  CHECK(parse_cpu_list("0-1\n").value() == Cpus{0, 1});
  CHECK(parse_cpu_list("").value().empty());
  for (const char* bad : {",", "1,", "-1", "1-", "3-1", "a", "1 2", "65536", "0-99999999999", "1--2"}) {
    INFO(bad);
    CHECK_FALSE(parse_cpu_list(bad));
  }
  std::string bomb = "0-65535";
  for (int i = 0; i < 100; ++i) {
    bomb += ",0-65535";
  }
  CHECK(parse_cpu_list(bomb).error().code == Errc::out_of_range);
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    Cpus cpus;
    for (std::uint32_t cpu = 0; cpu < 200; ++cpu) {
      if (random() % 3 != 0) {
        cpus.push_back(cpu);
      }
    }
    REQUIRE(parse_cpu_list(format_cpu_list(cpus)).value() == cpus);
  }
}

TEST_CASE("a regular machine knows its counts and its synthetic form") {
  const Topology topology = make_topology({2, 2, 2, 8, 2});
  CHECK(topology.counts() == TopologyCounts{2, 4, 8, 64, 128});
  CHECK(topology.to_string() == "2 packages, 4 NUMA nodes, 8 L3, 64 cores, 128 cpus");
  CHECK(topology.synthetic_description() == "package:2 numa:2 l3:2 core:8 pu:2");
  CHECK(make_topology({}).to_string() == "1 package, 1 NUMA node, 1 L3, 1 core, 1 cpu");
  Topology crooked = topology;
  crooked.pus.pop_back();
  CHECK(crooked.synthetic_description().empty());
  CHECK(Topology{}.synthetic_description().empty());
}

TEST_CASE("a topology's hash depends on all of its content and never changes between versions") {
  const Topology topology = make_topology({1, 2, 1, 4, 2});
  CHECK(topology.hash() == 0x1f321acbe24c9062ULL);
  CHECK(topology.hash() == make_topology({1, 2, 1, 4, 2}).hash());
  for (auto field : {&Pu::os_index, &Pu::core, &Pu::l3, &Pu::numa, &Pu::package}) {
    for (std::size_t i = 0; i < topology.pus.size(); ++i) {
      Topology changed = topology;
      changed.pus[i].*field += 1;
      CHECK(changed.hash() != topology.hash());
    }
  }
  Topology swapped = topology;
  std::swap(swapped.pus[0], swapped.pus[1]);
  CHECK(swapped.hash() != topology.hash());
  CHECK(Topology{}.hash() != topology.hash());
}

TEST_CASE("topologies from outside are checked") {
  const Topology good = make_topology({1, 2, 1, 2, 2});
  CHECK(validate(good));
  const auto broken = [&](auto change) {
    Topology t = good;
    change(t);
    return validate(t).error().text;
  };
  CHECK(broken([](Topology& t) { t.pus.clear(); }) == "topology: 0 cpus, allowed are 1 to 65536");
  CHECK(broken([](Topology& t) { t.pus[1].os_index = 0; }) == "topology: cpu number 0 appears twice");
  CHECK(broken([](Topology& t) { t.pus[1].os_index = 70000; }) == "topology: cpu number 70000 is too large");
  CHECK(broken([](Topology& t) { t.pus[0].l3 = 4'000'000'000; }).find("topology: l3 number 4000000000") == 0);
  CHECK(broken([](Topology& t) { t.pus[0].package = t.pus[1].package = 2; }) == "topology: package numbers have a gap");
  CHECK(broken([](Topology& t) { t.pus[0].numa = 1; }) == "topology: core 0 lies in two groups");
}

// Goal: a node's cpu numbers mean the machine's own unless it pretends to be larger, and then they wrap.
// Method: small machines with known numbers.
#include "node/topology/node_cpus.hpp"

#include <catch2/catch.hpp>

#include "node/topology/cpu_map.hpp"

using namespace muster;
using namespace muster::node;
using Cpus = std::vector<std::uint32_t>;

namespace {

Cpus numbers(const NodeCpus& cpus) {
  Cpus all;
  for (const Pu& pu : cpus.topology().pus) {
    all.push_back(pu.os_index);
  }
  return all;
}

}  // namespace

TEST_CASE("a node has its machine's cpus by their own numbers") {
  Topology machine = make_topology({1, 1, 1, 2, 2});
  for (Pu& pu : machine.pus) {
    pu.os_index += 4;  // a cpuset of cpus 4-7
  }
  const auto all = NodeCpus::of_machine(machine, {});
  REQUIRE(all);
  CHECK(numbers(*all) == Cpus{4, 5, 6, 7});
  CHECK_FALSE(all->wrapped());
  CHECK(all->machine_cpus() == Cpus{4, 5, 6, 7});
  const auto some = NodeCpus::of_machine(machine, {.reserved_cpus = 1});
  REQUIRE(some);
  CHECK(numbers(*some) == Cpus{4, 5, 6});
  CHECK(some->machine_cpus() == Cpus{4, 5, 6});
  CHECK(validate(some->topology()));
  const auto second = NodeCpus::of_machine(machine, {.advertised_cpus = 2, .first_cpu = 2});
  REQUIRE(second);
  CHECK(numbers(*second) == Cpus{6, 7});
  CHECK(second->topology().counts() == TopologyCounts{1, 1, 1, 1, 2});
  const auto around = NodeCpus::of_machine(machine, {.advertised_cpus = 3, .first_cpu = 3});
  REQUIRE(around);
  CHECK(numbers(*around) == Cpus{4, 5, 7});
  CHECK(validate(around->topology()));
}

TEST_CASE("a node that advertises more wraps onto the machine and says so") {
  const Topology machine = make_topology({1, 1, 1, 2, 1});
  const auto node = NodeCpus::of_machine(machine, {.advertised_cpus = 8});
  REQUIRE(node);
  CHECK(node->wrapped());
  CHECK(numbers(*node) == Cpus{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(validate(node->topology()));
  CHECK(node->machine_cpus() == Cpus{0, 1, 0, 1, 0, 1, 0, 1});
  CpuMap map(node->topology());
  CHECK(map.capacity_cpus() == 8);
  // One machine's worth stays together.
  CHECK(map.grant({}, {2000, 1, 0}).value().cpus == Cpus{0, 1});
}

TEST_CASE("a pretended topology keeps its shape and wraps") {
  const Topology machine = make_topology({1, 1, 1, 2, 1});
  const auto node = NodeCpus::of_synthetic(make_topology({2, 1, 1, 16, 2}), machine, {.reserved_cpus = 4});
  REQUIRE(node);
  CHECK(node->wrapped());
  CHECK(node->size() == 60);
  CHECK(node->topology().counts() == TopologyCounts{2, 2, 2, 30, 60});
  REQUIRE(node->machine_cpus().size() == 60);
  CHECK(node->machine_cpus()[7] == 1);
  CHECK(node->machine_cpus()[33] == 1);
}

TEST_CASE("nodes without cpus or with absurd ones are refused") {
  const Topology machine = make_topology({1, 1, 1, 2, 1});
  CHECK(NodeCpus::of_machine(machine, {.reserved_cpus = 2}).error().text ==
        "cpus: reserving 2 of 2 leaves none for tasks; reserve fewer");
  CHECK(NodeCpus::of_machine(machine, {.advertised_cpus = 100'000}).error().code == Errc::out_of_range);
  CHECK_FALSE(NodeCpus::of_machine(Topology{}, {}));
  CHECK(NodeCpus::of_synthetic(machine, machine, {.advertised_cpus = 3}).error().code == Errc::invalid_argument);
}

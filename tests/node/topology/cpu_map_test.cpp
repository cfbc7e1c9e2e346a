// Goal: no cpu is ever handed out twice, the pool is never over-committed, a grant that the sums
// allow always succeeds, and neighbours stay together.
// Method: fixed machines for the choices; seeded random grants, adoptions and releases against a plain
// model for the invariants; everything released must equal a fresh map.
#include "node/topology/cpu_map.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace muster;
using namespace muster::node;
using Cpus = std::vector<std::uint32_t>;

namespace {

CpuKey key(std::uint64_t n) { return CpuKey{FrameworkId(1), AttemptId{n, 0}}; }

CpuGrant grant(CpuMap& map, std::uint64_t n, MilliCpus milli, std::uint32_t ranks = 1, MilliCpus per_rank = 0) {
  auto granted = map.grant(key(n), {milli, ranks, per_rank});
  REQUIRE(granted);
  return *granted;
}

// 0..n-1
std::uint32_t draw(std::mt19937& random, std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); }

// Everything that must hold in any state, from outside.
void check_invariants(const CpuMap& map, const std::map<std::uint64_t, MilliCpus>& live) {
  std::set<std::uint32_t> owned;
  MilliCpus fractions = 0;
  MilliCpus whole = 0;
  for (const auto& [n, milli] : live) {
    if (milli % 1000 != 0) {
      fractions += milli;
      REQUIRE(map.cpus_of(key(n)) == map.pool_cpus());
      continue;
    }
    whole += milli;
    const Cpus cpus = map.cpus_of(key(n));
    REQUIRE(cpus.size() == milli / 1000);
    for (const std::uint32_t cpu : cpus) {
      REQUIRE(owned.insert(cpu).second);
    }
  }
  for (const std::uint32_t cpu : map.pool_cpus()) {
    REQUIRE(owned.insert(cpu).second);
  }
  REQUIRE(map.pool_milli() == fractions);
  REQUIRE(map.pool_cpus().size() * 1000 >= fractions);
  REQUIRE(map.free_milli() == map.capacity_cpus() * 1000 - whole - fractions);
}

}  // namespace

TEST_CASE("whole cpus are the task's own and siblings go together") {
  CpuMap map(make_topology({1, 1, 1, 4, 2}));
  CHECK(grant(map, 1, 2000).cpus == Cpus{0, 1});
  CHECK(grant(map, 2, 1000).cpus == Cpus{2});
  // A whole core rather than the sibling that is left.
  CHECK(grant(map, 3, 2000).cpus == Cpus{4, 5});
  // A single cpu takes the sibling, not a whole core.
  CHECK(grant(map, 4, 1000).cpus == Cpus{3});
  CHECK(grant(map, 5, 2000).cpus == Cpus{6, 7});
  const auto full = map.grant(key(6), {1000, 1, 0});
  REQUIRE_FALSE(full);
  CHECK(full.error().text == "cpus: wants 1, has 0");
  CHECK(full.error().code == Errc::exhausted);
}

TEST_CASE("three of siblings are one core and a half one when there is such") {
  CpuMap map(make_topology({1, 1, 1, 4, 2}));
  grant(map, 1, 1000);  // cpu 0: leaves its sibling 1
  CHECK(grant(map, 2, 3000).cpus == Cpus{1, 2, 3});
}

TEST_CASE("the L3 that fits best is taken, then NUMA, then package") {
  CpuMap map(make_topology({2, 2, 2, 4, 1}));  // L3 of 4, NUMA of 8, package of 16
  grant(map, 1, 2000);                         // L3 0 keeps 2
  CHECK(grant(map, 2, 2000).cpus == Cpus{2, 3});
  grant(map, 3, 1000);                                   // L3 1 keeps 3
  CHECK(grant(map, 4, 4000).cpus == Cpus{8, 9, 10, 11});  // an L3 of its own
  CHECK(grant(map, 5, 3000).cpus == Cpus{5, 6, 7});
  // Eight fit into no L3, but into NUMA node 2 of the other package.
  CHECK(grant(map, 6, 8000).cpus == Cpus{16, 17, 18, 19, 20, 21, 22, 23});
  // What is left is L3 3 and NUMA node 3: twelve must span the packages.
  CHECK(grant(map, 7, 12000).cpus == Cpus{12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31});
}

TEST_CASE("fractions share a pool that grows and goes back") {
  CpuMap map(make_topology({1, 1, 1, 4, 1}));
  const CpuGrant first = grant(map, 1, 500);
  CHECK(first.shared);
  CHECK(first.pool_changed);
  CHECK(first.cpus == Cpus{0});
  const CpuGrant second = grant(map, 2, 500);
  CHECK(second.cpus == Cpus{0});
  CHECK_FALSE(second.pool_changed);
  CHECK(grant(map, 3, 2500).cpus == Cpus{0, 1, 2, 3});
  CHECK(map.free_milli() == 500);
  CHECK_FALSE(map.grant(key(4), {1000, 1, 0}));
  CHECK_FALSE(map.grant(key(4), {501, 1, 0}));
  CHECK(grant(map, 4, 400).cpus.size() == 4);
  CHECK(map.release(key(3)));
  // 1.4 cpus are shared: two cpus are surplus and go to whom needs whole ones.
  CHECK(map.pool_cpus() == Cpus{0, 1, 2, 3});
  const CpuGrant own = grant(map, 5, 2000);
  CHECK(own.cpus == Cpus{2, 3});
  CHECK(own.pool_changed);
  CHECK(map.pool_cpus() == Cpus{0, 1});
  CHECK(map.pool_members() == std::vector<CpuKey>{key(1), key(2), key(4)});
  for (std::uint64_t n : {1, 2, 4, 5}) {
    CHECK(map.release(key(n)));
  }
  CHECK(map == CpuMap(make_topology({1, 1, 1, 4, 1})));
  CHECK_FALSE(map.release(key(1)));
}

TEST_CASE("ranks get distinct cpus when they have whole ones") {
  CpuMap map(make_topology({1, 1, 1, 8, 1}));
  CHECK(grant(map, 1, 4000, 4, 1000).ranks == std::vector<Cpus>{{0}, {1}, {2}, {3}});
  CHECK(grant(map, 2, 4000, 2, 2000).ranks == std::vector<Cpus>{{4, 5}, {6, 7}});
  map.release(key(1));
  map.release(key(2));
  // Evenly when nothing is said; all to all when there are more ranks than cpus or shares are broken.
  CHECK(grant(map, 3, 3000, 2).ranks == std::vector<Cpus>{{0}, {1, 2}});
  CHECK(grant(map, 4, 1000, 2, 500).ranks == std::vector<Cpus>{{3}, {3}});
  CHECK(grant(map, 5, 3000, 2, 1500).ranks == std::vector<Cpus>{{4, 5, 6}, {4, 5, 6}});
  CHECK(grant(map, 6, 500, 2, 250).ranks == std::vector<Cpus>{{7}, {7}});
  CHECK(grant(map, 7, 0, 2).ranks == std::vector<Cpus>{{}, {}});
  CHECK(map.cpus_of(key(7)).empty());
  const auto much = map.grant(key(8), {1000, 2, 1000});
  REQUIRE_FALSE(much);
  CHECK(much.error().text == "cpus: 2 ranks of 1 cpus need more than the task's 1");
  const auto again = map.grant(key(3), {0, 1, 0});
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::already_exists);
}

TEST_CASE("ranks keep siblings together although the kernel numbers them apart") {
  Topology topology = make_topology({1, 1, 1, 4, 2});
  for (std::uint32_t i = 0; i < 8; ++i) {
    topology.pus[i].os_index = i / 2 + (i % 2) * 4;  // core 0 has cpus 0 and 4
  }
  CpuMap map(topology);
  const CpuGrant four = grant(map, 1, 4000, 2, 2000);
  CHECK(four.cpus == Cpus{0, 1, 4, 5});
  CHECK(four.ranks == std::vector<Cpus>{{0, 4}, {1, 5}});
}

TEST_CASE("running tasks are adopted with their cpus in any order") {
  const Topology topology = make_topology({1, 1, 1, 4, 1});
  CpuMap map(topology);
  // A pool task first, on cpus that a whole task owns since: the pool makes room.
  REQUIRE(map.adopt(key(1), {500, 1, 0}, Cpus{2, 3}));
  CHECK(map.pool_cpus() == Cpus{2, 3});
  const auto whole = map.adopt(key(2), {3000, 1, 0}, Cpus{1, 2, 3});
  REQUIRE(whole);
  CHECK(whole->cpus == Cpus{1, 2, 3});
  CHECK(whole->pool_changed);
  CHECK(map.pool_cpus() == Cpus{0});
  CHECK(map.adopt(key(3), {1000, 1, 0}, Cpus{1}).error().code == Errc::exhausted);
  map.release(key(1));
  CHECK(map.adopt(key(3), {1000, 1, 0}, Cpus{1}).error().text ==
        "cpus: attempt 3:0 can't keep cpus '1': cpu 1 is another task's");
  CHECK(map.adopt(key(3), {1000, 1, 0}, Cpus{9}).error().code == Errc::conflict);
  CHECK(map.adopt(key(3), {1000, 1, 0}, Cpus{}).error().code == Errc::conflict);
  CHECK(map.adopt(key(3), {1000, 1, 0}, Cpus{0}));
  for (std::uint64_t n : {2, 3}) {
    map.release(key(n));
  }
  CHECK(map == CpuMap(topology));
}

TEST_CASE("random grants never share a cpu, never over-commit the pool, and always use the room") {
  const std::vector<TopologyShape> shapes{{1, 1, 1, 2, 1}, {1, 1, 1, 4, 2}, {2, 2, 2, 4, 2}, {1, 1, 3, 5, 1}, {2, 1, 1, 3, 4}};
  for (std::uint32_t seed = 1; seed <= 40; ++seed) {
    std::mt19937 random(seed);
    const Topology topology = make_topology(shapes[seed % shapes.size()]);
    CpuMap map(topology);
    const CpuMap fresh = map;
    std::map<std::uint64_t, MilliCpus> live;
    MilliCpus used = 0;
    for (std::uint64_t n = 1; n <= 400; ++n) {
      if (!live.empty() && random() % 5 < 2) {
        auto it = live.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random() % live.size()));
        REQUIRE(map.release(key(it->first)));
        used -= it->second;
        live.erase(it);
      } else {
        const MilliCpus milli = random() % 2 == 0 ? (1 + draw(random, 6)) * 1000 : 1 + draw(random, 2700);
        const std::uint32_t ranks = 1 + draw(random, 3);
        const MilliCpus per_rank = random() % 2 == 0 ? 0 : milli / ranks;
        const auto granted = map.grant(key(n), {milli, ranks, per_rank});
        // The sums decide, whatever the fragmentation.
        const bool fits = used + milli <= map.capacity_cpus() * 1000;
        REQUIRE(granted.has_value() == fits);
        if (fits) {
          used += milli;
          live[n] = milli;
          REQUIRE(granted->cpus == map.cpus_of(key(n)));
          REQUIRE(granted->ranks.size() == ranks);
          std::size_t in_ranks = 0;
          std::set<std::uint32_t> distinct;
          for (const Cpus& cpus : granted->ranks) {
            REQUIRE(std::includes(granted->cpus.begin(), granted->cpus.end(), cpus.begin(), cpus.end()));
            in_ranks += cpus.size();
            distinct.insert(cpus.begin(), cpus.end());
          }
          if (milli % 1000 == 0 && per_rank != 0 && per_rank % 1000 == 0) {
            REQUIRE(in_ranks == distinct.size());
          }
        }
      }
      check_invariants(map, live);
      if (n % 50 == 0) {
        // A restart: everything that runs is adopted, in random order.
        CpuMap after(topology);
        std::vector<std::uint64_t> order;
        for (const auto& [id, milli] : live) {
          order.push_back(id);
        }
        std::shuffle(order.begin(), order.end(), random);
        for (const std::uint64_t id : order) {
          REQUIRE(after.adopt(key(id), {live[id], 1, 0}, map.cpus_of(key(id))));
        }
        check_invariants(after, live);
        map = after;
      }
    }
    for (const auto& [n, milli] : live) {
      REQUIRE(map.release(key(n)));
    }
    REQUIRE(map == fresh);
  }
}

TEST_CASE("tasks that fit into one L3 stay in one on a machine that is not full") {
  // Half-full machine of 16 L3 with 8 cpus each: random tasks of up to 8 cpus come and go.
  const Topology topology = make_topology({2, 1, 8, 4, 2});
  CpuMap map(topology);
  std::mt19937 random(3);
  std::map<std::uint64_t, MilliCpus> live;
  MilliCpus used = 0;
  int grants = 0;
  int split = 0;
  for (std::uint64_t n = 1; n <= 5000; ++n) {
    const MilliCpus milli = (1 + draw(random, 8)) * 1000;
    if (used + milli > 80'000) {
      auto it = live.begin();
      std::advance(it, static_cast<std::ptrdiff_t>(random() % live.size()));
      map.release(key(it->first));
      used -= it->second;
      live.erase(it);
      continue;
    }
    const CpuGrant granted = grant(map, n, milli);
    live[n] = milli;
    used += milli;
    ++grants;
    split += granted.cpus.front() / 8 != granted.cpus.back() / 8 ? 1 : 0;
  }
  INFO(split << " of " << grants << " grants were split over L3s");
  CHECK(grants > 2000);
  CHECK(split * 20 < grants);
}

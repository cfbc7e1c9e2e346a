// Goal: the ranks of a step lie where srun's users expect them. Method: by table; every layout is checked for being whole.
#include <catch2/catch.hpp>

#include <numeric>

#include "node/step/rank_layout.hpp"

using namespace muster;
using namespace muster::node;

namespace {

using Ranks = std::vector<std::uint32_t>;

// n1, n2, …: so many cpus and ranks of the job on each, all free.
LayoutAsk allocation(const std::vector<std::pair<std::uint32_t, std::uint32_t>>& cpus_and_ranks) {
  LayoutAsk ask;
  ask.cpus_per_task = 1;
  for (const auto& [cpus, ranks] : cpus_and_ranks) {
    ask.members.push_back({"n" + std::to_string(ask.members.size() + 1), cpus, cpus, ranks});
  }
  return ask;
}

// The ranks by member; members without any are {}.
std::vector<Ranks> laid(const LayoutAsk& ask) {
  const auto layout = lay_out(ask);
  if (!layout) {
    FAIL(layout.error().text);
  }
  std::vector<Ranks> ranks(ask.members.size());
  Ranks all;
  for (const auto& part : layout->parts) {
    ranks[part.member] = part.ranks;
    all.insert(all.end(), part.ranks.begin(), part.ranks.end());
  }
  std::sort(all.begin(), all.end());
  Ranks whole(layout->ntasks);
  std::iota(whole.begin(), whole.end(), 0U);
  CHECK(all == whole);
  CHECK(*read_layout(pack_layout(*layout)) == *layout);
  return ranks;
}

std::string refusal(const LayoutAsk& ask) {
  const auto layout = lay_out(ask);
  REQUIRE(!layout);
  return layout.error().text;
}

}  // namespace

TEST_CASE("a step that asks for nothing gets the job's ranks where the job has them") {
  LayoutAsk ask = allocation({{3, 3}, {1, 1}});
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2}, {3}});
  ask.ntasks = 4;
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2}, {3}});
  ask.distribution = "cyclic";
  CHECK(laid(ask) == std::vector<Ranks>{{0, 2, 3}, {1}});
  // More cpus than ranks: still as the job was placed.
  CHECK(laid(allocation({{8, 3}, {8, 1}})) == std::vector<Ranks>{{0, 1, 2}, {3}});
}

TEST_CASE("fewer ranks than nodes leave nodes out, and others are spread") {
  LayoutAsk ask = allocation({{4, 4}, {4, 4}, {4, 4}});
  ask.ntasks = 2;
  CHECK(laid(ask) == std::vector<Ranks>{{0}, {1}, {}});
  ask.ntasks = 4;
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1}, {2}, {3}});
  ask.distribution = "cyclic";
  CHECK(laid(ask) == std::vector<Ranks>{{0, 3}, {1}, {2}});
  ask.distribution = "block:cyclic";
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1}, {2}, {3}});
  ask.ntasks = 11;
  ask.distribution = "cyclic";
  CHECK(laid(ask) == std::vector<Ranks>{{0, 3, 6, 9}, {1, 4, 7, 10}, {2, 5, 8}});
}

TEST_CASE("plane deals some ranks at a time") {
  LayoutAsk ask = allocation({{8, 3}, {8, 3}});
  ask.distribution = "plane=4";
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2, 3}, {4, 5}});
  ask.ntasks = 11;
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2, 3, 8, 9, 10}, {4, 5, 6, 7}});
  ask.ntasks = 16;
  ask.distribution = "plane=3";
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2, 6, 7, 8, 12, 13}, {3, 4, 5, 9, 10, 11, 14, 15}});
}

TEST_CASE("nodes, node lists and tasks per node choose where") {
  LayoutAsk ask = allocation({{4, 2}, {4, 2}, {4, 2}});
  ask.nodes_min = ask.nodes_max = 2;
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1}, {2, 3}, {}});
  ask.ntasks_per_node = 1;
  CHECK(laid(ask) == std::vector<Ranks>{{0}, {1}, {}});
  ask.ntasks = 2;
  ask.node_list = {"n3", "n2"};
  CHECK(laid(ask) == std::vector<Ranks>{{}, {0}, {1}});
  ask = allocation({{4, 2}, {4, 2}, {4, 2}});
  ask.cpus_per_task = 4;
  ask.ntasks = 3;
  CHECK(laid(ask) == std::vector<Ranks>{{0}, {1}, {2}});
}

TEST_CASE("steps beside others take what is free") {
  LayoutAsk ask = allocation({{4, 4}, {4, 4}});
  ask.members[0].free_cpus = 0;
  ask.ntasks = 2;
  CHECK(laid(ask) == std::vector<Ranks>{{}, {0, 1}});
  ask.nodes_max = 1;
  ask.members[0].free_cpus = 1;
  CHECK(laid(ask) == std::vector<Ranks>{{}, {0, 1}});
  ask.nodes_max = 0;
  ask.ntasks = 8;
  CHECK(refusal(ask) == "--ntasks 8 does not fit now: the allocation has 8 cpus, 3 of them used by other steps; wait for them, "
                        "or share their cpus with --overlap");
  CHECK(lay_out(ask).error().code == Errc::exhausted);
  ask.overlap = true;
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2, 3}, {4, 5, 6, 7}});
}

TEST_CASE("ranks of a fraction of a cpu share cpus") {
  CHECK(laid(allocation({{2, 4}})) == std::vector<Ranks>{{0, 1, 2, 3}});
  LayoutAsk ask = allocation({{2, 2}});
  ask.cpus_per_task = 0;
  ask.ntasks = 7;
  CHECK(laid(ask) == std::vector<Ranks>{{0, 1, 2, 3, 4, 5, 6}});
}

TEST_CASE("a step that can't be laid out is refused by option, value and way out") {
  LayoutAsk ask = allocation({{4, 4}, {4, 4}});
  ask.ntasks = 9;
  CHECK(refusal(ask) == "--ntasks 9 does not fit: the allocation has 8 cpus on 2 nodes, which is room for 8 tasks; ask for no "
                        "more, or for a larger allocation");
  ask.ntasks = 0;
  ask.cpus_per_task = 2;
  CHECK(refusal(ask).starts_with("--ntasks 8 with --cpus-per-task 2 does not fit: the allocation has 8 cpus on 2 nodes, which is "
                                 "room for 4 tasks"));
  ask.cpus_per_task = 1;
  ask.ntasks = 5;
  ask.ntasks_per_node = 2;
  CHECK(refusal(ask).starts_with("--ntasks 5 with --ntasks-per-node 2 does not fit"));
  ask = allocation({{4, 4}, {4, 4}});
  ask.nodes_min = ask.nodes_max = 3;
  CHECK(refusal(ask) == "--nodes 3 is more than the 2 that the allocation has");
  ask.nodes_min = ask.nodes_max = 2;
  ask.ntasks = 1;
  CHECK(refusal(ask) == "--nodes 2 needs as many tasks, and --ntasks is 1");
  ask = allocation({{4, 4}, {4, 4}});
  ask.node_list = {"n9"};
  CHECK(refusal(ask) == "--nodelist: n9 is not in the allocation, which has n[1-2]");
  for (const char* text : {"plane", "plane=0", "plane=x", "arbitrary", "Block"}) {
    ask = allocation({{1, 1}});
    ask.distribution = text;
    CHECK(refusal(ask) == "--distribution: '" + std::string(text) + "' is not a distribution; write block, cyclic or plane=4");
  }
}

TEST_CASE("every layout of random allocations is whole and within its bounds") {
  std::uint32_t state = 7;
  const auto random = [&](std::uint32_t below) { return (state = state * 1664525 + 1013904223) / 65536 % below; };
  for (int round = 0; round < 3000; ++round) {
    LayoutAsk ask;
    const std::uint32_t members = 1 + random(6);
    for (std::uint32_t m = 0; m < members; ++m) {
      const std::uint32_t cpus = 1 + random(8);
      ask.members.push_back({"n" + std::to_string(m), cpus, random(cpus + 1), 1 + random(cpus)});
    }
    ask.ntasks = random(20);
    ask.nodes_max = random(members + 2);
    ask.nodes_min = ask.nodes_max == 0 ? 0 : random(ask.nodes_max + 1);
    ask.ntasks_per_node = random(4);
    ask.cpus_per_task = 1 + random(3);
    ask.overlap = random(2) == 0;
    ask.distribution = std::vector<std::string>{"", "block", "cyclic", "plane=2"}[random(4)];
    const auto layout = lay_out(ask);
    if (!layout) {
      CHECK(layout.error().text.starts_with("--"));
      continue;
    }
    CHECK(read_layout(pack_layout(*layout)));
    CHECK((layout->parts.size() >= ask.nodes_min || ask.distribution == "plane=2"));  // a plane may be all there is
    CHECK((ask.nodes_max == 0 || layout->parts.size() <= ask.nodes_max));
    CHECK((ask.ntasks == 0 || layout->ntasks == ask.ntasks));
    for (const auto& part : layout->parts) {
      const LayoutMember& member = ask.members[part.member];
      CHECK(part.ranks.size() * ask.cpus_per_task <= (ask.overlap ? member.cpus : member.free_cpus));
      CHECK((ask.ntasks_per_node == 0 || part.ranks.size() <= ask.ntasks_per_node));
    }
  }
}

TEST_CASE("a layout that contradicts itself is not read") {
  StepLayout layout{4, {{0, {0, 1}}, {2, {2, 3}}}};
  REQUIRE(read_layout(pack_layout(layout)));
  const auto broken = [&](auto change) {
    fb::StepLayoutT packed = pack_layout(layout);
    change(packed);
    const auto read = read_layout(packed);
    return !read && read.error().code == Errc::malformed;
  };
  CHECK(broken([](auto& l) { l.ntasks = 5; }));
  CHECK(broken([](auto& l) { l.ranks[0] = 9; }));
  CHECK(broken([](auto& l) { l.ranks[0] = 1; }));
  CHECK(broken([](auto& l) { l.counts[0] = 7; }));
  CHECK(broken([](auto& l) { l.counts[0] = 1; }));
  CHECK(broken([](auto& l) { l.counts[0] = 0; }));
  CHECK(broken([](auto& l) { l.counts.pop_back(); }));
  CHECK(broken([](auto& l) { l.members[1] = 0; }));
}

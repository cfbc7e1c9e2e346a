// Goal: each rank gets the cpus that its user asked for, and the drawing shows them. Method: by table on pretended machines.
#include <catch2/catch.hpp>

#include <numeric>
#include <set>

#include "node/step/rank_binding.hpp"
#include "wire/model/cpu_list.hpp"

using namespace muster;
using namespace muster::node;

namespace {

// Two packages of two NUMA nodes of two cores of two threads: cpus 0-15.
const Topology kTwo = make_topology({.packages = 2, .numas_per_package = 2, .cores_per_l3 = 2, .pus_per_core = 2});

struct Try {
  std::uint32_t ranks{1};
  std::uint32_t cpus_per_task{1};
  std::string bind{};
  std::string cpus{"0-15"};
  std::uint32_t threads{0};
  bool over_packages{};
};

Result<StepBinding> tried(const Try& t) {
  const auto cpus = parse_cpu_list(t.cpus);
  return bind_ranks({.pus = kTwo.pus,
                     .cpus = *cpus,
                     .ranks = t.ranks,
                     .cpus_per_task = t.cpus_per_task,
                     .threads_per_core = t.threads,
                     .cpu_bind = t.bind,
                     .over_packages = t.over_packages,
                     .node = "n1"});
}

// "0-1 2-3": the cpus of each rank.
std::string lists(const Try& t) {
  const auto binding = tried(t);
  if (!binding) {
    return binding.error().text;
  }
  std::string text;
  for (const auto& rank : binding->ranks) {
    text += (text.empty() ? "" : " ") + format_cpu_list(rank.cpus);
  }
  return text + (binding->note.empty() ? "" : " | " + binding->note);
}

}  // namespace

TEST_CASE("core gives whole cores of their own while there are enough") {
  CHECK(lists({.ranks = 3}) == "0-1 2-3 4-5");
  CHECK(lists({.ranks = 2, .cpus_per_task = 2}) == "0-1 2-3");
  CHECK(lists({.ranks = 2, .cpus_per_task = 3}) == "0-3 4-7");
  CHECK(lists({.ranks = 2, .cpus_per_task = 4, .cpus = "4-11"}) == "4-7 8-11");
  CHECK(lists({.ranks = 2, .cpus_per_task = 0}) == "0-7 8-15");
}

TEST_CASE("core falls back to hardware threads of their own, then to sharing, and says so") {
  CHECK(lists({.ranks = 4, .cpus = "0-3"}) == "0 1 2 3");
  CHECK(lists({.ranks = 2, .cpus_per_task = 3, .cpus = "0-5"}) == "0-2 3-5");
  CHECK(lists({.ranks = 4, .cpus = "0-1"}) == "0 1 0 1 | 4 ranks of 1 cpu share 2 cpus of n1");
  CHECK(lists({.ranks = 2, .cpus_per_task = 4, .cpus = "6"}) == "6 6 | 2 ranks of 4 cpus share 1 cpu of n1");
  // A grant of parts of cores.
  CHECK(lists({.ranks = 3, .cpus = "0,2,4-5"}) == "0 2 4-5");
  CHECK(lists({.ranks = 2, .cpus_per_task = 2, .cpus = "0,2,4-5"}) == "0,2 4-5");
}

TEST_CASE("one thread of each core when threads are not wanted") {
  CHECK(lists({.ranks = 4, .threads = 1}) == "0 2 4 6");
  CHECK(lists({.ranks = 2, .cpus_per_task = 2, .threads = 1}) == "0,2 4,6");
  CHECK(lists({.ranks = 9, .threads = 1}) == "0 2 4 6 8 10 12 14 0 | 9 ranks of 1 cpu share 8 cpus of n1");
}

TEST_CASE("rank, socket, numa, none and map") {
  CHECK(lists({.ranks = 3, .bind = "rank"}) == "0 1 2");
  CHECK(lists({.ranks = 2, .cpus_per_task = 3, .bind = "rank"}) == "0-2 3-5");
  CHECK(lists({.ranks = 2, .cpus_per_task = 4, .bind = "socket"}) == "0-7 0-7");
  CHECK(lists({.ranks = 2, .cpus_per_task = 8, .bind = "socket"}) == "0-7 8-15");
  CHECK(lists({.ranks = 3, .cpus_per_task = 2, .bind = "numa"}) == "0-3 0-3 4-7");
  CHECK(lists({.ranks = 2, .bind = "none", .cpus = "3,5"}) == "3,5 3,5");
  CHECK(lists({.ranks = 4, .bind = "map:0,2,4"}) == "0 2 4 0");
  CHECK(lists({.ranks = 1, .bind = "map:9", .cpus = "0-3"}) ==
        "--cpu-bind map:9: cpu 9 is not among those of the step on n1, 0-3");
  CHECK(lists({.ranks = 1, .bind = "map:1,"}) == "--cpu-bind map:1,: '' is not a cpu; write map:0,2,4");
  CHECK(lists({.ranks = 1, .bind = "best"}) ==
        "--cpu-bind: 'best' is not a binding; there are core, socket, numa, rank, none and map:0,2,4");
}

TEST_CASE("ranks can be dealt over packages") {
  CHECK(lists({.ranks = 3, .over_packages = true}) == "0-1 8-9 2-3");
  CHECK(lists({.ranks = 2, .cpus_per_task = 4, .over_packages = true}) == "0-3 8-11");
  CHECK(lists({.ranks = 2, .bind = "socket", .over_packages = true}) == "0-7 8-15");
  CHECK(lists({.ranks = 16, .over_packages = true}).starts_with("0 1 8 9 2 3"));
}

TEST_CASE("memory comes from the NUMA nodes of the rank's cpus") {
  const auto binding = tried({.ranks = 2, .cpus_per_task = 8});
  REQUIRE(binding);
  CHECK(binding->ranks[0].numas == std::vector<std::uint32_t>{0, 1});
  CHECK(binding->ranks[1].numas == std::vector<std::uint32_t>{2, 3});
}

TEST_CASE("without a map of the machine, and without cpus, ranks are bound as far as possible") {
  const std::vector<std::uint32_t> cpus{3, 5};
  CHECK(bind_ranks({.pus = {}, .cpus = cpus, .ranks = 2, .cpu_bind = {}, .node = {}})->ranks[1].cpus ==
        std::vector<std::uint32_t>{5});
  CHECK(bind_ranks({.pus = kTwo.pus, .cpus = {}, .ranks = 2, .cpu_bind = {}, .node = {}})->ranks[1].cpus.empty());
}

TEST_CASE("bindings are drawn by package, core and hardware thread") {
  const auto binding = tried({.ranks = 2, .cpus_per_task = 2, .cpus = "0-3,8"});
  REQUIRE(binding);
  const std::vector<std::uint32_t> numbers{4, 7};
  const std::vector<std::uint32_t> granted{0, 1, 2, 3, 8};
  CHECK(draw_bindings(kTwo.pus, granted, "n1", numbers, *binding) ==
        std::vector<std::string>{"rank 4 n1: [BB/../--/--][.-/--/--/--] (cpus 0-1)",
                                 "rank 7 n1: [../BB/--/--][.-/--/--/--] (cpus 2-3)"});
  CHECK(draw_cpus(kTwo.pus, std::vector<std::uint32_t>{15}, {}) == "[../../../..][../../../.B]");
  StepBinding none;
  none.ranks.resize(1);
  CHECK(draw_bindings(kTwo.pus, granted, "n1", numbers, none) == std::vector<std::string>{"rank 4 n1: not bound"});
}

TEST_CASE("distinct cpus whenever there are enough, for every size") {
  for (std::uint32_t cpus = 1; cpus <= 16; ++cpus) {
    for (std::uint32_t ranks = 1; ranks <= 8; ++ranks) {
      for (std::uint32_t each = 1; each <= 5; ++each) {
        for (const bool over : {false, true}) {
          const auto binding =
              tried({.ranks = ranks, .cpus_per_task = each, .cpus = "0-" + std::to_string(cpus - 1), .over_packages = over});
          REQUIRE(binding);
          std::set<std::uint32_t> seen;
          std::size_t total = 0;
          for (const auto& rank : binding->ranks) {
            seen.insert(rank.cpus.begin(), rank.cpus.end());
            total += rank.cpus.size();
            CHECK(rank.cpus.size() >= std::min(each, cpus));
          }
          CHECK(binding->note.empty() == (ranks * each <= cpus));
          CHECK((seen.size() == total) == (ranks * each <= cpus || (ranks == 1 && each >= cpus)));
        }
      }
    }
  }
}

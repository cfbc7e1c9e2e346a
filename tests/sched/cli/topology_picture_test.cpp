// Goal: a drawing shows every cpu where it is. Method: drawings of pretended machines, whole.
#include "sched/cli/topology_picture.hpp"

#include <catch2/catch.hpp>

namespace muster::cli {

TEST_CASE("a node is drawn by packages, caches and cores") {
  CHECK(draw_topology(make_topology({.cores_per_l3 = 2})) == "package 0\n  NUMA 0, L3 0: [0] [1]\n");
  CHECK(draw_topology(make_topology({.packages = 2, .l3s_per_numa = 2, .cores_per_l3 = 2, .pus_per_core = 2})) ==
        "package 0\n  NUMA 0, L3 0: [0 1] [2 3]\n  NUMA 0, L3 1: [4 5] [6 7]\n"
        "package 1\n  NUMA 1, L3 2: [8 9] [10 11]\n  NUMA 1, L3 3: [12 13] [14 15]\n");
  CHECK(draw_topology(make_topology({.cores_per_l3 = 6}), 28) ==
        "package 0\n  NUMA 0, L3 0: [0] [1] [2]\n                [3] [4] [5]\n");
}

TEST_CASE("the picture of a node names all its cpus once") {
  const std::string svg = topology_svg(make_topology({.packages = 2, .cores_per_l3 = 9, .pus_per_core = 2}), "n1 & n2");
  CHECK(svg.find("<svg") != std::string::npos);
  CHECK(svg.find("n1 &amp; n2") != std::string::npos);
  for (int cpu = 0; cpu < 36; ++cpu) {
    const std::string label = ">" + std::to_string(cpu) + "</text>";
    const auto first = svg.find(label);
    REQUIRE(first != std::string::npos);
    CHECK(svg.find(label, first + 1) == std::string::npos);
  }
}

}  // namespace muster::cli

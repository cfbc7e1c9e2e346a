// Goal: a node's map of itself arrives as it was. Method: there and back, by table; bad text is refused.
#include <catch2/catch.hpp>

#include "wire/model/topology_text.hpp"

using namespace muster;

TEST_CASE("topologies of every kind go through one line and back") {
  Topology linux_like = make_topology({.packages = 2, .cores_per_l3 = 4, .pus_per_core = 2});
  for (std::size_t i = 0; i < linux_like.pus.size(); ++i) {
    linux_like.pus[i].os_index = static_cast<std::uint32_t>(i / 2 + (i % 2) * 8);  // siblings are 0,8 1,9 …
  }
  CHECK(describe_topology(linux_like) == "package:2 numa:1 l3:1 core:4 pu:2 cpus:0-7;8-15");
  Topology uneven = make_topology({.cores_per_l3 = 3});
  uneven.pus.push_back({.os_index = 9, .core = 3, .l3 = 1, .numa = 1, .package = 1});
  Topology backwards = make_topology({.cores_per_l3 = 2});
  std::swap(backwards.pus[0].os_index, backwards.pus[1].os_index);
  CHECK(describe_topology(backwards) == "pus:1.0.0.0.0,0.1.0.0.0");
  for (const Topology& topology :
       {make_topology({}), linux_like, uneven, backwards, make_topology({.packages = 2, .numas_per_package = 2, .l3s_per_numa = 2, .cores_per_l3 = 8, .pus_per_core = 2})}) {
    const std::string text = describe_topology(topology);
    INFO(text);
    const auto back = parse_topology(text);
    REQUIRE(back);
    CHECK(*back == topology);
  }
  CHECK(describe_topology({}).empty());
}

TEST_CASE("text that describes no topology is refused") {
  for (const char* text : {"", "x", "package:1", "package:1 numa:1 l3:1 core:0 pu:1", "package:1 numa:1 l3:1 core:2 pu:1 cpus:0",
                           "package:1 numa:1 l3:1 core:2 pu:1 cpus:0-1;2", "package:9999 numa:9999 l3:9999 core:9999 pu:9999", "pus:",
                           "pus:0", "pus:0.0.0.0.0.0", "pus:0.0.0.0.0,0.1.0.0.0", "pus:0.7.0.0.0", "package:1 numa:1 l3:1 core:2 pu:1 cpu"}) {
    INFO(text);
    const auto topology = parse_topology(text);
    REQUIRE_FALSE(topology);
    CHECK(topology.error().code == Errc::malformed);
  }
}

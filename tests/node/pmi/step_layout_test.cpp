// Goal: MPICH learns from PMI_process_mapping where every rank is, in few words. Method: layouts of all kinds, their
// mapping against known words, and against the rule by which MPICH reads it.
#include "node/pmi/step_layout.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <sstream>

using namespace muster;
using namespace muster::node;

namespace {

using Layout = std::vector<std::vector<std::uint32_t>>;

PmiStep step_of(const Layout& layout) {
  PmiStep step;
  step.name = "muster.1.0.1.1";
  step.ranks = layout;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    step.nodes.push_back("n" + std::to_string(i + 1));
    step.ntasks += static_cast<std::uint32_t>(layout[i].size());
  }
  return step;
}

Layout layout_of(const std::vector<std::uint32_t>& node_of_rank, std::uint32_t nodes) {
  Layout layout(nodes);
  for (std::uint32_t rank = 0; rank < node_of_rank.size(); ++rank) {
    layout[node_of_rank[rank]].push_back(rank);
  }
  return layout;
}

std::vector<std::uint32_t> numbered_as_met(std::vector<std::uint32_t> nodes) {
  std::map<std::uint32_t, std::uint32_t> numbers;
  for (std::uint32_t& node : nodes) {
    node = numbers.emplace(node, static_cast<std::uint32_t>(numbers.size())).first->second;
  }
  return nodes;
}

// As MPICH does: block after block, over and over, until all ranks have a node.
std::vector<std::uint32_t> read_mapping(const std::string& text, std::size_t ntasks) {
  std::vector<std::array<std::uint32_t, 3>> blocks;
  std::istringstream in(text.substr(std::string("(vector").size()));
  char c{};
  while (in >> c && c == ',') {
    std::array<std::uint32_t, 3> block{};
    in >> c >> block[0] >> c >> block[1] >> c >> block[2] >> c;
    blocks.push_back(block);
  }
  std::vector<std::uint32_t> nodes;
  while (!blocks.empty() && nodes.size() < ntasks) {
    for (const auto& [first, count, ranks] : blocks) {
      for (std::uint32_t i = 0; i < count * ranks && nodes.size() < ntasks; ++i) {
        nodes.push_back(first + i / ranks);
      }
    }
  }
  return nodes;
}

}  // namespace

TEST_CASE("regular layouts have short process mappings") {
  CHECK(process_mapping(step_of({{0, 1}, {2, 3}})) == "(vector,(0,2,2))");
  CHECK(process_mapping(step_of({{0, 1, 2, 3}})) == "(vector,(0,1,4))");
  CHECK(process_mapping(step_of({{0, 2}, {1, 3}})) == "(vector,(0,2,1))");
  CHECK(process_mapping(step_of({{0, 2, 4}, {1, 3}})) == "(vector,(0,2,1))");
  CHECK(process_mapping(step_of({{0, 1, 4, 5}, {2, 3, 6, 7}})) == "(vector,(0,2,2))");
  CHECK(process_mapping(step_of({{0, 1, 2}, {3}})) == "(vector,(0,1,3),(1,1,1))");
  CHECK(process_mapping(step_of({{0, 1}, {2, 3}, {4}})) == "(vector,(0,2,2),(2,1,1))");
  CHECK(process_mapping(step_of({{1}, {0}})) == "(vector,(0,2,1))");
  CHECK(process_mapping(step_of({{1, 2}, {}, {0}})) == "(vector,(0,1,1),(1,1,2))");
  Layout cyclic(64);
  for (std::uint32_t rank = 0; rank < 1000; ++rank) {
    cyclic[rank % 64].push_back(rank);
  }
  CHECK(process_mapping(step_of(cyclic)) == "(vector,(0,64,1))");
}

TEST_CASE("MPICH reads from any process mapping the node of every rank") {
  std::mt19937 random(4711);
  auto pick = [&] { return static_cast<std::uint32_t>(random()); };
  for (int i = 0; i < 500; ++i) {
    const std::uint32_t nodes = 1 + pick() % 5;
    std::vector<std::uint32_t> node_of_rank(1 + pick() % 24);
    const std::uint32_t run = 1 + pick() % 3;
    for (std::uint32_t rank = 0; rank < node_of_rank.size(); ++rank) {
      node_of_rank[rank] = i % 2 == 0 ? pick() % nodes : rank / run % nodes;
    }
    const std::string text = process_mapping(step_of(layout_of(node_of_rank, nodes)));
    INFO(text);
    REQUIRE(read_mapping(text, node_of_rank.size()) == numbered_as_met(node_of_rank));
  }
}

TEST_CASE("a layout with holes, doubles or disorder is refused") {
  CHECK(check_layout(step_of({{0, 1}, {2, 3}})));
  CHECK(check_layout(step_of({{0, 1}, {}})));
  CHECK_FALSE(check_layout(step_of({{1, 0}})));
  CHECK_FALSE(check_layout(step_of({{0, 1}, {1}})));
  CHECK_FALSE(check_layout(step_of({{0, 1}, {3}})));
  PmiStep step = step_of({{0}, {1}});
  step.here = 2;
  CHECK_FALSE(check_layout(step));
  step = step_of({{0}});
  step.name = "two words";
  CHECK_FALSE(check_layout(step));
  step.name.clear();
  CHECK_FALSE(check_layout(step));
}

#include "node/pmi/step_layout.hpp"

#include <algorithm>

namespace muster::node {
namespace {

constexpr std::size_t kLongestName = 200;  // of a step; PMIx and PMI-1 both allow 255

struct Block {
  std::uint32_t first_node{};
  std::uint32_t nodes{};
  std::uint32_t ranks{};  // on each of them
  bool operator==(const Block&) const = default;
};

// Neighbouring nodes with as many ranks in a row are one block.
std::vector<Block> blocks_of(const std::vector<std::uint32_t>& node_of_rank) {
  std::vector<Block> blocks;
  for (std::size_t rank = 0; rank < node_of_rank.size();) {
    const std::uint32_t node = node_of_rank[rank];
    std::uint32_t ranks = 0;
    for (; rank < node_of_rank.size() && node_of_rank[rank] == node; ++rank) {
      ++ranks;
    }
    if (!blocks.empty() && blocks.back().ranks == ranks && blocks.back().first_node + blocks.back().nodes == node) {
      ++blocks.back().nodes;
    } else {
      blocks.push_back({node, 1, ranks});
    }
  }
  return blocks;
}

// The node of each rank if the first `period` blocks are repeated.
bool repeats(const std::vector<Block>& blocks, std::size_t period, const std::vector<std::uint32_t>& node_of_rank) {
  std::size_t rank = 0;
  while (rank < node_of_rank.size()) {
    for (std::size_t i = 0; i < period; ++i) {
      for (std::uint32_t n = 0; n < blocks[i].nodes; ++n) {
        for (std::uint32_t k = 0; k < blocks[i].ranks && rank < node_of_rank.size(); ++k, ++rank) {
          if (node_of_rank[rank] != blocks[i].first_node + n) {
            return false;
          }
        }
      }
    }
  }
  return true;
}

}  // namespace

Status check_layout(const PmiStep& step) {
  const std::string what = "step " + std::to_string(step.step) + " '" + step.name + "': ";
  if (step.name.empty() || step.name.size() > kLongestName ||
      step.name.find_first_of(" \t\n=,;:@") != std::string::npos) {
    return fail(Errc::invalid_argument, what + "the name must have 1 to " + std::to_string(kLongestName) +
                                            " characters without spaces or any of =,;:@");
  }
  if (step.nodes.size() != step.ranks.size() || step.here >= step.nodes.size()) {
    return fail(Errc::invalid_argument, what + std::to_string(step.nodes.size()) + " nodes, ranks for " +
                                            std::to_string(step.ranks.size()) + " of them, and this is number " +
                                            std::to_string(step.here));
  }
  std::vector<bool> seen(step.ntasks);
  std::size_t count = 0;
  for (std::size_t node = 0; node < step.ranks.size(); ++node) {
    std::int64_t last = -1;
    for (const std::uint32_t rank : step.ranks[node]) {
      if (rank >= step.ntasks || rank <= last || seen[rank]) {
        return fail(Errc::invalid_argument, what + "rank " + std::to_string(rank) + " on node " + step.nodes[node] +
                                                " is out of order, beyond " + std::to_string(step.ntasks) +
                                                " or placed twice");
      }
      last = rank;
      seen[rank] = true;
      ++count;
    }
  }
  if (count != step.ntasks) {
    return fail(Errc::invalid_argument,
                what + std::to_string(count) + " of " + std::to_string(step.ntasks) + " ranks have a node");
  }
  return {};
}

std::string comma_separated(const std::vector<std::uint32_t>& numbers) {
  std::string text;
  for (const std::uint32_t number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text;
}

std::string process_mapping(const PmiStep& step) {
  std::vector<std::uint32_t> node_of_rank(step.ntasks);
  for (std::uint32_t node = 0; node < step.ranks.size(); ++node) {
    for (const std::uint32_t rank : step.ranks[node]) {
      node_of_rank[rank] = node;
    }
  }
  // MPICH wants numbers without holes: in the order in which the ranks meet them.
  std::vector<std::uint32_t> number(step.ranks.size(), step.ntasks);
  std::uint32_t count = 0;
  for (std::uint32_t& node : node_of_rank) {
    if (number[node] == step.ntasks) {
      number[node] = count++;
    }
    node = number[node];
  }
  std::vector<Block> blocks = blocks_of(node_of_rank);
  for (std::size_t period = 1; period <= blocks.size() / 2 + 1 && period < blocks.size(); ++period) {
    if (repeats(blocks, period, node_of_rank)) {
      blocks.resize(period);
      break;
    }
  }
  std::string text = "(vector";
  for (const Block& block : blocks) {
    text += ",(" + std::to_string(block.first_node) + "," + std::to_string(block.nodes) + "," +
            std::to_string(block.ranks) + ")";
  }
  return text + ")";
}

}  // namespace muster::node

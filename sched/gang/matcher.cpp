#include "sched/gang/matcher.hpp"

#include <algorithm>

namespace muster::gang {
namespace {

struct Candidate {
  std::uint32_t room{};
  std::uint32_t holds{};  // ranks
};

// As many on each as on the others, as far as they hold it.
[[nodiscard]] std::vector<Piece> spread(std::span<const Candidate> chosen, std::uint32_t ntasks) {
  std::vector<Piece> pieces;
  for (const Candidate& c : chosen) {
    pieces.push_back({c.room, 0});
  }
  std::uint32_t left = ntasks;
  while (left > 0) {
    std::uint32_t open = 0;
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      open += pieces[i].ranks < chosen[i].holds ? 1U : 0U;
    }
    const std::uint32_t each = std::max(1U, left / open);
    for (std::size_t i = 0; i < chosen.size() && left > 0; ++i) {
      const std::uint32_t more = std::min({each, left, chosen[i].holds - pieces[i].ranks});
      pieces[i].ranks += more;
      left -= more;
    }
  }
  return pieces;
}

[[nodiscard]] std::vector<Piece> fill(std::span<const Candidate> chosen, std::uint32_t ntasks) {
  std::vector<Piece> pieces;
  std::uint32_t left = ntasks;
  // Every chosen room gets one at least.
  auto rooms_left = static_cast<std::uint32_t>(chosen.size());
  for (const Candidate& c : chosen) {
    --rooms_left;
    const std::uint32_t ranks = std::min(c.holds, left - rooms_left);
    pieces.push_back({c.room, ranks});
    left -= ranks;
  }
  return pieces;
}

}  // namespace

std::optional<std::vector<Piece>> match(const GangShape& shape, Bytes default_per_cpu, std::span<const Room> rooms,
                                        std::uint32_t first_room) {
  std::vector<Candidate> candidates;
  std::uint64_t total = 0;
  const bool one_is_enough = shape.nodes_min <= 1;
  for (std::uint32_t i = one_is_enough && shape.nodes_max == 1 ? first_room : 0; i < rooms.size(); ++i) {
    if (!rooms[i].usable) {
      continue;
    }
    const std::uint32_t holds = shape.ranks_in(rooms[i].left, default_per_cpu, rooms[i].capacity());
    if (holds == 0) {
      continue;
    }
    if (one_is_enough && holds >= shape.ntasks) {
      return std::vector<Piece>{{i, shape.ntasks}};
    }
    candidates.push_back({i, holds});
    total += holds;
  }
  if (total < shape.ntasks || candidates.size() < shape.nodes_min || shape.nodes_max <= 1) {
    return std::nullopt;
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.holds > b.holds; });
  std::size_t needed = 0;
  for (std::uint64_t sum = 0; sum < shape.ntasks; ++needed) {
    sum += candidates[needed].holds;
  }
  const std::size_t nodes = std::max<std::size_t>(needed, shape.nodes_min);
  if (nodes > shape.nodes_max) {
    return std::nullopt;
  }
  candidates.resize(nodes);
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.room < b.room; });
  return nodes > needed ? spread(candidates, shape.ntasks) : fill(candidates, shape.ntasks);
}

Bytes default_memory_per_cpu(std::span<const Room> capacities) {
  Bytes least = 0;
  for (const Room& room : capacities) {
    if (room.left.cpus_milli == 0) {
      continue;
    }
    const Bytes per_cpu = room.left.memory_bytes / room.left.cpus_milli * 1000 +
                          room.left.memory_bytes % room.left.cpus_milli * 1000 / room.left.cpus_milli;
    least = least == 0 ? per_cpu : std::min(least, per_cpu);
  }
  return least;
}

std::optional<Complaint> find_never_fits(const GangShape& shape, Bytes default_per_cpu,
                                         std::span<const Room> capacities) {
  if (match(shape, default_per_cpu, capacities)) {
    return std::nullopt;
  }
  Resources largest;
  std::uint64_t cpus_total = 0;
  std::uint64_t ranks_total = 0;
  std::uint32_t nodes = 0;
  for (const Room& room : capacities) {
    largest.cpus_milli = std::max(largest.cpus_milli, room.left.cpus_milli);
    largest.memory_bytes = std::max(largest.memory_bytes, room.left.memory_bytes);
    largest.disk_bytes = std::max(largest.disk_bytes, room.left.disk_bytes);
    largest.gpus = std::max(largest.gpus, room.left.gpus);
    cpus_total += room.left.cpus_milli;
    const std::uint32_t ranks = shape.ranks_in(room.left, default_per_cpu);
    ranks_total += ranks;
    nodes += ranks > 0 ? 1U : 0U;
  }
  const auto complain = [](const std::string& option, const std::string& text) {
    return Complaint{fb::RefusedCode::NeverFits, option, option + ": " + text};
  };
  // The least one node must hold: a rank, or all of them when only one node is allowed.
  const std::uint32_t ranks_at_once = shape.nodes_max == 1 ? shape.ntasks : 1;
  const Resources one = shape.need(ranks_at_once, default_per_cpu);
  if (one.cpus_milli > largest.cpus_milli) {
    return complain(ranks_at_once > 1 ? "--ntasks" : "--cpus-per-task",
                    "wants " + format_cpus(one.cpus_milli) + " cpus on one node; the largest node has " +
                        format_cpus(largest.cpus_milli));
  }
  if (one.memory_bytes > largest.memory_bytes) {
    return complain(shape.memory_per_cpu_bytes != 0 ? "--mem-per-cpu" : "--mem",
                    "wants " + format_bytes(one.memory_bytes) + " on one node; the largest node has " +
                        format_bytes(largest.memory_bytes));
  }
  if (one.disk_bytes > largest.disk_bytes) {
    return complain("--tmp", "wants " + format_bytes(one.disk_bytes) + " of disk on one node; the largest node has " +
                                 format_bytes(largest.disk_bytes));
  }
  if (one.gpus > largest.gpus) {
    return complain("--gpus-per-task", "wants " + std::to_string(one.gpus) +
                                           " gpus on one node; the largest node has " + std::to_string(largest.gpus));
  }
  if (shape.nodes_min > nodes) {
    return complain("--nodes", "wants " + std::to_string(shape.nodes_min) + " nodes; the cluster has " +
                                   std::to_string(nodes) + (nodes == capacities.size() ? "" : " that are large enough"));
  }
  if (ranks_total < shape.ntasks) {
    return complain("--ntasks", "wants " + std::to_string(shape.ntasks) + " ranks of " +
                                    format_cpus(shape.cpus_per_task_milli) + " cpus; the cluster's nodes, " +
                                    std::to_string(cpus_total / 1000) + " cpus together, hold " +
                                    std::to_string(ranks_total) + " at once");
  }
  return complain("--nodes", "wants " + std::to_string(shape.ntasks) + " ranks on at most " +
                                 std::to_string(shape.nodes_max) + " nodes; the cluster needs more nodes for them");
}

}  // namespace muster::gang

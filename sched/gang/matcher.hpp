// Which nodes hold a gang: all of it, or none. Pure functions over rooms.
//
// Fewest nodes: the first room that holds all ranks; else the rooms that hold most, until the ranks are placed.
// A gang that asks for more nodes than it needs gets its ranks spread evenly.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "sched/gang/gang_shape.hpp"
#include "sched/gang/job_spec.hpp"
#include "wire/base/ids.hpp"

namespace muster::gang {

// What is free on one node.
struct Room {
  NodeIndex node;
  Resources left;
  bool usable{true};
  Resources whole{};       // the node's capacity; zero: `left` is all of it
  [[nodiscard]] const Resources& capacity() const { return whole.is_zero() ? left : whole; }
};

struct Piece {
  std::uint32_t room{};    // place in rooms
  std::uint32_t ranks{};
  bool operator==(const Piece&) const = default;
};

// Pieces in ascending room order, ranks ≥ 1 each, summing to ntasks; nothing when the rooms can't hold it.
// `first_room`: rooms before it are known to be of no use to a gang that fits on one node.
[[nodiscard]] std::optional<std::vector<Piece>> match(const GangShape& shape, Bytes default_per_cpu,
                                                      std::span<const Room> rooms, std::uint32_t first_room = 0);

// The memory a rank gets per cpu when nothing was asked: that of the node with the least, so that cpus fill any node
// before memory does. 0 without nodes.
[[nodiscard]] Bytes default_memory_per_cpu(std::span<const Room> capacities);

// Why no set of these nodes (with their whole capacity) could ever hold it, naming the resource and what the largest
// node has. Nothing when one could.
[[nodiscard]] std::optional<Complaint> find_never_fits(const GangShape& shape, Bytes default_per_cpu,
                                                       std::span<const Room> capacities);

}  // namespace muster::gang

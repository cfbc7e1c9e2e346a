// Channel: the updates of one framework's tasks on one node, in order of `seq`. Pure.
//
//   node ─ seq n ─► received ─► pending (until the framework acknowledges, or nobody has to) ─► settled ─► node
#pragma once

#include <cstdint>

#include "master/core/fifo.hpp"
#include "master/table/ids.hpp"

namespace muster::master {

struct PendingUpdate {
  std::uint64_t seq{};
  TaskIndex task;  // none: nobody has to acknowledge it
};

struct Channel {
  NodeIndex node{kNoNode};
  FrameworkIndex framework{kNoFramework};
  std::uint64_t received{};      // highest seq taken from the node
  std::uint64_t acknowledged{};  // by the framework, cumulative
  std::uint64_t settled{};       // what the node may forget
  Fifo<PendingUpdate> pending;
  bool ack_due{};
};

}  // namespace muster::master

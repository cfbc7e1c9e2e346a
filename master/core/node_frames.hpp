// NodeFrames: what goes into the next frames to one link of nodes, while they are put together. Internal. Pure. Used again
// for every link, so that none allocates; empty in between.
#pragma once

#include <cstdint>
#include <vector>

#include "master/core/launch_batch.hpp"
#include "wire/schema/frame.hpp"

namespace muster::master {

struct KillGroup {
  std::uint32_t grace_ms{};
  std::uint8_t signal{};
  std::uint8_t reason{};
  bool only_signal{};
  std::vector<fb::NodeAttempt> attempts;
};

struct NodeFrames {
  std::uint64_t mark{2};  // of the latest batch
  LaunchBatch launches{1};
  LaunchBatch prepares{2};
  std::vector<fb::NodeAttempt> gos, releases;
  std::vector<KillGroup> kills;
  std::vector<fb::AckEntry> acks;
  std::vector<std::uint64_t> ack_frameworks;
};

}  // namespace muster::master

// MasterCore: the single-writer state machine of the master. Pure: owned by the shell's core thread
// (or by the simulator); reads no clock, socket, file or thread.
//
//   on_frame / on_link_lost / on_timer  → change the tables
//   flush                               → everything to send, coalesced per link, from the tables
//
// Split by message: framework.cpp, offer.cpp, node.cpp, status.cpp, operator.cpp. The tables it changes are
// in master/table, who gets which offer is master/allocator's decision.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "master/view/parallel_for.hpp"
#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"
#include "wire/schema/frame.hpp"

namespace muster::master {

struct ClusterView;

struct MasterConfig {
  Duration lease = Duration::from_seconds(10);
  Duration hold_lease_max = Duration::from_seconds(600);
  Duration heartbeat = Duration::from_seconds(1);
  Duration settle = Duration::from_seconds(2);         // offers nothing before, unless all known frameworks are back
  Duration node_silence = Duration::from_seconds(5);   // then its offers are rescinded and it gets no new ones
  Duration fence = Duration::from_seconds(60);
  Duration fence_margin = Duration::from_seconds(10);  // NodeLost after fence + margin of silence
  Duration gang_silence = Duration::from_seconds(3);   // Prepared → all Prepared; Go → all running
  Duration framework_failover = Duration::from_seconds(7 * 86400);  // unless Subscribe says otherwise (0 = never)
  std::uint32_t wants_max = 64;
  std::uint32_t credit_frames = 256;                   // unconfirmed frames per link before its output waits in the tables
  std::uint32_t records_per_frame_max = 4096;
  std::string version{kVersionText};
  std::uint16_t http_port{};                           // told to operators; 0 = none
  // Names of the nodes that each key may register; "*" is any.
  std::vector<std::vector<std::string>> key_nodes;
  ParallelFor parallel_for{};                          // for passes over many rows; none: they are serial
};

// What a peer may do, as bits.
enum Right : std::uint8_t {
  kMayQuery = 1,
  kMayOperate = 2,    // drain, weights, quotas
  kMaySubscribe = 4,
  kMayRegister = 8,
  kMayAll = 15,
};

// Who a link authenticated as. Local links carry the kernel's word, links between hosts a key.
struct Peer {
  bool local{};
  std::uint32_t uid{};
  std::uint32_t pid{};
  std::uint8_t rights = kMayAll;
  std::uint16_t key{};  // place in MasterConfig::key_nodes, from 1; 0 = authenticated without a key
};

struct OutFrame {
  LinkId link;
  FrameBytes bytes;
};

struct MasterOutputs {
  std::vector<OutFrame> frames;
};

// Deliberate errors for the simulator to find. Compiled in only with MUSTER_DEFECTS.
struct MasterDefects {
  bool skip_epoch_check{};
  bool skip_generation_check{};      // stale offers are taken
  bool double_release{};             // a repeated terminal update frees twice
  bool go_before_all_prepared{};
  bool partial_accept{};             // takes the launches that fit, drops the others
  bool never_seen_too_early{};       // answers never_seen before the node has registered
  bool offer_before_settled{};
  bool forget_lease_expiry_release{};// an expired offer is not freed
  bool free_what_is_handed_over{};   // a task's resources are free although its successor takes them
  // Allowed, and no defect: a launch that the node's report names already is sent once more. Nodes must bear it.
  bool repeat_known_launches{};
};

class MasterCore {
 public:
  MasterCore(const MasterConfig& config, Epoch epoch, Now now, const MasterDefects& defects = {});
  ~MasterCore();
  MasterCore(const MasterCore&) = delete;
  MasterCore& operator=(const MasterCore&) = delete;

  // A verified frame. REQUIRES: `frame` lives until the call returns.
  void on_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now);
  // A frame that did not verify: answers Refused and counts.
  void on_bad_frame(LinkId link, const Peer& peer, const FrameError& error, Now now);
  // The transport knows that the link is gone (or a send was refused).
  void on_link_lost(LinkId link, Now now);
  void on_timer(Now now);
  // When on_timer wants to be called next; Instant::never() if not at all.
  [[nodiscard]] Instant next_timer() const;
  // Makes offers for what became free, then moves all pending output of links with credit into `out`.
  void flush(Now now, MasterOutputs& out);

  [[nodiscard]] Epoch epoch() const;
  [[nodiscard]] bool settled() const;
  // A picture of the tables for readers (see master/view). Costs what changed since the last one.
  [[nodiscard]] std::shared_ptr<const ClusterView> view(Now now);

  // For tests: walks all tables; fails naming the node where used + offered + free differs from capacity,
  // the offer that is in no or in two states, the task that is charged twice.
  [[nodiscard]] Status audit() const;
  struct NodeBooks { std::string name; Resources capacity, used, offered, free; };
  [[nodiscard]] std::vector<NodeBooks> books() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::master

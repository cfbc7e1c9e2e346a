// Link: one open life of a connection, and what waits on it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "master/core/fifo.hpp"
#include "master/core/channel.hpp"
#include "master/table/ids.hpp"
#include "wire/base/time.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"
#include "wire/schema/link_state.hpp"

namespace muster::master {

struct Link {
  enum class Kind : std::uint8_t { nodes, framework };
  LinkId id;
  Kind kind{};
  LinkState state;
  Instant last_heard;
  Instant last_sent;
  bool silent{};         // nothing came for node_silence: nothing is sent either, so that fences hold
  bool dirty{};          // in the core's list of links with output
  bool stalled{};        // has output, but is silent or without credit
  bool heartbeat_due{};
  std::vector<Refusal> refusals;

  // Kind::nodes
  std::vector<NodeIndex> nodes;       // that it speaks for now
  std::vector<NodeIndex> registered;  // to be answered, in the order of its Register
  bool registered_due{};
  std::vector<NodeIndex> dirty_nodes;

  // Kind::framework
  FrameworkIndex framework{kNoFramework};
};

struct ForwardedMessage {
  FrameworkId framework;
  AttemptId attempt;
  NodeIndex node;
  std::vector<std::uint8_t> data;
};

// What a node must be told, by NodeIndex.
struct NodeOut {
  std::vector<TaskIndex> tasks;         // rows with something due
  std::vector<std::uint32_t> channels;  // all of the node
  std::vector<std::uint32_t> acks;      // channels with an acknowledgement due
  std::vector<ForwardedMessage> messages;
  std::uint32_t recent_channel{kNone};
  bool drain_due{};
  bool listed{};                        // in its link's dirty_nodes
};

struct AcceptAnswer {
  std::uint64_t accept{};
  fb::RefusedCode code{};
  std::string subject;
  std::string text;
  std::vector<fb::OfferRef> gone;
};

// The master's own word about an attempt without a row; seq 0.
struct Word {
  AttemptId attempt;
  NodeIndex node;
  TaskState state{};
  TaskReason reason{};
};

struct QueuedUpdate {
  TaskIndex task;
  std::uint64_t seq{};  // 0: the present state was asked for
};

// What a framework must be told, by FrameworkIndex. Ends with the life of its link.
struct FrameworkOut {
  bool subscribed_due{};
  bool inventory_full{};
  std::uint64_t inventory_version{};
  std::vector<AcceptAnswer> answers;
  std::vector<std::pair<OfferId, fb::RescindReason>> rescinds;
  Fifo<QueuedUpdate> updates;
  std::vector<Word> words;
  std::vector<NodeIndex> lost;
  std::vector<OfferId> offers;
  std::vector<ForwardedMessage> messages;
  SpecIndex recent_spec{kNoSpec};  // of its last accept; kept for the next one
};

}  // namespace muster::master

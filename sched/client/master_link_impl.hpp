// Inside sched/client only: what a MasterLink is made of.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "sched/client/master_link.hpp"
#include "wire/schema/link_state.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::client {

// What waits for the next flush, in the order it was asked for.
struct PendingAccept { std::uint64_t number{}; AcceptRequest request; };
struct PendingDecline { std::vector<OfferId> offers; Duration filter; };
struct PendingHold { std::vector<OfferId> offers; ClaimId claim; Duration lease; };
struct PendingKill { std::vector<fb::AttemptRef> attempts; MasterLink::KillOptions options; };
struct PendingRecall { std::vector<fb::AttemptRef> attempts; };
struct PendingReconcile { std::vector<LiveAttempt> live; };
struct PendingMessage { AttemptId attempt; NodeIndex node; std::vector<std::uint8_t> data; };
struct PendingSuppress { bool suppressed{}; };
struct PendingRequest { std::vector<Want> wants; };
using PendingSend = std::variant<PendingAccept, PendingDecline, PendingHold, PendingKill, PendingReconcile,
                                 PendingMessage, PendingSuppress, PendingRequest, PendingRecall>;

struct MasterLink::Impl {
  enum class Phase : std::uint8_t {
    down,      // no transport
    waiting,   // the next life opens at open_at
    opening,   // Subscribe has left
    open,      // Subscribed has come
  };

  Impl(const LinkConfig& c, Framework& f) : config(c), framework(f), next_incarnation(c.first_incarnation), epoch(c.highest_epoch) {}

  LinkConfig config;
  Framework& framework;
  LinkState link;
  Phase phase{Phase::down};
  Incarnation next_incarnation;
  Epoch epoch;              // highest seen
  Instant open_at;
  Instant opened_at;
  Instant heard_at;
  Instant sent_at;
  std::uint64_t confirmed{};      // what our last frame confirmed
  std::uint64_t next_accept{1};

  // Remembered for Subscribe.
  std::vector<Want> wants;
  bool suppressed{};

  std::vector<PendingSend> pending;
  std::map<NodeIndex, std::uint64_t> acks;
  std::vector<FrameBytes> answers;      // Refused{StaleEpoch} to masters of the past

  std::map<NodeIndex, NodeInfo> nodes;
  std::unordered_map<std::string, NodeIndex> by_name;  // looked up, never iterated
  bool full_inventory_coming{};

  // master_link.cpp: the link's life
  void give_up(Duration wait, Now now);
  void open_life(Now now, std::vector<FrameBytes>& out);
  [[nodiscard]] Instant next_heartbeat() const;

  // master_link_receive.cpp: from the master
  void receive(const fb::Frame& frame, Now now);
  bool receive_link_refusal(const fb::Frame& frame, const fb::Refused& refused, Now now);
  void deliver(const fb::Frame& frame, Now now);
  void on_subscribed(const fb::Frame& frame, Now now);
  void on_inventory(const fb::Inventory& inventory, Now now);
  void on_offers(const fb::Offers& offers, Now now);
  void on_rescind(const fb::Rescind& rescind, Now now);
  void on_accepted(const fb::Accepted& accepted, Now now);
  void on_update(const fb::Update& update, Now now);
  void on_node_lost(const fb::NodeLost& lost, Now now);

  // master_link_send.cpp: to the master
  [[nodiscard]] FrameHead head() { return link.next_head(epoch); }
  void send_subscribe(std::vector<FrameBytes>& out);
  void send_pending(std::vector<FrameBytes>& out);
  void send_acks(std::vector<FrameBytes>& out);
  void send_reconcile(std::span<const LiveAttempt> live, bool more, std::vector<FrameBytes>& out);
  void send(const PendingAccept& accept, std::vector<FrameBytes>& out);
  void send(const PendingDecline& decline, std::vector<FrameBytes>& out);
  void send(const PendingHold& hold, std::vector<FrameBytes>& out);
  void send(const PendingKill& kill, std::vector<FrameBytes>& out);
  void send(const PendingRecall& recall, std::vector<FrameBytes>& out);
  void send(const PendingReconcile& reconcile, std::vector<FrameBytes>& out);
  void send(const PendingMessage& message, std::vector<FrameBytes>& out);
  void send(const PendingSuppress& suppress, std::vector<FrameBytes>& out);
  void send(const PendingRequest& request, std::vector<FrameBytes>& out);
};

}  // namespace muster::client

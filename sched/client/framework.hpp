// What a framework author implements and may call. Installed header.
//
//   class Hello : public muster::client::Framework {
//     void on_registered(...) override { link().request({{shape, 1}}); }
//     void on_offers(...)     override { link().accept(...); }
//     void on_update(...)     override { ... }
//   };
//   int main() { Hello hello; return muster::client::run(hello, options) ? 0 : 1; }
//
// All callbacks run on the thread that called run(); none may block.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"

namespace muster::client {

class MasterLink;

// An open offer: resources of one node, ours until lease_end.
struct Offer {
  OfferId id;
  NodeIndex node;
  Resources resources;
  Instant lease_end;
  bool standing{};              // of a standing want: may be kept without a use for it
};

struct NodeInfo {
  NodeIndex index;
  std::string name;
  fb::NodeState state{};
  Resources capacity;
  std::vector<std::string> attributes;
  std::string switch_name;
  std::string endpoint;
  std::string drain_reason;
  std::uint32_t boot{};         // tells this boot from any other of the node; 0: it does not say
};

struct TaskUpdate {
  AttemptId attempt;
  NodeIndex node;
  std::string node_name;
  std::uint64_t seq{};          // 0: the master's own word, needs no acknowledgement
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::int32_t signal{};
  WallTime started;
  WallTime ended;
  std::string cpus;
  std::string text;
  std::uint64_t cpu_time_us{};
  Bytes memory_peak_bytes{};
  std::string report;           // StepReport of the task's step daemon, unverified
};

// One task of an accept.
struct LaunchTask {
  AttemptId attempt;
  NodeIndex node;
  std::uint32_t index{};
  std::uint32_t first_rank{};
  std::uint32_t ranks{1};
  std::uint32_t gang{};         // 0: alone; members of one gang share a number and start together
  std::uint32_t member{};
  std::uint16_t spec{};         // place in AcceptRequest::specs
  Resources resources;
  // Not zero: needs no offer, waits on the node (TaskState::queued) and starts when this attempt of ours ends there. It
  // must be live, on the same node, alone, of equal resources and user, and followed by nobody else. If it has
  // ended meanwhile this launch alone ends as not_started/predecessor_ended; while others wait for their share, as
  // not_started/recalled.
  AttemptId after{};
};

struct AcceptRequest {
  std::vector<OfferId> offers;
  std::vector<LaunchTask> launches;
  std::vector<FrameBytes> specs;  // pack_spec()
};

struct AcceptAnswer {
  std::uint64_t accept{};
  fb::RefusedCode code{};         // None: taken whole
  std::string subject;
  std::string text;
  std::vector<OfferId> gone;
};

struct Want {
  Resources shape;
  std::uint32_t count{1};
  bool whole_rest{};
  std::vector<NodeIndex> nodes;
  // Kept offered while nobody has other wants that are unmet; taken back at once when others have some.
  bool standing{};
};

struct LiveAttempt {
  AttemptId attempt;
  std::string node;
  // NodeInfo::boot when the attempt was accepted. Of an attempt that its node does not know, only the same boot can
  // prove that it never ran; otherwise it ends as lost.
  std::uint32_t boot{};
};

class Framework {
 public:
  virtual ~Framework() = default;
  // While run() drives this framework: its link, and the way out (run() sends what is pending, then returns).
  [[nodiscard]] MasterLink& link() const { return *link_; }
  void stop() { stopped_ = true; }

  // The link is open (again). Offers held before are gone; requests must be restated by the callee or are
  // resent by the link as last given.
  virtual void on_registered(Epoch epoch, Now now) = 0;
  virtual void on_disconnected(Now) {}
  virtual void on_inventory(std::span<const NodeInfo> /*changed*/, bool /*full*/, Now) {}
  virtual void on_offers(std::span<const Offer> offers, Now now) = 0;
  virtual void on_rescinded(std::span<const OfferId>, fb::RescindReason, Now) {}
  virtual void on_accepted(const AcceptAnswer&, Now) {}
  // In order per node. Acknowledge (by MasterLink::acknowledge) once it is on durable record; links made with
  // auto_acknowledge do it when the callback returns.
  virtual void on_update(std::span<const TaskUpdate> updates, Now now) = 0;
  virtual void on_node_lost(std::span<const NodeIndex>, const std::string& /*text*/, Now) {}
  virtual void on_refused(const fb::Refused&, Now) {}
  virtual void on_message(const AttemptId&, NodeIndex, std::span<const std::uint8_t>, Now) {}
  // All attempts whose end is not on record, for Subscribe.
  virtual std::vector<LiveAttempt> live_attempts() { return {}; }

 private:
  friend class Driver;
  MasterLink* link_{};
  bool stopped_{};
};

}  // namespace muster::client

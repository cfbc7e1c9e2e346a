// MasterLink: a framework's end of the link to the master. Pure: no thread; the shell (client/driver),
// the gang's shell or the simulator feeds it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sched/client/framework.hpp"

namespace muster::client {

struct LinkConfig {
  FrameworkId framework;              // chosen once, kept for ever
  std::string name;
  std::string role = "default";
  std::string user;
  Duration failover_timeout{};        // 0 = never
  Incarnation first_incarnation;      // larger than every earlier one
  Epoch highest_epoch{};              // seen in earlier runs: masters of the past are not believed again
  bool auto_acknowledge{};
  Duration subscribe_retry = Duration::from_ms(1000);
  Duration heartbeat = Duration::from_seconds(1);
  Duration master_silence = Duration::from_seconds(3);
};

class MasterLink {
 public:
  MasterLink(const LinkConfig& config, Framework& framework);
  ~MasterLink();
  MasterLink(const MasterLink&) = delete;
  MasterLink& operator=(const MasterLink&) = delete;

  // Fed by the shell.
  void on_link_up(Now now);
  void on_link_down(Now now);
  void on_frame(const fb::Frame& frame, Now now);
  void on_timer(Now now);
  [[nodiscard]] Instant next_timer() const;
  void flush(Now now, std::vector<FrameBytes>& out);

  // Called by the framework. Nothing leaves before flush. Calls on a closed link are dropped, except request()
  // and suppress()/revive(), which are remembered.
  std::uint64_t accept(const AcceptRequest& request);
  void decline(std::span<const OfferId> offers, Duration filter);
  void hold(std::span<const OfferId> offers, ClaimId claim, Duration lease);
  void request(std::vector<Want> wants);
  void suppress();
  void revive();
  struct KillOptions {
    Duration grace = Duration::from_seconds(5);
    int signal = 15;
    bool only_signal = false;
    std::uint32_t boot = 0;  // of its node, as in LiveAttempt
  };
  void kill(const AttemptId& attempt, NodeIndex node, const KillOptions& options);
  // A queued attempt ends as not_started/recalled; one that has started goes on. `boot` as in LiveAttempt.
  void recall(const AttemptId& attempt, NodeIndex node, std::uint32_t boot);
  void acknowledge(NodeIndex node, std::uint64_t seq);
  void reconcile(std::span<const LiveAttempt> attempts);
  void send_message(const AttemptId& attempt, NodeIndex node, std::span<const std::uint8_t> data);

  [[nodiscard]] bool connected() const;   // Subscribed has come
  [[nodiscard]] Epoch epoch() const;      // highest seen
  [[nodiscard]] const NodeInfo* node(NodeIndex index) const;
  [[nodiscard]] const NodeInfo* node(const std::string& name) const;
  [[nodiscard]] std::vector<const NodeInfo*> nodes() const;  // by index

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::client

// Agent: the shell around NodeCore. One thread: it waits for the master, users, the launcher, signals and the
// core's timers, and carries out what the core says, in the order of NodeOutputs.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "node/agent_disk.hpp"
#include "node/agent_options.hpp"
#include "node/core/node_core.hpp"
#include "node/exec/launcher_client.hpp"
#include "node/exec/output_file.hpp"
#include "wire/daemon/link_refusals.hpp"
#include "wire/daemon/signals.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/router.hpp"

namespace muster::node {

// Owned by the process's main thread.
class Agent {
 public:
  // The disk's folder is locked; `signals` has SIGTERM, SIGINT and SIGHUP.
  Agent(AgentPlan plan, AgentDisk disk, const SignalFd& signals, Dealer master, Router users);

  // Until a signal ends it, or the disk fails.
  [[nodiscard]] Status run();

 private:
  void connect_launcher();
  void lose_launcher(const std::string& why);
  void read_launcher();
  void read_master();
  void read_users();
  void read_signals();
  [[nodiscard]] Status carry_out();
  void send_to_master();
  // False: it could not be sent, and the core has been told.
  bool send_to_launcher(const LauncherCommand& command);
  void note_changes();
  [[nodiscard]] Now now() const { return clock_.now(); }
  [[nodiscard]] Instant next_wake() const;

  SystemClock clock_;
  AgentPlan plan_;
  AgentDisk disk_;
  const SignalFd& signals_;
  Dealer master_;
  LinkRefusals refusals_;
  Router users_;
  Poller poller_;
  NodeCore core_;
  OutputReader outputs_;
  std::optional<LauncherClient> launcher_;
  Instant launcher_retry_;
  std::deque<FrameBytes> to_master_;   // what the socket did not take yet
  Instant users_swept_;
  bool registered_{};
  bool hello_logged_{};
  bool gone_{};                        // leave the loop
  bool leaving_{};                     // tasks end, then we go
  Instant leave_by_ = Instant::never();
  FrameBytes buffer_;
};

}  // namespace muster::node

// run(): a framework as a program. The shell around a MasterLink: one thread, one socket, the system's clock.
//
//   int main() { Hello hello; const auto done = muster::client::run(hello, {.name = "hello"}); … }
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sched/client/framework.hpp"
#include "sched/client/master_link.hpp"

namespace muster::client {

struct DriverOptions {
  std::string name = "framework";
  std::string role = "default";
  // The cluster's folder. Empty: $MUSTER_DIR, else ~/.muster.
  std::string dir{};
  // The master's endpoint, when it is not DIR/master.ipc.
  std::string master{};
  // 0: a new one at every run. A framework that keeps state gives the same id and a larger incarnation every time.
  FrameworkId framework{};
  Incarnation incarnation{1};
  // After so long without us the master ends our tasks; 0 = never.
  Duration failover_timeout = Duration::from_seconds(60);
  // Updates are acknowledged when on_update returns.
  bool auto_acknowledge = true;
  // Errc::unreachable when no master has answered by then; later losses are waited out.
  Duration connect_timeout = Duration::from_seconds(10);
  // For what is due at a time, or comes from elsewhere: called before every wait; returns when it wants to be called again
  // at the latest. `wake_fd` ends a wait when it is readable, e.g. a SignalFd; `on_turn` reads it.
  std::function<Instant(Now)> on_turn{};
  int wake_fd = -1;
};

// Until framework.stop(). Errors name the endpoint and the way out.
[[nodiscard]] Status run(Framework& framework, const DriverOptions& options);

// What a task runs, with the defaults that suit most: the bytes for AcceptRequest::specs.
struct CommandOptions {
  std::string name{};
  std::vector<std::string> environment{};    // "NAME=value"
  std::string working_directory{};           // ours now, if empty
  std::string stdout_path = "/dev/null";     // patterns as in 'muster submit --output'
  bool executor{};                           // it will speak for itself: see executor.hpp
  std::uint64_t token_hi{};                  // of executors: any number that others can't guess
  std::uint64_t token_lo{};
};
[[nodiscard]] FrameBytes command_spec(const std::vector<std::string>& argv, const CommandOptions& options = {});

}  // namespace muster::client

// FakesShell: the shell around FakeNodes. One thread: it waits for the master's links, users, signals and the core's timers.
//
//   DIR/fakes/fakes.state   FakeMemory: the highest epoch and the drains
//   DIR/fakes/job.ipc       where who asks for output is told that there is none
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "node/fake/fake_nodes.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/signals.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/router.hpp"

namespace muster::node {

struct FakesPlan {
  FakeConfig config;
  std::string folder;    // DIR/fakes
  Endpoint master;
};

// "name value" lines. malformed: not ours.
[[nodiscard]] std::string encode_fake_memory(const FakeMemory& memory);
[[nodiscard]] Result<FakeMemory> decode_fake_memory(std::string_view text);

// Owned by the process's main thread.
class FakesShell {
 public:
  [[nodiscard]] static Result<std::unique_ptr<FakesShell>> open(Context& context, const FakesPlan& plan);
  // Until a signal ends it, or the disk fails.
  [[nodiscard]] Status run(const SignalFd& signals);

 private:
  struct Link {
    Dealer dealer;
    std::deque<FrameBytes> out;  // what the socket did not take yet
  };
  FakesShell(FakesPlan plan, LockFile lock, const FakeMemory& memory, Router users)
      : plan_(std::move(plan)), lock_(std::move(lock)), users_(std::move(users)), core_(plan_.config, memory, clock_.now()) {}
  void read_link(std::uint32_t link);
  void read_users();
  [[nodiscard]] Status carry_out();
  void send(std::uint32_t link);
  void note_changes();

  SystemClock clock_;
  FakesPlan plan_;
  LockFile lock_;
  Router users_;
  std::vector<Link> links_;
  Poller poller_;
  FakeNodes core_;
  FrameBytes buffer_;
  Instant noted_;
  std::string status_;
  Instant users_swept_;
};

}  // namespace muster::node

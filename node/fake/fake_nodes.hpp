// FakeNodes: many simulated nodes in one state machine. Pure, single-threaded: owned by its shell (or a test).
//
//   the master's frames + timers  →  frames to the master
//
// Towards the master each of them is a node like any other: it registers, heartbeats, refuses what it has no room for,
// parks gangs until Go, keeps lines, resends updates until they are acknowledged, fences. What a task would execute is mocked:
// it runs for `duration` (or until its time limit, a kill, the fence) and ends with exit code 0.
// Nodes are called f1, f2, … and share a few links: a link's frames are batches, and every entry names its node.
// Their tasks live in memory only: a new FakeNodes is a reboot of all of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

struct FakeConfig {
  std::uint32_t nodes{};
  std::uint32_t links{1};                                // 1 to `nodes`
  std::uint32_t cpus{};                                  // of each node
  Bytes memory_bytes{};                                  // of each node
  Duration duration = Duration::from_ms(100);            // of every task
  std::string boot_id;                                   // of this FakeNodes, never used before
  std::string endpoint;                                  // where users ask for output, to be told that there is none
  Duration register_retry = Duration::from_ms(1000);
  Duration heartbeat = Duration::from_seconds(1);        // the master's Registered may change these
  Duration master_silence = Duration::from_seconds(3);   // then the link is opened again
  Duration fence = Duration::from_seconds(60);
  Duration prepare_silence = Duration::from_seconds(3);
  Duration updates_gather = Duration::from_ms(2);        // while tasks wait in line, updates may wait this long for company
};

// What outlives a FakeNodes.
struct FakeMemory {
  Epoch highest_epoch;
  std::map<std::uint32_t, std::string> drained;  // reasons, by the node's number (f1 has 1)
  bool operator==(const FakeMemory&) const = default;
};

struct FakeOutputs {
  bool memory_changed{};      // keep memory() before the frames leave
  struct Frame {
    std::uint32_t link{};
    FrameBytes bytes;
  };
  std::vector<Frame> to_master;
};

struct FakeCounts {
  std::uint32_t registered{};  // nodes whose link is up
  std::uint64_t live{};        // tasks that have not ended, queued ones included
  std::uint64_t queued{};
  std::uint64_t unacknowledged{};  // updates
  std::uint64_t launched{};
  std::uint64_t ended{};
};

class FakeNodes {
 public:
  FakeNodes(const FakeConfig& config, const FakeMemory& memory, Now now);
  ~FakeNodes();
  FakeNodes(const FakeNodes&) = delete;
  FakeNodes& operator=(const FakeNodes&) = delete;

  // Links are numbered from 0.
  void on_link_up(std::uint32_t link, Now now);
  void on_link_down(std::uint32_t link, Now now);
  void on_frame(std::uint32_t link, const fb::Frame& frame, Now now);
  void on_bad_frame(std::uint32_t link, const FrameError& error, Now now);
  // Ends every task, as drained.
  void on_leaving(Now now);
  void on_timer(Now now);
  [[nodiscard]] Instant next_timer() const;
  void flush(Now now, FakeOutputs& out);

  // The answer to whoever reads output or is an executor: a refusal that says why. Empty: nothing to say.
  [[nodiscard]] FrameBytes answer_user(const fb::Frame& frame) const;

  [[nodiscard]] FakeMemory memory() const;
  [[nodiscard]] FakeCounts counts() const;
  [[nodiscard]] std::string status_text() const;  // one line for the log
  [[nodiscard]] Status audit() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::node

// The agent's end of the launcher's socket. Starts a launcher when none answers.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "node/exec/frame_stream.hpp"
#include "node/exec/launcher_codec.hpp"
#include "node/exec/launcher_messages.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster::node {

// Owned by the agent's thread. Move-only.
class LauncherClient {
 public:
  struct Options {
    std::string directory;           // holds the socket, the run log, launcher.log
    std::string launcher_path;       // of the program; "" = connect only, never start one
    bool plain{};                    // --containment plain
    std::string idle_seconds{};      // "" = the launcher's default
    std::string unkillable_seconds{};
    Duration timeout = Duration::from_seconds(15);
  };

  // Blocks until the launcher answers, at most `timeout`. A started launcher is no child of ours and
  // survives us. unreachable: the text says why and where the launcher's log is.
  [[nodiscard]] static Result<LauncherClient> connect(const Options& options);

  // For polling: readable when receive() has something; wants_write() asks for writable.
  [[nodiscard]] int fd() const { return stream_.fd(); }
  [[nodiscard]] bool wants_write() const { return stream_.queued_bytes() > 0; }

  // Queues without sending, so that many commands take one write. out_of_range: larger than a frame.
  [[nodiscard]] Status queue(const LauncherCommand& command);
  // Sends what the socket takes; never blocks. unreachable: the connection is lost.
  [[nodiscard]] Status flush();
  // queue() and flush().
  [[nodiscard]] Status send(const LauncherCommand& command);

  // Appends what has arrived to `messages`; never blocks. The first message is a LauncherHello.
  // unreachable: the connection is lost (messages that came before are still given); connect again.
  // What is happening meanwhile is in the next hello.
  [[nodiscard]] Status receive(std::vector<LauncherMessage>& messages);

 private:
  explicit LauncherClient(int fd) : stream_(fd) {}
  FrameStream stream_;
  CommandWriter writer_;
  MessageAssembler assembler_;
};

}  // namespace muster::node

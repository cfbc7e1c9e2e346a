// Context: the ZeroMQ I/O threads of a process. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/socket/curve.hpp"

namespace muster {

struct ContextOptions {
  int io_threads = 1;
  int sockets_max = 1024;
};

// Outlives every socket made from it (check()s nothing: closing waits for the sockets).
class Context {
 public:
  // Check with ok() before use: making one fails only when the process is out of descriptors or threads.
  explicit Context(const ContextOptions& options = {});
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  [[nodiscard]] Status ok() const;
  struct Impl;
  // For wire/socket only.
  [[nodiscard]] Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;  // null: could not start
};

// Limits of one socket. Frames above `frame_bytes_max` end the connection they come on.
struct SocketOptions {
  std::size_t frame_bytes_max = 8U << 20U;
  int send_frames_max = 4096;     // high-water mark per peer; beyond it send() says would_block
  int receive_frames_max = 4096;
  Duration linger = Duration::from_ms(200);     // how long closing waits for unsent frames
  Duration reconnect = Duration::from_ms(50);   // first wait before a connection is tried again
  Duration reconnect_max = Duration::from_ms(1000);
  int backlog = 1024;
  // Our own CURVE keys. Routers: with them the tcp endpoints speak CURVE only, without them only this machine can be
  // listened to. Dealers: who we are to an endpoint with a key; none: a pair made for this connection.
  KeyPair keys{};
};

enum class SendOutcome : std::uint8_t {
  sent,
  would_block,  // no connection, or its queue is full: keep the frame and try later
  link_lost,    // routers only: the peer has gone, and its link is forgotten
};

}  // namespace muster

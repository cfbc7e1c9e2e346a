// Length-prefixed frames over a non-blocking stream socket; both ends of the launcher's socket use it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "wire/base/result.hpp"

namespace muster::node {

// Owned by one thread (the launcher's or the agent's). Owns its descriptor.
class FrameStream {
 public:
  FrameStream() = default;
  explicit FrameStream(int fd) : fd_(fd) {}  // non-blocking, close-on-exec
  FrameStream(FrameStream&& other) noexcept;
  FrameStream& operator=(FrameStream&& other) noexcept;
  ~FrameStream() { close(); }

  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }
  void close();

  // Adds whole frames to the output; nothing is sent yet.
  void queue(std::string_view frames) { out_.append(frames); }
  [[nodiscard]] std::size_t queued_bytes() const { return out_.size() - out_sent_; }
  // Sends what the socket takes. unreachable: the peer is gone.
  [[nodiscard]] Status flush();

  // Reads what is there, at most about 1 MiB per call. unreachable: the peer closed or is gone
  // (frames received before that can still be taken with next()).
  [[nodiscard]] Status fill();
  // The payload of the next whole frame, valid until the next fill(). malformed: a length beyond the limit.
  [[nodiscard]] Result<std::optional<std::string_view>> next();

 private:
  int fd_{-1};
  std::string out_;
  std::size_t out_sent_{0};
  std::string in_;
  std::size_t in_used_{0};
};

// The address of `<directory>/launcher.sock`, of any length: a long one goes through /proc/self/fd.
// Opened non-blocking and close-on-exec.
[[nodiscard]] Result<int> listen_in(const std::string& directory);
// not_found: no socket there; unreachable: nobody listens.
[[nodiscard]] Result<int> connect_in(const std::string& directory);

}  // namespace muster::node

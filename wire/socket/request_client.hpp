// RequestClient: one question, one answer, always over by the deadline. Owned by one thread.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "wire/base/time.hpp"
#include "wire/socket/dealer.hpp"

namespace muster {

class RequestClient {
 public:
  [[nodiscard]] static Result<RequestClient> connect(Context& context, const Endpoint& endpoint,
                                                     const SocketOptions& options = {});

  // Sends `frame` and waits for the next verified frame whose body answers `request` (any frame when 0).
  //   Errc::unreachable  nobody took the question: it has had no effect
  //   Errc::timed_out    it left, and no answer came in time (or the connection broke): the outcome is unknown
  //   Errc::malformed    the answer is no frame of this protocol version
  // A Refused is an answer: look at the body.
  [[nodiscard]] Result<FrameBytes> call(std::span<const std::uint8_t> frame, std::uint64_t request, Instant deadline);
  // For conversations with several answers.
  [[nodiscard]] Status send(std::span<const std::uint8_t> frame, Instant deadline);
  [[nodiscard]] Result<FrameBytes> receive(Instant deadline);
  // A descriptor that also ends a wait, as if the deadline had come (Errc::timed_out), e.g. a signal's.
  void interrupt_on(int fd) { interrupt_fd_ = fd; }

 private:
  explicit RequestClient(Dealer dealer) : dealer_(std::move(dealer)) {}
  Dealer dealer_;
  int interrupt_fd_{-1};
};

// The request number a frame's body carries; 0 for bodies without one.
[[nodiscard]] std::uint64_t request_number(const fb::Frame& frame);

}  // namespace muster

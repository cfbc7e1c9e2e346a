// Dealer: the connecting side of a link. Owned by one thread.
//
// Connects and reconnects in the background; where it is refused it tries again every second, as long as somebody polls it
// or asks it. What was not sent when a connection breaks is dropped: the next life of the link restates it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "wire/socket/context.hpp"
#include "wire/socket/endpoint.hpp"
#include "wire/socket/message.hpp"

namespace muster {

enum class LinkChange : std::uint8_t { up, down };

class Dealer {
 public:
  // Returns at once, connected or not. Fails on a bad endpoint, when descriptors have run out, and with
  // Errc::unsupported for an endpoint of another host without a key.
  [[nodiscard]] static Result<Dealer> connect(Context& context, const Endpoint& endpoint,
                                              const SocketOptions& options = {});
  ~Dealer();
  Dealer(Dealer&&) noexcept;
  Dealer& operator=(Dealer&&) noexcept;

  // Never blocks. Errc::io on a broken socket.
  [[nodiscard]] Result<SendOutcome> send(std::span<const std::uint8_t> frame);
  // Never blocks. True: `buffer` holds one frame, aligned, not yet verified (see verify_frame). A message of
  // several parts is not a frame: it is dropped and counted.
  [[nodiscard]] Result<bool> receive(FrameBytes& buffer);
  // The next change of the connection, oldest first; nothing if there is none.
  [[nodiscard]] std::optional<LinkChange> next_change();
  [[nodiscard]] bool is_up() const;
  // How often the other side refused us before the connection was up, and in which words the last time.
  [[nodiscard]] std::uint64_t refusals() const;
  [[nodiscard]] std::string refusal() const;
  [[nodiscard]] std::uint64_t dropped() const;
  [[nodiscard]] const Endpoint& endpoint() const;

 private:
  friend class Poller;
  struct Impl;
  explicit Dealer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster

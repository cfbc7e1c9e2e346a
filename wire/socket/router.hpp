// Router: the binding side of many links. Owned by one thread.
//
// Numbers its peers with LinkIds that are never reused while the Router lives. A peer that reconnects is a new link.
// Who a peer is comes from the kernel (ipc) or from the key it has proven to hold (tcp), never from what it calls itself.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/time.hpp"
#include "wire/socket/context.hpp"
#include "wire/socket/endpoint.hpp"
#include "wire/socket/message.hpp"

namespace muster {

// Local: connected over ipc, and uid, gid and pid are the kernel's word. Otherwise they are 0 and mean nothing.
// `key` is what the peer authenticated as; empty on ipc, on plain connections, and on routers that take any key.
struct PeerIdentity {
  bool local{};
  std::uint32_t uid{};
  std::uint32_t gid{};
  std::uint32_t pid{};
  PublicKey key{};
  bool operator==(const PeerIdentity&) const = default;
};

// One message from a peer.
struct Incoming {
  LinkId link;
  PeerIdentity peer;
  bool several_parts{};  // not a frame: `message` holds its first part only
  Message message;
};

struct RouterOptions {
  SocketOptions socket{};
  std::uint64_t first_link = 1;   // the numbers of this router: first_link, first_link + stride, …
  std::uint64_t link_stride = 1;
  // With socket.keys: who may connect over tcp. Null: anybody, for whom messages hold a token; the line is encrypted.
  std::shared_ptr<const AllowedKeys> allowed{};
  // Told what was refused on tcp with keys, at most once a minute, from another thread.
  std::function<void(const std::string& text)> on_refused{};
};

class Router {
 public:
  // Binds all endpoints or none. A stale ipc socket file is replaced; the caller holds the directory's lock.
  // Errc::unsupported for an address that other hosts can reach when there are no keys.
  [[nodiscard]] static Result<Router> bind(Context& context, std::span<const Endpoint> endpoints,
                                           const RouterOptions& options = {});
  ~Router();
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;

  // As bound, with the ports that were chosen and, where CURVE is spoken, our public key: what peers connect to.
  [[nodiscard]] const std::vector<Endpoint>& endpoints() const;

  // Never blocks. True: `in` holds the next message. `now` stamps the link's last sign of life.
  [[nodiscard]] Result<bool> receive(Incoming& in, Instant now);
  // Never blocks. link_lost: unknown link, or its peer has gone; the number is dead from now on.
  [[nodiscard]] Result<SendOutcome> send(LinkId link, std::span<const std::uint8_t> frame);
  // The same, and the frame's memory may go with it.
  [[nodiscard]] Result<SendOutcome> send(LinkId link, FrameBytes&& frame);
  // The number is dead from now on; a peer that speaks again is a new link.
  void forget(LinkId link);
  // Forgets links that have been silent since before `since`, appending them to `lost`. A peer that speaks again is a
  // new link. libzmq does not tell who disconnected, so this bounds the table.
  void forget_silent(Instant since, std::vector<LinkId>& lost);

  [[nodiscard]] bool knows(LinkId link) const;
  [[nodiscard]] std::size_t links() const;
  [[nodiscard]] std::uint64_t dropped() const;  // messages of peers that name themselves

 private:
  friend class Poller;
  struct Impl;
  explicit Router(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster

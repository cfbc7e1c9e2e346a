// Inside wire/socket only: what sockets are made of.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>
#include <zmq.hpp>

#include "wire/ring/return_stack.hpp"
#include "wire/socket/dealer.hpp"
#include "wire/socket/frame_pool.hpp"
#include "wire/socket/key_guard.hpp"
#include "wire/socket/router.hpp"

namespace muster {

// Thread-safe.
struct Context::Impl {
  Impl() = default;
  ~Impl();
  // Lives until the last message has been let go of, whichever thread does that.
  FramePool& new_pool();
  // Any thread. Started when a router first needs it.
  [[nodiscard]] Result<KeyGuard*> key_guard();

  std::mutex guard_mutex;
  std::unique_ptr<KeyGuard> guard;
  ReturnStack<FramePool> pools;
  zmq::context_t context;  // last: it ends first, and its threads with it
};

// Owned by the thread of its Message.
[[nodiscard]] inline zmq::message_t& part_of(Message& message) { return *static_cast<zmq::message_t*>(message.handle()); }

// Owned by the thread of its Dealer.
struct Dealer::Impl {
  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  void read_monitor();

  zmq::socket_t socket;
  zmq::socket_t monitor;
  Endpoint endpoint;
  std::deque<LinkChange> changes;
  std::string own_key;
  std::uint64_t dropped{};
  std::uint64_t refusals{};
  bool refused_as_unknown{};
  Instant retry_at = Instant::never();  // after a refusal
  bool up{};
};

// Owned by the thread of its Router.
struct Router::Impl {
  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  // From here on tcp endpoints that are bound speak CURVE, and their peers are judged.
  [[nodiscard]] Status use_keys(Context& context, const RouterOptions& options);
  // A connection. libzmq numbers them, and says who it is with every message: it is asked once.
  struct Peer {
    LinkId link;
    std::uint32_t number{};
    PeerIdentity identity;
    Instant heard;
  };
  Peer& add(std::uint32_t number, const PeerIdentity& identity);
  void forget(LinkId link);
  // `send_body` sends the frame behind the part that names the link.
  template <class Body>
  [[nodiscard]] Result<SendOutcome> send(LinkId link, Body&& send_body);

  FramePool* pool{};  // the context's
  KeyGuard* guard{};  // the context's; null: nobody is judged
  std::string domain;
  bool keys_are_proven{};  // the guard vouches for every peer's key
  zmq::socket_t socket;
  std::vector<Endpoint> endpoints;
  std::unordered_map<std::uint32_t, Peer> peers;   // by libzmq's number
  std::unordered_map<LinkId, Peer*> by_link;       // looked up, never iterated
  std::uint64_t next_link{1};
  std::uint64_t link_stride{1};
  std::uint64_t dropped{};
};

}  // namespace muster

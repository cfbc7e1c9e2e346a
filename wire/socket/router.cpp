#include "wire/socket/router.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstring>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {
namespace {

constexpr std::size_t kRoutingIdBytes = 5;
constexpr std::size_t kLentBytes = 8192;  // frames from this size on are lent to libzmq, smaller ones copied

// A peer may name properties itself; those that the guard gives come first.
PublicKey proven_key(zmq::message_t& part) {
  try {
    return parse_public_key(part.gets("User-Id")).value_or(PublicKey{});
  } catch (const zmq::error_t&) {
    return {};  // it has none
  }
}

// "localhost:uid:gid:pid" on ipc, "127.0.0.1" and the like on tcp.
PeerIdentity parse_peer(zmq::message_t& part, bool keys_are_proven) {
  PeerIdentity out;
  constexpr std::string_view kLocal = "localhost:";
  std::string_view rest;
  try {
    rest = part.gets("Peer-Address");
  } catch (const zmq::error_t&) {
    return out;  // it has none
  }
  if (rest.substr(0, kLocal.size()) != kLocal) {
    if (keys_are_proven) {
      out.key = proven_key(part);
    }
    return out;
  }
  rest.remove_prefix(kLocal.size());
  std::uint32_t fields[3]{};
  for (int i = 0; i < 3; ++i) {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), fields[i]);
    if (error != std::errc{}) {
      return out;
    }
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (i < 2) {
      if (rest.empty() || rest.front() != ':') {
        return out;
      }
      rest.remove_prefix(1);
    }
  }
  if (!rest.empty()) {
    return out;
  }
  out.local = true;
  out.uid = fields[0];
  out.gid = fields[1];
  out.pid = fields[2];
  return out;
}

Result<Endpoint> bind_one(zmq::socket_t& socket, const Endpoint& wanted) {
  std::string last;
  try {
    socket.bind(wanted.address());
    last = socket.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    auto failed = fail_zmq("listen on " + wanted.to_string(), error);
    if (error.num() == EADDRINUSE && wanted.kind == Endpoint::Kind::tcp) {
      failed.value().text += "; choose another port, or 0 for a free one";
    }
    return failed;
  }
  if (wanted.kind == Endpoint::Kind::ipc) {
    return wanted;
  }
  auto bound = parse_endpoint(last);
  if (bound) {
    bound->host = wanted.host;  // libzmq writes 0.0.0.0 for *, and numbers for names
  }
  return bound;
}

}  // namespace

Router::Impl::Peer& Router::Impl::add(std::uint32_t number, const PeerIdentity& identity) {
  Peer& peer = peers[number];
  peer = {LinkId(next_link), number, identity, {}};
  next_link += link_stride;
  by_link.emplace(peer.link, &peer);
  return peer;
}

void Router::Impl::forget(LinkId link) {
  const auto found = by_link.find(link);
  if (found != by_link.end()) {
    const std::uint32_t number = found->second->number;
    by_link.erase(found);
    peers.erase(number);
  }
}

Router::Impl::~Impl() {
  if (guard != nullptr) {
    guard->leave(domain);
    zmq_socket_monitor(socket.handle(), nullptr, 0);
  }
}

Status Router::Impl::use_keys(Context& context, const RouterOptions& options) {
  static std::atomic<std::uint64_t> routers{0};
  try {
    socket.set(zmq::sockopt::curve_server, true);
    socket.set(zmq::sockopt::curve_publickey, options.socket.keys.public_key);
    socket.set(zmq::sockopt::curve_secretkey, options.socket.keys.secret_key);
    if (!options.allowed && !options.on_refused) {
      return {};
    }
    auto judge = context.impl().key_guard();
    if (!judge) {
      return tl::unexpected(judge.error());
    }
    domain = "router-" + std::to_string(++routers);
    const std::string monitor = "inproc://muster-" + domain;
    if (zmq_socket_monitor(socket.handle(), monitor.c_str(), ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_MONITOR_STOPPED) != 0) {
      throw zmq::error_t();
    }
    guard = *judge;
    guard->admit(domain, options.allowed, options.on_refused, monitor);
    if (options.allowed) {
      socket.set(zmq::sockopt::zap_domain, domain);
      keys_are_proven = true;
    }
  } catch (const zmq::error_t& error) {
    return fail_zmq("use the keys", error);
  }
  return {};
}

Router::Router(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

Result<Router> Router::bind(Context& context, std::span<const Endpoint> endpoints, const RouterOptions& options) {
  const bool keyed = !options.socket.keys.empty();
  for (const Endpoint& wanted : endpoints) {
    if (!keyed && !wanted.is_local()) {
      return fail(Errc::unsupported, "listen on " + wanted.address() +
                                         ": other hosts could connect, and there are no keys to tell who they are; make "
                                         "some with `muster keygen`, or listen on tcp://127.0.0.1:" +
                                         std::to_string(wanted.port) + " or on an ipc:// path");
    }
  }
  auto impl = std::make_unique<Impl>();
  impl->next_link = options.first_link;
  impl->link_stride = options.link_stride;
  impl->pool = &context.impl().new_pool();
  try {
    impl->socket = open_socket(context, zmq::socket_type::router, options.socket);
    impl->socket.set(zmq::sockopt::router_mandatory, true);
  } catch (const zmq::error_t& error) {
    return fail_zmq("open a router", error);
  }
  impl->endpoints.resize(endpoints.size());
  // A listener keeps the security options that the socket has when it is bound: local ones first, plain.
  for (const auto kind : {Endpoint::Kind::ipc, Endpoint::Kind::tcp}) {
    if (kind == Endpoint::Kind::tcp && keyed) {
      if (auto ready = impl->use_keys(context, options); !ready) {
        return tl::unexpected(ready.error());
      }
    }
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
      if (endpoints[i].kind != kind) {
        continue;
      }
      auto bound = bind_one(impl->socket, endpoints[i]);
      if (!bound) {
        return tl::unexpected(bound.error());
      }
      impl->endpoints[i] = *std::move(bound);
      impl->endpoints[i].key = kind == Endpoint::Kind::tcp ? options.socket.keys.public_key : "";
    }
  }
  return Router(std::move(impl));
}

const std::vector<Endpoint>& Router::endpoints() const { return impl_->endpoints; }

Result<bool> Router::receive(Incoming& in, Instant now) {
  zmq::message_t& part = part_of(in.message);
  const auto next = [&](zmq::message_t& into) {
    return uninterrupted([&] { return impl_->socket.recv(into, zmq::recv_flags::dontwait); }).has_value();
  };
  try {
    while (next(part)) {
      // The first part is the routing id: libzmq's own are 5 bytes, a zero and a number.
      const auto* id = part.data<char>();
      const bool named_by_us = part.size() == kRoutingIdBytes && id[0] == 0;
      std::uint32_t number = 0;
      if (named_by_us) {
        std::memcpy(&number, id + 1, sizeof number);
      }
      if (!part.more() || !next(part)) {
        ++impl_->dropped;
        continue;
      }
      in.several_parts = part.more();
      for (zmq::message_t rest; in.several_parts && next(rest) && rest.more();) {
      }
      if (!named_by_us) {
        ++impl_->dropped;
        continue;
      }
      const auto known = impl_->peers.find(number);
      Impl::Peer& peer = known != impl_->peers.end() ? known->second : impl_->add(number, parse_peer(part, impl_->keys_are_proven));
      peer.heard = now;
      in.link = peer.link;
      in.peer = peer.identity;
      return true;
    }
    return false;
  } catch (const zmq::error_t& error) {
    return fail_zmq("receive", error);
  }
}

template <class Body>
Result<SendOutcome> Router::Impl::send(LinkId link, Body&& send_body) {
  const auto found = by_link.find(link);
  if (found == by_link.end()) {
    return SendOutcome::link_lost;
  }
  char id[kRoutingIdBytes]{};
  std::memcpy(id + 1, &found->second->number, sizeof found->second->number);
  try {
    if (!uninterrupted([&] {
          return socket.send(zmq::buffer(id, sizeof id), zmq::send_flags::dontwait | zmq::send_flags::sndmore);
        })) {
      return SendOutcome::would_block;
    }
    // The peer has taken the first part, so it takes this one.
    (void)uninterrupted(send_body);
    return SendOutcome::sent;
  } catch (const zmq::error_t& error) {
    if (error.num() != EHOSTUNREACH) {
      return fail_zmq("send", error);
    }
    forget(link);
    return SendOutcome::link_lost;
  }
}

Result<SendOutcome> Router::send(LinkId link, std::span<const std::uint8_t> frame) {
  void* const copy = impl_->pool->take(frame.size());
  std::memcpy(copy, frame.data(), frame.size());
  zmq::message_t message(copy, frame.size(), &FramePool::give_back, impl_->pool);
  return impl_->send(link, [&] { return impl_->socket.send(message, zmq::send_flags::dontwait); });
}

Result<SendOutcome> Router::send(LinkId link, FrameBytes&& frame) {
  if (frame.size() < kLentBytes) {
    return send(link, std::span<const std::uint8_t>(frame));
  }
  auto lent = std::make_unique<FrameBytes>(std::move(frame));
  const auto give_back = [](void*, void* bytes) { delete static_cast<FrameBytes*>(bytes); };
  zmq::message_t message(lent->data(), lent->size(), give_back, lent.get());
  (void)lent.release();  // the message's now
  return impl_->send(link, [&] { return impl_->socket.send(message, zmq::send_flags::dontwait); });
}

void Router::forget(LinkId link) { impl_->forget(link); }

void Router::forget_silent(Instant since, std::vector<LinkId>& lost) {
  const auto first = static_cast<std::ptrdiff_t>(lost.size());
  for (const auto& [number, peer] : impl_->peers) {
    if (peer.heard < since) {
      lost.push_back(peer.link);
    }
  }
  std::sort(lost.begin() + first, lost.end());
  for (auto i = lost.begin() + first; i != lost.end(); ++i) {
    impl_->forget(*i);
  }
}

bool Router::knows(LinkId link) const { return impl_->by_link.contains(link); }
std::size_t Router::links() const { return impl_->peers.size(); }
std::uint64_t Router::dropped() const { return impl_->dropped; }

}  // namespace muster

#include "wire/socket/router.hpp"

#include <zmq.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {
namespace {

// "localhost:uid:gid:pid" on ipc, "127.0.0.1" and the like on tcp.
PeerIdentity parse_peer(const char* address) {
  PeerIdentity out;
  constexpr std::string_view kLocal = "localhost:";
  std::string_view rest = address == nullptr ? std::string_view{} : std::string_view(address);
  if (rest.substr(0, kLocal.size()) != kLocal) {
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

Result<Endpoint> bind_one(void* socket, const Endpoint& wanted) {
  if (zmq_bind(socket, wanted.to_string().c_str()) != 0) {
    const int code = zmq_errno();
    std::string text = "listen on " + wanted.to_string() + ": " + zmq_strerror(code);
    if (code == EADDRINUSE && wanted.kind == Endpoint::Kind::tcp) {
      text += "; choose another port, or 0 for a free one";
    }
    return fail(code == EADDRINUSE ? Errc::already_exists : Errc::io, std::move(text));
  }
  if (wanted.kind == Endpoint::Kind::ipc) {
    return wanted;
  }
  char last[256]{};
  std::size_t size = sizeof last;
  if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, last, &size) != 0) {
    return fail_zmq("listen on " + wanted.to_string());
  }
  auto bound = parse_endpoint(last);
  if (bound) {
    bound->host = wanted.host;  // libzmq writes 0.0.0.0 for *, and numbers for names
  }
  return bound;
}

}  // namespace

Router::Impl::~Impl() {
  if (socket != nullptr) {
    zmq_close(socket);
  }
}

LinkId Router::Impl::link_of(std::string_view routing_id, const PeerIdentity& identity, Instant now) {
  std::string key(routing_id);
  const auto found = by_routing_id.find(key);
  if (found != by_routing_id.end()) {
    Peer& peer = peers.at(found->second);
    peer.heard = now;
    return found->second;
  }
  const LinkId link(next_link);
  next_link += link_stride;
  peers.emplace(link, Peer{key, identity, now});
  by_routing_id.emplace(std::move(key), link);
  return link;
}

void Router::Impl::forget(LinkId link) {
  const auto found = peers.find(link);
  if (found != peers.end()) {
    by_routing_id.erase(found->second.routing_id);
    peers.erase(found);
  }
}

Router::Router(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

Result<Router> Router::bind(Context& context, std::span<const Endpoint> endpoints, const RouterOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->next_link = options.first_link;
  impl->link_stride = options.link_stride;
  impl->socket = open_socket(context, ZMQ_ROUTER, options.socket);
  if (impl->socket == nullptr) {
    return fail_zmq("open a router");
  }
  set_int(impl->socket, ZMQ_ROUTER_MANDATORY, 1);
  for (const Endpoint& wanted : endpoints) {
    auto bound = bind_one(impl->socket, wanted);
    if (!bound) {
      return tl::unexpected(bound.error());
    }
    impl->endpoints.push_back(*std::move(bound));
  }
  return Router(std::move(impl));
}

const std::vector<Endpoint>& Router::endpoints() const { return impl_->endpoints; }

Result<bool> Router::receive(Incoming& in, Instant now) {
  auto* msg = static_cast<zmq_msg_t*>(in.message.handle());
  for (;;) {
    if (zmq_msg_recv(msg, impl_->socket, ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() == EAGAIN) {
        return false;
      }
      if (zmq_errno() == EINTR) {
        continue;
      }
      return fail_zmq("receive");
    }
    // The first part is the routing id: libzmq's own are 5 bytes that begin with zero.
    char routing_id[5];
    const auto id = in.message.bytes();
    const bool named_by_us = id.size() == sizeof routing_id && id[0] == 0;
    if (named_by_us) {
      std::memcpy(routing_id, id.data(), sizeof routing_id);
    }
    if (zmq_msg_more(msg) == 0 || zmq_msg_recv(msg, impl_->socket, ZMQ_DONTWAIT) < 0) {
      ++impl_->dropped;
      continue;
    }
    const PeerIdentity identity = parse_peer(zmq_msg_gets(msg, "Peer-Address"));
    in.several_parts = zmq_msg_more(msg) != 0;
    if (in.several_parts) {
      Message rest;
      auto* part = static_cast<zmq_msg_t*>(rest.handle());
      while (zmq_msg_recv(part, impl_->socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(part) != 0) {
      }
    }
    if (!named_by_us) {
      ++impl_->dropped;
      continue;
    }
    in.peer = identity;
    in.link = impl_->link_of(std::string_view(routing_id, sizeof routing_id), identity, now);
    return true;
  }
}

Result<SendOutcome> Router::send(LinkId link, std::span<const std::uint8_t> frame) {
  const auto found = impl_->peers.find(link);
  if (found == impl_->peers.end()) {
    return SendOutcome::link_lost;
  }
  const std::string& id = found->second.routing_id;
  for (;;) {
    if (zmq_send(impl_->socket, id.data(), id.size(), ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0) {
      break;
    }
    if (zmq_errno() == EAGAIN) {
      return SendOutcome::would_block;
    }
    if (zmq_errno() == EHOSTUNREACH) {
      impl_->forget(link);
      return SendOutcome::link_lost;
    }
    if (zmq_errno() != EINTR) {
      return fail_zmq("send");
    }
  }
  while (zmq_send(impl_->socket, frame.data(), frame.size(), ZMQ_DONTWAIT) < 0) {
    if (zmq_errno() != EINTR) {
      return fail_zmq("send");
    }
  }
  return SendOutcome::sent;
}

void Router::forget(LinkId link) { impl_->forget(link); }

void Router::forget_silent(Instant since, std::vector<LinkId>& lost) {
  const auto first = static_cast<std::ptrdiff_t>(lost.size());
  for (const auto& [link, peer] : impl_->peers) {
    if (peer.heard < since) {
      lost.push_back(link);
    }
  }
  std::sort(lost.begin() + first, lost.end());
  for (auto i = lost.begin() + first; i != lost.end(); ++i) {
    impl_->forget(*i);
  }
}

bool Router::knows(LinkId link) const { return impl_->peers.contains(link); }
std::size_t Router::links() const { return impl_->peers.size(); }
std::uint64_t Router::dropped() const { return impl_->dropped; }

}  // namespace muster

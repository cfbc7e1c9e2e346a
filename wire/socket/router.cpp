#include "wire/socket/router.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {
namespace {

// "localhost:uid:gid:pid" on ipc, "127.0.0.1" and the like on tcp.
PeerIdentity parse_peer(zmq::message_t& part) {
  PeerIdentity out;
  constexpr std::string_view kLocal = "localhost:";
  std::string_view rest;
  try {
    rest = part.gets("Peer-Address");
  } catch (const zmq::error_t&) {
    return out;  // it has none
  }
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

Result<Endpoint> bind_one(zmq::socket_t& socket, const Endpoint& wanted) {
  std::string last;
  try {
    socket.bind(wanted.to_string());
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
  try {
    impl->socket = open_socket(context, zmq::socket_type::router, options.socket);
    impl->socket.set(zmq::sockopt::router_mandatory, true);
  } catch (const zmq::error_t& error) {
    return fail_zmq("open a router", error);
  }
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
  zmq::message_t& part = part_of(in.message);
  const auto next = [&](zmq::message_t& into) {
    return uninterrupted([&] { return impl_->socket.recv(into, zmq::recv_flags::dontwait); }).has_value();
  };
  try {
    while (next(part)) {
      // The first part is the routing id: libzmq's own are 5 bytes that begin with zero.
      char routing_id[5];
      const auto* id = part.data<char>();
      const bool named_by_us = part.size() == sizeof routing_id && id[0] == 0;
      if (named_by_us) {
        std::memcpy(routing_id, id, sizeof routing_id);
      }
      if (!part.more() || !next(part)) {
        ++impl_->dropped;
        continue;
      }
      in.peer = parse_peer(part);
      in.several_parts = part.more();
      for (zmq::message_t rest; in.several_parts && next(rest) && rest.more();) {
      }
      if (!named_by_us) {
        ++impl_->dropped;
        continue;
      }
      in.link = impl_->link_of(std::string_view(routing_id, sizeof routing_id), in.peer, now);
      return true;
    }
    return false;
  } catch (const zmq::error_t& error) {
    return fail_zmq("receive", error);
  }
}

Result<SendOutcome> Router::send(LinkId link, std::span<const std::uint8_t> frame) {
  const auto found = impl_->peers.find(link);
  if (found == impl_->peers.end()) {
    return SendOutcome::link_lost;
  }
  const std::string& id = found->second.routing_id;
  try {
    if (!uninterrupted([&] {
          return impl_->socket.send(zmq::buffer(id), zmq::send_flags::dontwait | zmq::send_flags::sndmore);
        })) {
      return SendOutcome::would_block;
    }
    // The peer has taken the first part, so it takes this one.
    (void)uninterrupted([&] { return impl_->socket.send(zmq::buffer(frame.data(), frame.size()), zmq::send_flags::dontwait); });
    return SendOutcome::sent;
  } catch (const zmq::error_t& error) {
    if (error.num() != EHOSTUNREACH) {
      return fail_zmq("send", error);
    }
    impl_->forget(link);
    return SendOutcome::link_lost;
  }
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

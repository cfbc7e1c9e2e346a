#include "wire/socket/dealer.hpp"

#include <atomic>
#include <cstring>
#include <deque>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {

namespace {

constexpr Duration kRefusedRetry = Duration::from_ms(1000);

}  // namespace

Dealer::Impl::~Impl() {
  if (socket) {
    zmq_socket_monitor(socket.handle(), nullptr, 0);
  }
}

// Reads all waiting monitor events: [u16 event, u32 value][endpoint]. Tries again where it is time to.
void Dealer::Impl::read_monitor() {
  if (retry_at != Instant::never() && SystemClock{}.now().mono >= retry_at) {
    retry_at = Instant::never();
    try {
      socket.disconnect(endpoint.address());
      socket.connect(endpoint.address());
    } catch (const zmq::error_t&) {
      // closing
    }
  }
  zmq::message_t head;
  zmq::message_t address;
  const auto next = [this](zmq::message_t& part) {
    try {
      return uninterrupted([&] { return monitor.recv(part, zmq::recv_flags::dontwait); }).has_value();
    } catch (const zmq::error_t&) {
      return false;  // closing
    }
  };
  while (next(head)) {
    if (head.more()) {
      (void)next(address);
    }
    if (head.size() < sizeof(std::uint16_t)) {
      continue;
    }
    std::uint16_t event = 0;
    std::memcpy(&event, head.data(), sizeof event);
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED && !up) {
      up = true;
      changes.push_back(LinkChange::up);
    } else if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH || event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL ||
               event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) {
      ++refusals;
      refused_as_unknown = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
      retry_at = SystemClock{}.now().mono + kRefusedRetry;  // libzmq does not try again by itself
    } else if ((event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CLOSED) && up) {
      up = false;
      changes.push_back(LinkChange::down);
    }
  }
}

Dealer::Dealer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dealer::~Dealer() = default;
Dealer::Dealer(Dealer&&) noexcept = default;
Dealer& Dealer::operator=(Dealer&&) noexcept = default;

Result<Dealer> Dealer::connect(Context& context, const Endpoint& endpoint, const SocketOptions& options) {
  static std::atomic<std::uint64_t> monitors{0};
  const std::string text = endpoint.address();
  if (endpoint.key.empty() && !endpoint.is_local()) {
    return fail(Errc::unsupported, "connect " + text + ": other hosts are spoken to with keys only; write " + text +
                                       "#KEY with the public key of that side (`muster keygen --show` prints it there)");
  }
  auto impl = std::make_unique<Impl>();
  impl->endpoint = endpoint;
  try {
    impl->socket = open_socket(context, zmq::socket_type::dealer, options);
    impl->socket.set(zmq::sockopt::immediate, true);  // frames for a connection that is gone must not pile up
    if (!endpoint.key.empty()) {
      auto keys = options.keys.empty() ? make_key_pair() : Result<KeyPair>(options.keys);
      if (!keys) {
        return tl::unexpected(keys.error());
      }
      impl->socket.set(zmq::sockopt::curve_serverkey, endpoint.key);
      impl->socket.set(zmq::sockopt::curve_publickey, keys->public_key);
      impl->socket.set(zmq::sockopt::curve_secretkey, keys->secret_key);
      impl->own_key = keys->public_key;
    }
    const std::string place = "inproc://muster-monitor-" + std::to_string(++monitors);
    if (zmq_socket_monitor(impl->socket.handle(), place.c_str(),
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL) != 0) {
      throw zmq::error_t();
    }
    impl->monitor = zmq::socket_t(context.impl().context, zmq::socket_type::pair);
    impl->monitor.connect(place);
    impl->socket.connect(text);
  } catch (const zmq::error_t& error) {
    return fail_zmq("connect " + text, error);
  }
  return Dealer(std::move(impl));
}

Result<SendOutcome> Dealer::send(std::span<const std::uint8_t> frame) {
  if (impl_->retry_at != Instant::never()) {
    impl_->read_monitor();
  }
  try {
    const auto sent = uninterrupted(
        [&] { return impl_->socket.send(zmq::buffer(frame.data(), frame.size()), zmq::send_flags::dontwait); });
    return sent ? SendOutcome::sent : SendOutcome::would_block;
  } catch (const zmq::error_t& error) {
    return fail_zmq("send to " + impl_->endpoint.to_string(), error);
  }
}

Result<bool> Dealer::receive(FrameBytes& buffer) {
  try {
    zmq::message_t part;
    const auto next = [&] {
      return uninterrupted([&] { return impl_->socket.recv(part, zmq::recv_flags::dontwait); }).has_value();
    };
    while (next()) {
      if (!part.more()) {
        const auto* bytes = part.data<std::uint8_t>();
        buffer.assign(bytes, bytes + part.size());
        return true;
      }
      ++impl_->dropped;  // not a frame
      while (part.more() && next()) {
      }
    }
    return false;
  } catch (const zmq::error_t& error) {
    return fail_zmq("receive from " + impl_->endpoint.to_string(), error);
  }
}

std::optional<LinkChange> Dealer::next_change() {
  impl_->read_monitor();
  if (impl_->changes.empty()) {
    return std::nullopt;
  }
  const LinkChange change = impl_->changes.front();
  impl_->changes.pop_front();
  return change;
}

bool Dealer::is_up() const {
  impl_->read_monitor();
  return impl_->up;
}

std::uint64_t Dealer::refusals() const {
  impl_->read_monitor();
  return impl_->refusals;
}

std::string Dealer::refusal() const {
  const std::string who = impl_->endpoint.address();
  if (impl_->refused_as_unknown) {
    return who + " refuses our key " + impl_->own_key + ": it must be in the list of keys there";
  }
  return impl_->endpoint.key.empty() ? who + " ends the handshake: it may want keys (tcp://HOST:PORT#KEY)"
                                     : who + " ends the handshake: its key may be another than " + impl_->endpoint.key;
}

std::uint64_t Dealer::dropped() const { return impl_->dropped; }
const Endpoint& Dealer::endpoint() const { return impl_->endpoint; }

}  // namespace muster

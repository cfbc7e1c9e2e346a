#include "wire/socket/dealer.hpp"

#include <zmq.h>

#include <atomic>
#include <cstring>
#include <deque>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {

Dealer::Impl::~Impl() {
  if (monitor != nullptr) {
    zmq_close(monitor);
  }
  if (socket != nullptr) {
    zmq_socket_monitor(socket, nullptr, 0);
    zmq_close(socket);
  }
}

// Reads all waiting monitor events: [u16 event, u32 value][endpoint].
void Dealer::Impl::read_monitor() {
  for (;;) {
    Message head;
    if (zmq_msg_recv(static_cast<zmq_msg_t*>(head.handle()), monitor, ZMQ_DONTWAIT) < 0) {
      return;
    }
    Message address;
    if (zmq_msg_more(static_cast<zmq_msg_t*>(head.handle())) != 0) {
      (void)zmq_msg_recv(static_cast<zmq_msg_t*>(address.handle()), monitor, ZMQ_DONTWAIT);
    }
    if (head.bytes().size() < sizeof(std::uint16_t)) {
      continue;
    }
    std::uint16_t event = 0;
    std::memcpy(&event, head.bytes().data(), sizeof event);
    if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED && !up) {
      up = true;
      changes.push_back(LinkChange::up);
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
  const std::string text = endpoint.to_string();
  auto impl = std::make_unique<Impl>();
  impl->endpoint = endpoint;
  impl->socket = open_socket(context, ZMQ_DEALER, options);
  if (impl->socket == nullptr) {
    return fail_zmq("connect " + text);
  }
  set_int(impl->socket, ZMQ_IMMEDIATE, 1);  // frames for a connection that is gone must not pile up
  const std::string place = "inproc://muster-monitor-" + std::to_string(++monitors);
  if (zmq_socket_monitor(impl->socket, place.c_str(),
                         ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED) != 0) {
    return fail_zmq("monitor " + text);
  }
  impl->monitor = zmq_socket(context.handle(), ZMQ_PAIR);
  if (impl->monitor == nullptr || zmq_connect(impl->monitor, place.c_str()) != 0) {
    return fail_zmq("monitor " + text);
  }
  if (zmq_connect(impl->socket, text.c_str()) != 0) {
    return fail_zmq("connect " + text);
  }
  return Dealer(std::move(impl));
}

Result<SendOutcome> Dealer::send(std::span<const std::uint8_t> frame) {
  for (;;) {
    if (zmq_send(impl_->socket, frame.data(), frame.size(), ZMQ_DONTWAIT) >= 0) {
      return SendOutcome::sent;
    }
    if (zmq_errno() == EAGAIN) {
      return SendOutcome::would_block;
    }
    if (zmq_errno() != EINTR) {
      return fail_zmq("send to " + impl_->endpoint.to_string());
    }
  }
}

Result<bool> Dealer::receive(FrameBytes& buffer) {
  for (;;) {
    Message message;
    auto* msg = static_cast<zmq_msg_t*>(message.handle());
    if (zmq_msg_recv(msg, impl_->socket, ZMQ_DONTWAIT) < 0) {
      if (zmq_errno() == EAGAIN) {
        return false;
      }
      if (zmq_errno() == EINTR) {
        continue;
      }
      return fail_zmq("receive from " + impl_->endpoint.to_string());
    }
    if (zmq_msg_more(msg) != 0) {
      ++impl_->dropped;
      while (zmq_msg_more(msg) != 0 && zmq_msg_recv(msg, impl_->socket, ZMQ_DONTWAIT) >= 0) {
      }
      continue;
    }
    message.copy_to(buffer);
    return true;
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

std::uint64_t Dealer::dropped() const { return impl_->dropped; }
const Endpoint& Dealer::endpoint() const { return impl_->endpoint; }

}  // namespace muster

#include "wire/socket/message.hpp"

#include <new>
#include <zmq.hpp>

namespace muster {

Message::Message() {
  static_assert(sizeof(zmq::message_t) == sizeof storage_ && alignof(zmq::message_t) <= alignof(decltype(*this)));
  new (storage_) zmq::message_t;
}
Message::~Message() { static_cast<zmq::message_t*>(handle())->~message_t(); }

void* Message::handle() { return std::launder(reinterpret_cast<zmq::message_t*>(storage_)); }

std::span<const std::uint8_t> Message::bytes() const {
  const auto* part = std::launder(reinterpret_cast<const zmq::message_t*>(storage_));
  return {part->data<std::uint8_t>(), part->size()};
}

}  // namespace muster

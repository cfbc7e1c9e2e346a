#include "wire/socket/message.hpp"

#include <zmq.h>

namespace muster {

static_assert(sizeof(zmq_msg_t) == 64);

Message::Message() : storage_{} { zmq_msg_init(reinterpret_cast<zmq_msg_t*>(storage_)); }
Message::~Message() { zmq_msg_close(reinterpret_cast<zmq_msg_t*>(storage_)); }

std::span<const std::uint8_t> Message::bytes() const {
  auto* msg = reinterpret_cast<zmq_msg_t*>(storage_);
  return {static_cast<const std::uint8_t*>(zmq_msg_data(msg)), zmq_msg_size(msg)};
}

}  // namespace muster

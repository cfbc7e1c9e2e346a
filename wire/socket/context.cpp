#include "wire/socket/context.hpp"

#include <zmq.h>

#include <algorithm>

#include "wire/base/check.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {

Context::Context(const ContextOptions& options) : handle_(zmq_ctx_new()) {
  if (handle_ != nullptr) {
    zmq_ctx_set(handle_, ZMQ_IO_THREADS, options.io_threads);
    zmq_ctx_set(handle_, ZMQ_MAX_SOCKETS, options.sockets_max);
    zmq_ctx_set(handle_, ZMQ_BLOCKY, 0);
  }
}

Context::~Context() {
  if (handle_ != nullptr) {
    while (zmq_ctx_term(handle_) != 0 && zmq_errno() == EINTR) {
    }
  }
}

Status Context::ok() const {
  if (handle_ == nullptr) {
    return fail(Errc::exhausted, "ZeroMQ could not start: out of memory");
  }
  return {};
}

void set_int(void* socket, int option, int value) {
  check(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "zmq_setsockopt");
}

void* open_socket(Context& context, int type, const SocketOptions& options) {
  void* socket = zmq_socket(context.handle(), type);
  if (socket == nullptr) {
    return nullptr;
  }
  const auto bytes_max = static_cast<std::int64_t>(options.frame_bytes_max);
  check(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0, "ZMQ_MAXMSGSIZE");
  set_int(socket, ZMQ_SNDHWM, options.send_frames_max);
  set_int(socket, ZMQ_RCVHWM, options.receive_frames_max);
  set_int(socket, ZMQ_LINGER, static_cast<int>(options.linger.ms()));
  set_int(socket, ZMQ_RECONNECT_IVL, static_cast<int>(std::max<std::int64_t>(1, options.reconnect.ms())));
  set_int(socket, ZMQ_RECONNECT_IVL_MAX, static_cast<int>(options.reconnect_max.ms()));
  set_int(socket, ZMQ_BACKLOG, options.backlog);
  set_int(socket, ZMQ_TCP_KEEPALIVE, 1);
  set_int(socket, ZMQ_IPV6, 1);
  return socket;
}

}  // namespace muster

#include "wire/socket/context.hpp"

#include <algorithm>

#include "wire/socket/socket_impl.hpp"
#include "wire/socket/zmq_error.hpp"

namespace muster {

Context::Context(const ContextOptions& options) {
  try {
    auto impl = std::make_unique<Impl>();
    impl->context.set(zmq::ctxopt::io_threads, options.io_threads);
    impl->context.set(zmq::ctxopt::max_sockets, options.sockets_max);
    impl->context.set(zmq::ctxopt::blocky, 0);
    impl_ = std::move(impl);
  } catch (const zmq::error_t&) {
    // ok() says it
  }
}

Context::~Context() = default;

FramePool& Context::Impl::new_pool() {
  auto pool = std::make_unique<FramePool>();
  FramePool& out = *pool;
  pools.give(pool.release());
  return out;
}

Result<KeyGuard*> Context::Impl::key_guard() {
  const std::lock_guard lock(guard_mutex);
  if (!guard) {
    auto started = KeyGuard::start(context);
    if (!started) {
      return tl::unexpected(started.error());
    }
    guard = *std::move(started);
  }
  return guard.get();
}

Context::Impl::~Impl() {
  guard.reset();
  context.close();
  for (FramePool* pool = pools.take_all(); pool != nullptr;) {
    FramePool* const after = pool->next;
    delete pool;
    pool = after;
  }
}

Status Context::ok() const {
  if (impl_ == nullptr) {
    return fail(Errc::exhausted, "ZeroMQ could not start: out of memory");
  }
  return {};
}

zmq::socket_t open_socket(Context& context, zmq::socket_type type, const SocketOptions& options) {
  zmq::socket_t socket(context.impl().context, type);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(options.frame_bytes_max));
  socket.set(zmq::sockopt::sndhwm, options.send_frames_max);
  socket.set(zmq::sockopt::rcvhwm, options.receive_frames_max);
  socket.set(zmq::sockopt::linger, static_cast<int>(options.linger.ms()));
  socket.set(zmq::sockopt::reconnect_ivl, static_cast<int>(std::max<std::int64_t>(1, options.reconnect.ms())));
  socket.set(zmq::sockopt::reconnect_ivl_max, static_cast<int>(options.reconnect_max.ms()));
  socket.set(zmq::sockopt::backlog, options.backlog);
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::ipv6, true);
  return socket;
}

}  // namespace muster

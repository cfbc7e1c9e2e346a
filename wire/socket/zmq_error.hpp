// Inside wire/socket only: cppzmq's exceptions as Results, and the options of sockets.
#pragma once

#include <string>
#include <utility>
#include <zmq.hpp>

#include "wire/base/result.hpp"
#include "wire/socket/context.hpp"

namespace muster {

[[nodiscard]] inline tl::unexpected<Error> fail_zmq(const std::string& what, const zmq::error_t& error) {
  return fail(error.num() == EADDRINUSE ? Errc::already_exists : Errc::io, what + ": " + error.what());
}

// Calls again while a signal interrupts. For every other error libzmq throws, as the caller must expect.
template <class Call>
decltype(auto) uninterrupted(Call&& call) {
  for (;;) {
    try {
      return std::forward<Call>(call)();
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) {
        throw;
      }
    }
  }
}

// A socket with the limits set. Throws zmq::error_t.
[[nodiscard]] zmq::socket_t open_socket(Context& context, zmq::socket_type type, const SocketOptions& options);

}  // namespace muster

// Inside wire/socket only: errno after a failed libzmq call as a Result, and options.
#pragma once

#include <zmq.h>

#include <string>

#include "wire/base/result.hpp"
#include "wire/socket/context.hpp"

namespace muster {

[[nodiscard]] inline tl::unexpected<Error> fail_zmq(const std::string& what) {
  const int code = zmq_errno();
  return fail(code == EADDRINUSE ? Errc::already_exists : Errc::io, what + ": " + zmq_strerror(code));
}

// Makes a socket with the limits set; null on failure (errno says why).
[[nodiscard]] void* open_socket(Context& context, int type, const SocketOptions& options);
void set_int(void* socket, int option, int value);

}  // namespace muster

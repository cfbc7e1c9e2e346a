// Result<T>: the return type of everything that others (peers, users, the system) can make fail.
// One error type for all rooms: a room's code enum value, and one sentence that names the thing,
// the value and the way out.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace muster {

// What kind of failure it is. Codes cross rooms, so they live here; the text is written where it happens.
enum class Errc : std::uint16_t {
  invalid_argument = 1,  // the caller's input is malformed
  not_found,             // the named thing does not exist
  already_exists,
  out_of_range,    // a limit was exceeded; the text names limit and value
  malformed,       // bytes from outside do not verify
  unsupported,     // understood, but this version or machine cannot
  unreachable,     // no answer from a peer
  timed_out,       // the deadline passed; the outcome may be unknown
  refused,         // the peer said no
  io,              // the system call failed; the text carries errno's words
  exhausted,       // a bounded thing is full
  conflict,        // the state does not allow it
  permission,
};

struct Error {
  Errc code{Errc::invalid_argument};
  std::string text;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string text) {
  return tl::unexpected<Error>(Error{code, std::move(text)});
}

// "open /x: No such file or directory" from errno-style codes.
[[nodiscard]] tl::unexpected<Error> fail_errno(int errno_value, const std::string& what);

}  // namespace muster

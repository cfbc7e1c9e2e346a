// Endpoints: where a socket binds or connects. "ipc:///path", "tcp://host:port" or "tcp://host:port#KEY", where KEY is the
// CURVE public key of the listening side (wire/socket/curve.hpp); without it the connection is plain.
// Errors: parsing returns Errc::invalid_argument or Errc::out_of_range with the text, what is wrong and the way out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/result.hpp"

namespace muster {

// The kernel's limit for the path of a local socket (sun_path without its final zero byte).
inline constexpr std::size_t kIpcPathBytesMax = 107;

// Pure: a parsed endpoint.
struct Endpoint {
  enum class Kind : std::uint8_t { ipc, tcp };
  Kind kind{Kind::ipc};
  std::string path;          // ipc
  std::string host;          // tcp; "*" = every address
  std::uint16_t port{};      // tcp; 0 = a free one is chosen at bind

  std::string key;           // tcp; Z85; empty = plain

  [[nodiscard]] std::string to_string() const;
  [[nodiscard]] std::string address() const;  // without the key
  // ipc, 127.0.0.0/8, ::1 and localhost: nothing outside this machine can reach it.
  [[nodiscard]] bool is_local() const;
  bool operator==(const Endpoint&) const = default;
};

[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view text);
// "ipc://<path>", or an error that says how long the path is.
[[nodiscard]] Result<Endpoint> ipc_endpoint(std::string_view path);

}  // namespace muster

#include "wire/socket/endpoint.hpp"

#include <charconv>

#include "wire/socket/curve.hpp"

namespace muster {
namespace {

constexpr std::string_view kIpc = "ipc://";
constexpr std::string_view kTcp = "tcp://";

}  // namespace

std::string Endpoint::to_string() const { return key.empty() ? address() : address() + "#" + key; }

std::string Endpoint::address() const {
  if (kind == Kind::ipc) {
    return std::string(kIpc) + path;
  }
  const bool six = host.find(':') != std::string::npos;
  return std::string(kTcp) + (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Endpoint::is_local() const {
  return kind == Kind::ipc || host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

Result<Endpoint> ipc_endpoint(std::string_view path) {
  if (path.empty()) {
    return fail(Errc::invalid_argument, "ipc:// needs a path, as in ipc:///tmp/muster/master.ipc");
  }
  if (path.size() > kIpcPathBytesMax) {
    return fail(Errc::out_of_range, "socket path " + std::string(path) + " has " + std::to_string(path.size()) +
                                        " bytes; the system takes at most " + std::to_string(kIpcPathBytesMax) +
                                        ": choose a shorter --dir");
  }
  Endpoint out;
  out.kind = Endpoint::Kind::ipc;
  out.path = std::string(path);
  return out;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const std::string shown = "endpoint '" + std::string(text) + "'";
  if (text.substr(0, kIpc.size()) == kIpc) {
    return ipc_endpoint(text.substr(kIpc.size()));
  }
  if (text.substr(0, kTcp.size()) != kTcp) {
    return fail(Errc::invalid_argument, shown + ": must begin with ipc:// or tcp://, as in tcp://127.0.0.1:5051");
  }
  std::string_view rest = text.substr(kTcp.size());
  Endpoint out;
  out.kind = Endpoint::Kind::tcp;
  // A key may hold any sign but '#' first appears before it: neither hosts nor ports have one.
  if (const auto hash = rest.find('#'); hash != std::string_view::npos) {
    const auto key = parse_public_key(rest.substr(hash + 1));
    if (!key) {
      return fail(Errc::invalid_argument, shown + ": " + key.error().text);
    }
    out.key = key->text();
    rest = rest.substr(0, hash);
  }
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) {
    return fail(Errc::invalid_argument, shown + ": needs a host and a port, as in tcp://127.0.0.1:5051");
  }
  std::string_view host = rest.substr(0, colon);
  const std::string_view port = rest.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return fail(Errc::invalid_argument, shown + ": write an IPv6 address in brackets, as in tcp://[::1]:5051");
  }
  if (host.find_first_of(" /;\t") != std::string_view::npos) {
    return fail(Errc::invalid_argument, shown + ": '" + std::string(host) + "' is no host");
  }
  out.host = std::string(host);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (port == "*") {
    number = 0;
  } else if (error != std::errc{} || end != port.data() + port.size() || number > 65'535) {
    return fail(Errc::invalid_argument, shown + ": '" + std::string(port) + "' is no port (0 to 65535; 0 = a free one)");
  }
  out.port = static_cast<std::uint16_t>(number);
  return out;
}

}  // namespace muster

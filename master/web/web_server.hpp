// WebServer: JSON over HTTP on 127.0.0.1, on threads of its own; sees only the view. A client that is slow or
// hangs holds one of those threads for seconds, and the core never.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "master/view/view_desk.hpp"
#include "wire/base/result.hpp"

namespace muster::master {

struct WebOptions {
  static constexpr std::uint16_t kPortDefault = 5050;
  std::uint16_t port{kPortDefault};  // busy: a free one is chosen; see WebServer::port()
  unsigned threads{4};
  unsigned timeout_seconds{5};       // for a client to send its request and to take its answer
};

class WebServer {
 public:
  // Serves until destroyed. Errc::io when no port of 127.0.0.1 can be had. The desk must outlive it.
  [[nodiscard]] static Result<std::unique_ptr<WebServer>> start(ViewDesk& desk, const WebOptions& options);
  ~WebServer();
  [[nodiscard]] std::uint16_t port() const;

 private:
  struct Impl;
  explicit WebServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::master

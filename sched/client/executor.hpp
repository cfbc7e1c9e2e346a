// Executor: the process of a task that speaks for itself. Owned by one thread.
//
// A task launched with `executor` in its spec finds the node's socket and its token in its environment
// (MUSTER_EXECUTOR_SOCKET, MUSTER_EXECUTOR_TOKEN, MUSTER_FRAMEWORK, MUSTER_ATTEMPT). What it sends arrives at its
// framework's on_message(), what the framework sends with send_message() arrives here. Messages may be shed under
// load: what must arrive is confirmed by an answer. The task itself ends when the process does.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster::client {

class Executor {
 public:
  // Connects and says hello. Errc::invalid_argument when the environment is not that of an executor;
  // Errc::unreachable or Errc::refused when the node does not take it within `patience`.
  [[nodiscard]] static Result<Executor> connect(Duration patience = Duration::from_seconds(10));
  ~Executor();
  Executor(Executor&&) noexcept;
  Executor& operator=(Executor&&) noexcept;

  [[nodiscard]] Status send(std::string_view data);
  // The next message; nothing when none came within `wait`. Says hello again when the node agent was restarted.
  [[nodiscard]] Result<std::optional<std::string>> receive(Duration wait);
  [[nodiscard]] const AttemptId& attempt() const;

 private:
  struct Impl;
  explicit Executor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::client

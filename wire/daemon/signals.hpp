// SignalFd: signals as a readable descriptor. Open it before any thread starts: the signals are blocked in the calling
// thread, and threads inherit that.
#pragma once

#include <initializer_list>
#include <optional>

#include "wire/base/result.hpp"

namespace muster {

class SignalFd {
 public:
  [[nodiscard]] static Result<SignalFd> open(std::initializer_list<int> signals);
  SignalFd(SignalFd&& other) noexcept;
  SignalFd& operator=(SignalFd&& other) noexcept;
  ~SignalFd();

  [[nodiscard]] int fd() const { return fd_; }
  // The next pending signal's number; nothing if there is none. Never blocks.
  [[nodiscard]] std::optional<int> next() const;

 private:
  explicit SignalFd(int fd) : fd_(fd) {}
  int fd_{-1};
};

// A child that is about to exec must not inherit blocked signals.
void unblock_all_signals();

}  // namespace muster

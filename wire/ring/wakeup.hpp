// Wakeup: makes a sleeping poll() return, from any thread or signal handler. Thread-safe.
#pragma once

#include "wire/base/result.hpp"

namespace muster {

class Wakeup {
 public:
  [[nodiscard]] static Result<Wakeup> open();
  Wakeup(Wakeup&& other) noexcept;
  Wakeup& operator=(Wakeup&& other) noexcept;
  ~Wakeup();

  [[nodiscard]] int fd() const { return fd_; }  // readable after notify() until drain()
  void notify() const;
  void drain() const;

 private:
  explicit Wakeup(int fd) : fd_(fd) {}
  int fd_{-1};
};

}  // namespace muster

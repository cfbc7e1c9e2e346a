#include "wire/ring/wakeup.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace muster {

Result<Wakeup> Wakeup::open() {
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) {
    return fail_errno(errno, "eventfd");
  }
  return Wakeup(fd);
}

Wakeup::Wakeup(Wakeup&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Wakeup& Wakeup::operator=(Wakeup&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Wakeup::~Wakeup() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void Wakeup::notify() const {
  const std::uint64_t one = 1;
  // EAGAIN: the counter is full, so the fd is readable already.
  while (::write(fd_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Wakeup::drain() const {
  std::uint64_t count = 0;
  while (::read(fd_, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

}  // namespace muster

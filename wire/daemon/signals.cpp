#include "wire/daemon/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace muster {

Result<SignalFd> SignalFd::open(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  if (const int error = pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return fail_errno(error, "block signals");
  }
  const int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) {
    return fail_errno(errno, "signalfd");
  }
  return SignalFd(fd);
}

SignalFd::SignalFd(SignalFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

SignalFd& SignalFd::operator=(SignalFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

SignalFd::~SignalFd() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

std::optional<int> SignalFd::next() const {
  signalfd_siginfo info{};
  for (;;) {
    const ssize_t got = ::read(fd_, &info, sizeof info);
    if (got == static_cast<ssize_t>(sizeof info)) {
      return static_cast<int>(info.ssi_signo);
    }
    if (got < 0 && errno == EINTR) {
      continue;
    }
    return std::nullopt;
  }
}

void unblock_all_signals() {
  sigset_t set;
  sigemptyset(&set);
  pthread_sigmask(SIG_SETMASK, &set, nullptr);
}

}  // namespace muster

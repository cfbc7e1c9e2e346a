#include "wire/daemon/lock_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <thread>
#include <utility>

#include "wire/daemon/process_identity.hpp"

namespace muster {
namespace {

std::string holder_of(int fd) {
  char text[32]{};
  const ssize_t got = ::pread(fd, text, sizeof text - 1, 0);
  std::string pid;
  for (ssize_t i = 0; i < got && text[i] >= '0' && text[i] <= '9'; ++i) {
    pid += text[i];
  }
  return pid;
}

// A killed process holds its locks until the last of its threads has gone, which takes a while when it was large.
bool is_dying(const std::string& pid_text) {
  std::int32_t pid = 0;
  std::from_chars(pid_text.data(), pid_text.data() + pid_text.size(), pid);
  const auto holder = identity_of(pid);
  return holder && !is_alive(*holder);
}

constexpr int kDyingWaits = 500;
constexpr auto kDyingWait = std::chrono::milliseconds(10);

}  // namespace

Result<LockFile> LockFile::acquire(const std::string& path, const std::string& what, bool inherit) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | (inherit ? 0 : O_CLOEXEC), 0600);
  if (fd < 0) {
    return fail_errno(errno, "open " + path);
  }
  LockFile lock(fd);
  for (int waits = 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0;) {
    if (errno == EINTR) {
      continue;
    }
    if (errno == EWOULDBLOCK) {
      const std::string pid = holder_of(fd);
      if (waits < kDyingWaits && is_dying(pid)) {
        ++waits;
        std::this_thread::sleep_for(kDyingWait);
        continue;
      }
      return fail(Errc::conflict, what + " is already running (" + (pid.empty() ? "a process" : "pid " + pid) +
                                      " holds " + path + "); stop it first, or choose another --dir");
    }
    return fail_errno(errno, "lock " + path);
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  // The pid is a hint for people: a failed write costs nothing.
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    return lock;
  }
  return lock;
}

LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

LockFile::~LockFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

bool is_locked(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return false;
  }
  // A shared try-lock fails exactly while somebody holds the exclusive one.
  const bool locked = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return locked;
}

}  // namespace muster

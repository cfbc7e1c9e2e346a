#include "wire/daemon/machine.hpp"

#include <netdb.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "wire/base/check.hpp"
#include "wire/daemon/durable_file.hpp"

namespace muster {

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 0;
  }
  if (limit.rlim_cur < limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) {
      return raised.rlim_cur;
    }
  }
  return limit.rlim_cur;
}

Result<std::string> boot_id() {
  if (const char* forced = std::getenv("MUSTER_BOOT_ID"); forced != nullptr && *forced != '\0') {
    return std::string(forced);
  }
  auto text = read_file("/proc/sys/kernel/random/boot_id", 256);
  if (text) {
    while (!text->empty() && text->back() == '\n') {
      text->pop_back();
    }
  }
  return text;
}

std::string host_name() {
  char name[256]{};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') {
    return "localhost";
  }
  return name;
}

std::string user_name(std::uint32_t uid) {
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  int error = 0;
  while ((error = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found)) == ERANGE && buffer.size() < (1U << 20U)) {
    buffer.resize(buffer.size() * 2);
  }
  return found == nullptr ? "" : found->pw_name;
}

Result<std::string> address_towards(const std::string& host, std::uint16_t port) {
  const addrinfo wanted{.ai_flags = 0, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_protocol = 0, .ai_addrlen = 0,
                        .ai_addr = nullptr, .ai_canonname = nullptr, .ai_next = nullptr};
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found); error != 0) {
    return fail(Errc::unreachable, "host " + host + ": " + ::gai_strerror(error));
  }
  Result<std::string> out = fail(Errc::unreachable, "there is no way to host " + host);
  for (const addrinfo* at = found; at != nullptr && !out; at = at->ai_next) {
    const int fd = ::socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    char text[NI_MAXHOST];
    if (fd >= 0 && ::connect(fd, at->ai_addr, at->ai_addrlen) == 0 &&
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
        ::getnameinfo(reinterpret_cast<const sockaddr*>(&own), length, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0) {
      out = std::string(text);
    }
    if (fd >= 0) {
      ::close(fd);
    }
  }
  ::freeaddrinfo(found);
  return out;
}

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  ssize_t got = 0;
  do {
    got = ::getrandom(&value, sizeof value, 0);
  } while (got < 0 && errno == EINTR);
  check(got == static_cast<ssize_t>(sizeof value), "getrandom");
  return value;
}

}  // namespace muster

#include "wire/daemon/machine.hpp"

#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

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

#include "wire/daemon/process_identity.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>

namespace muster {
namespace {

struct Stat {
  char state{};
  std::uint64_t start_ticks{};
};

Result<Stat> read_stat(std::int32_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return fail(Errc::not_found, "no process " + std::to_string(pid));
  }
  char buffer[1024];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  ::close(fd);
  if (got <= 0) {
    return fail(Errc::not_found, "no process " + std::to_string(pid));
  }
  // "pid (name) state ppid … start …": the name may hold anything, so count from the last ')'.
  std::string_view text(buffer, static_cast<std::size_t>(got));
  const auto close = text.rfind(')');
  if (close == std::string_view::npos || close + 2 >= text.size()) {
    return fail(Errc::malformed, path + " is not as expected");
  }
  text.remove_prefix(close + 2);
  Stat out;
  out.state = text.front();
  for (int field = 3; field < 22; ++field) {
    const auto blank = text.find(' ');
    if (blank == std::string_view::npos) {
      return fail(Errc::malformed, path + " is not as expected");
    }
    text.remove_prefix(blank + 1);
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out.start_ticks);
  if (error != std::errc{}) {
    return fail(Errc::malformed, path + " is not as expected");
  }
  return out;
}

}  // namespace

Result<ProcessIdentity> identity_of(std::int32_t pid) {
  const auto stat = read_stat(pid);
  if (!stat) {
    return tl::unexpected(stat.error());
  }
  return ProcessIdentity{pid, stat->start_ticks};
}

ProcessIdentity own_identity() {
  const auto self = identity_of(::getpid());
  return self ? *self : ProcessIdentity{::getpid(), 0};
}

bool is_alive(const ProcessIdentity& identity) {
  if (identity.pid <= 0) {
    return false;
  }
  const auto stat = read_stat(identity.pid);
  return stat && stat->start_ticks == identity.start_ticks && stat->state != 'Z' && stat->state != 'X';
}

std::string to_string(const ProcessIdentity& identity) {
  return std::to_string(identity.pid) + ":" + std::to_string(identity.start_ticks);
}

Result<ProcessIdentity> parse_identity(const std::string& text) {
  ProcessIdentity out;
  const char* last = text.data() + text.size();
  const auto [colon, bad_pid] = std::from_chars(text.data(), last, out.pid);
  if (bad_pid == std::errc{} && colon != last && *colon == ':' && out.pid > 0) {
    const auto [end, bad_start] = std::from_chars(colon + 1, last, out.start_ticks);
    if (bad_start == std::errc{} && end == last) {
      return out;
    }
  }
  return fail(Errc::malformed, "'" + text + "' is no process identity (pid:start)");
}

}  // namespace muster

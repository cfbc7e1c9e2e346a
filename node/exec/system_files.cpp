#include "node/exec/system_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace muster::node {

tl::unexpected<Error> file_error(int error, const std::string& path) {
  Errc code = Errc::io;
  if (error == ENOENT || error == ENOTDIR || error == ENODEV || error == ESRCH) {
    code = Errc::not_found;
  } else if (error == EACCES || error == EPERM || error == EROFS) {
    code = Errc::permission;
  }
  return fail(code, path + ": " + std::strerror(error));
}

Result<std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return file_error(errno, path);
  }
  std::string text;
  std::array<char, 8192> chunk;  // filled by read
  while (true) {
    const ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      const int error = errno;
      ::close(fd);
      return file_error(error, path);
    }
    if (n == 0) {
      break;
    }
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  ::close(fd);
  return text;
}

Status write_existing(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return file_error(errno, path);
  }
  const ssize_t n = ::write(fd, text.data(), text.size());
  const int error = errno;
  ::close(fd);
  if (n != static_cast<ssize_t>(text.size())) {
    return file_error(n < 0 ? error : EIO, path);
  }
  return {};
}

std::vector<pid_t> pids_in(std::string_view text) {
  std::vector<pid_t> pids;
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p != end) {
    pid_t pid = 0;
    const auto [after, error] = std::from_chars(p, end, pid);
    if (error != std::errc{}) {
      break;
    }
    if (pid > 0) {
      pids.push_back(pid);
    }
    p = after;
    while (p != end && (*p == ' ' || *p == '\n')) {
      ++p;
    }
  }
  return pids;
}

std::uint64_t first_number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::uint64_t number_after(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ' ') {
      return first_number(line.substr(name.size() + 1));
    }
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return 0;
}

}  // namespace muster::node

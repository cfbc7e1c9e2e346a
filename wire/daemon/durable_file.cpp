#include "wire/daemon/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace muster {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t wrote = ::write(fd, content.data(), content.size());
    if (wrote < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail_errno(errno, "write " + path);
    }
    content.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

}  // namespace

Status write_durably(const std::string& path, std::string_view content, const DurableOptions& options) {
  const std::string beside = path + ".new";
  {
    const Fd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, options.mode));
    if (file.get() < 0) {
      return fail_errno(errno, "open " + beside);
    }
    if (auto wrote = write_all(file.get(), content, beside); !wrote) {
      return wrote;
    }
    if (options.sync && ::fsync(file.get()) != 0) {
      return fail_errno(errno, "fsync " + beside);
    }
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) {
    return fail_errno(errno, "rename " + beside + " to " + path);
  }
  if (options.sync) {
    const std::string folder = folder_of(path);
    const Fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir.get() < 0) {
      return fail_errno(errno, "open " + folder);
    }
    if (::fsync(dir.get()) != 0) {
      return fail_errno(errno, "fsync " + folder);
    }
  }
  return {};
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT) {
      return fail(Errc::not_found, path + " does not exist");
    }
    return fail_errno(errno, "open " + path);
  }
  std::string out;
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return fail_errno(errno, "read " + path);
    }
    if (got == 0) {
      return out;
    }
    out.append(buffer, static_cast<std::size_t>(got));
    if (out.size() > bytes_max) {
      return fail(Errc::out_of_range, path + " has more than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

Status open_to_all(const std::string& path) {
  if (::chmod(path.c_str(), 0666) != 0) {
    return fail_errno(errno, "chmod 0666 " + path);
  }
  const std::string folder = path.substr(0, path.rfind('/'));
  struct stat info {};
  if (::stat(folder.c_str(), &info) == 0 && (info.st_mode & 0001U) == 0) {
    return fail(Errc::permission, "other users can't reach " + path + ": its folder is closed to them; chmod 0755 " + folder);
  }
  return {};
}

Status make_directory(const std::string& path, std::uint32_t mode) {
  if (path.empty()) {
    return fail(Errc::invalid_argument, "a folder needs a name");
  }
  if (::mkdir(path.c_str(), mode) == 0) {
    return {};
  }
  int error = errno;
  if (error == ENOENT && folder_of(path) != path) {
    if (auto parent = make_directory(folder_of(path), mode); !parent) {
      return parent;
    }
    if (::mkdir(path.c_str(), mode) == 0) {
      return {};
    }
    error = errno;
  }
  struct stat info {};
  if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return {};
  }
  return fail_errno(error, "make folder " + path);
}

}  // namespace muster

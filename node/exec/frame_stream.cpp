#include "node/exec/frame_stream.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "node/exec/launcher_codec.hpp"

namespace muster::node {

FrameStream::FrameStream(FrameStream&& other) noexcept { *this = std::move(other); }

FrameStream& FrameStream::operator=(FrameStream&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    out_ = std::move(other.out_);
    out_sent_ = std::exchange(other.out_sent_, 0);
    in_ = std::move(other.in_);
    in_used_ = std::exchange(other.in_used_, 0);
  }
  return *this;
}

void FrameStream::close() {
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
  out_.clear();
  out_sent_ = 0;
  in_.clear();
  in_used_ = 0;
}

Status FrameStream::flush() {
  while (out_sent_ < out_.size()) {
    const ssize_t n = ::send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return {};
      }
      return fail(Errc::unreachable, std::string("launcher socket: ") + std::strerror(errno));
    }
    out_sent_ += static_cast<std::size_t>(n);
  }
  out_.clear();
  out_sent_ = 0;
  return {};
}

Status FrameStream::fill() {
  if (in_used_ > 0) {
    in_.erase(0, in_used_);
    in_used_ = 0;
  }
  constexpr std::size_t kChunk = std::size_t{64} << 10U;
  for (int i = 0; i < 16; ++i) {
    const std::size_t before = in_.size();
    in_.resize(before + kChunk);
    const ssize_t n = ::recv(fd_, in_.data() + before, kChunk, MSG_DONTWAIT);
    in_.resize(before + (n > 0 ? static_cast<std::size_t>(n) : 0));
    if (n == 0) {
      return fail(Errc::unreachable, "launcher socket: closed by the other side");
    }
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return {};
      }
      return fail(Errc::unreachable, std::string("launcher socket: ") + std::strerror(errno));
    }
    if (static_cast<std::size_t>(n) < kChunk) {
      return {};
    }
  }
  return {};
}

Result<std::optional<std::string_view>> FrameStream::next() {
  const std::string_view rest = std::string_view(in_).substr(in_used_);
  if (rest.size() < 4) {
    return std::optional<std::string_view>{};
  }
  const std::size_t length = ByteReader(rest).get<std::uint32_t>();
  if (length == 0 || length > kFrameBytesMax) {
    return fail(Errc::malformed, "launcher socket: a frame of " + std::to_string(length) + " bytes; the limit is " +
                                     std::to_string(kFrameBytesMax));
  }
  if (rest.size() < 4 + length) {
    return std::optional<std::string_view>{};
  }
  in_used_ += 4 + length;
  return std::optional<std::string_view>(rest.substr(4, length));
}

namespace {

constexpr const char* kSocketName = "launcher.sock";

struct Address {
  sockaddr_un name{};
  int directory_fd{-1};  // kept open while the name is in use
};

Result<Address> address_in(const std::string& directory) {
  Address address;
  address.name.sun_family = AF_UNIX;
  std::string path = directory + "/" + kSocketName;
  if (path.size() >= sizeof(address.name.sun_path)) {
    address.directory_fd = ::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (address.directory_fd < 0) {
      return fail_errno(errno, directory);
    }
    path = "/proc/self/fd/" + std::to_string(address.directory_fd) + "/" + kSocketName;
  }
  std::memcpy(address.name.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Result<int> listen_in(const std::string& directory) {
  auto address = address_in(directory);
  if (!address) {
    return tl::unexpected(address.error());
  }
  // Made under another name and renamed: whoever sees the socket can connect.
  const std::string final_name(address->name.sun_path);
  address->name.sun_path[final_name.size() - 1] = '~';
  ::unlink(address->name.sun_path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const mode_t old_mask = ::umask(0077);
  const bool ok = fd >= 0 &&
                  ::bind(fd, reinterpret_cast<const sockaddr*>(&address->name), sizeof(address->name)) == 0 &&
                  ::listen(fd, 8) == 0 && ::rename(address->name.sun_path, final_name.c_str()) == 0;
  const int error = errno;
  ::umask(old_mask);
  if (address->directory_fd >= 0) {
    ::close(address->directory_fd);
  }
  if (!ok) {
    if (fd >= 0) {
      ::close(fd);
    }
    return fail_errno(error, directory + "/" + kSocketName);
  }
  return fd;
}

Result<int> connect_in(const std::string& directory) {
  auto address = address_in(directory);
  if (!address) {
    return tl::unexpected(address.error());
  }
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const bool ok =
      fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address->name), sizeof(address->name)) == 0;
  const int error = errno;
  if (address->directory_fd >= 0) {
    ::close(address->directory_fd);
  }
  if (!ok) {
    if (fd >= 0) {
      ::close(fd);
    }
    const Errc code = error == ENOENT ? Errc::not_found : Errc::unreachable;
    return fail(code, directory + "/" + kSocketName + ": " + std::strerror(error));
  }
  return fd;
}

}  // namespace muster::node

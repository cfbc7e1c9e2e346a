#include "bench/raw/zmtp_stream.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace muster::bench {
namespace {

constexpr std::size_t kGreetingBytes = 64;
constexpr std::size_t kReadBytes = 512U << 10U;
constexpr std::uint8_t kLong = 2;
constexpr std::uint8_t kCommand = 4;

// Signature, version 3.0, mechanism NULL; then the READY command of a DEALER without an identity.
std::vector<std::uint8_t> opening() {
  std::vector<std::uint8_t> out(kGreetingBytes, 0);
  out[0] = 0xff;
  out[8] = 1;
  out[9] = 0x7f;
  out[10] = 3;
  constexpr std::string_view kMechanism = "NULL";
  std::copy(kMechanism.begin(), kMechanism.end(), out.begin() + 12);
  std::string ready = "\x05READY";
  const auto property = [&ready](std::string_view name, std::string_view value) {
    ready += static_cast<char>(name.size());
    ready += name;
    ready += std::string(3, '\0');
    ready += static_cast<char>(value.size());
    ready += value;
  };
  property("Socket-Type", "DEALER");
  property("Identity", "");
  out.push_back(kCommand);
  out.push_back(static_cast<std::uint8_t>(ready.size()));
  out.insert(out.end(), ready.begin(), ready.end());
  return out;
}

}  // namespace

ZmtpStream::~ZmtpStream() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

ZmtpStream::ZmtpStream(ZmtpStream&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      open_(other.open_),
      greeted_(other.greeted_),
      broken_(other.broken_),
      filled_(other.filled_),
      rest_(std::move(other.rest_)),
      out_(std::move(other.out_)),
      sent_(other.sent_) {}

bool ZmtpStream::connect(std::uint16_t port) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) {
    return false;
  }
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
    return false;
  }
  out_ = opening();
  return true;
}

std::uint8_t* ZmtpStream::append(std::size_t bytes) {
  const bool is_long = bytes > 255;
  const std::size_t at = out_.size();
  out_.resize(at + (is_long ? 9 : 2) + bytes);
  std::uint8_t* p = out_.data() + at;
  if (is_long) {
    *p++ = kLong;
    for (int shift = 56; shift >= 0; shift -= 8) {
      *p++ = static_cast<std::uint8_t>(bytes >> static_cast<unsigned>(shift));
    }
  } else {
    *p++ = 0;
    *p++ = static_cast<std::uint8_t>(bytes);
  }
  return p;
}

bool ZmtpStream::flush() {
  while (sent_ < out_.size()) {
    const auto got = ::send(fd_, out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno == EAGAIN || errno == ENOTCONN;
    }
    sent_ += static_cast<std::size_t>(got);
  }
  out_.clear();
  sent_ = 0;
  return true;
}

ZmtpStream::Read ZmtpStream::fill(ReadBuffer& buffer) {
  if (buffer.size() < rest_.size() + kReadBytes) {
    buffer.resize(rest_.size() + kReadBytes);
  }
  std::copy(rest_.begin(), rest_.end(), buffer.begin());
  const auto got = ::recv(fd_, buffer.data() + rest_.size(), buffer.size() - rest_.size(), 0);
  if (got < 0) {
    return errno == EAGAIN || errno == EINTR ? Read::nothing : Read::broken;
  }
  if (got == 0) {
    return Read::closed;
  }
  filled_ = rest_.size() + static_cast<std::size_t>(got);
  return Read::some;
}

bool ZmtpStream::next(const ReadBuffer& buffer, std::size_t at, Head& head) {
  const std::size_t there = filled_ - at;
  if (!greeted_) {
    if (there < kGreetingBytes) {
      return false;
    }
    broken_ = buffer[at] != 0xff || buffer[at + 10] < 3;
    greeted_ = true;
    head = {at + kGreetingBytes, 0, true};
    if (broken_) {
      return false;
    }
    // Not open yet: the greeting stands before READY.
    Head ready;
    const bool more = next(buffer, head.body, ready);
    if (more) {
      head = ready;
    } else {
      greeted_ = false;
    }
    return more;
  }
  if (there < 2) {
    return false;
  }
  const std::uint8_t flags = buffer[at];
  if ((flags & 1U) != 0 || flags > 7) {
    broken_ = true;  // several parts: not ours
    return false;
  }
  head.command = (flags & kCommand) != 0;
  if ((flags & kLong) == 0) {
    head.body = at + 2;
    head.bytes = buffer[at + 1];
  } else {
    if (there < 9) {
      return false;
    }
    head.bytes = 0;
    for (std::size_t i = 1; i < 9; ++i) {
      head.bytes = head.bytes << 8U | buffer[at + i];
    }
    head.body = at + 9;
  }
  return head.body + head.bytes <= filled_;
}

}  // namespace muster::bench

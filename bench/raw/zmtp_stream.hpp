// ZmtpStream: a DEALER's end of one TCP connection, written straight to the socket: ZMTP 3.0, NULL mechanism, frames of
// one part. Owned by one thread.
//
// For load generators: no I/O thread, one descriptor, many frames per system call. The other end sees an
// ordinary DEALER.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace muster::bench {

// Where a stream reads to; shared by all streams of a thread.
using ReadBuffer = std::vector<std::uint8_t>;

class ZmtpStream {
 public:
  ZmtpStream() = default;
  ~ZmtpStream();
  ZmtpStream(ZmtpStream&& other) noexcept;
  ZmtpStream& operator=(ZmtpStream&&) = delete;

  // Starts connecting to 127.0.0.1; false: errno says why.
  [[nodiscard]] bool connect(std::uint16_t port);
  [[nodiscard]] int fd() const { return fd_; }
  // Both ends have said who they are.
  [[nodiscard]] bool is_open() const { return open_; }

  // Room for one frame of `bytes` at the end of the output. Fill it before the next call.
  [[nodiscard]] std::uint8_t* append(std::size_t bytes);
  [[nodiscard]] std::size_t pending() const { return out_.size() - sent_; }
  // Writes what the kernel takes. False: the connection is broken.
  [[nodiscard]] bool flush();

  enum class Read : std::uint8_t { nothing, some, closed, broken };
  // One read of at most what `buffer` has room for; calls `take(bytes)` for each whole frame. The bytes have any alignment and are
  // gone when it returns.
  template <class Take>
  Read read(ReadBuffer& buffer, Take&& take) {
    if (const Read got = fill(buffer); got != Read::some) {
      return got;
    }
    std::size_t at = 0;
    Head head;
    while (next(buffer, at, head)) {
      if (!head.command) {
        take(std::span<const std::uint8_t>(buffer.data() + head.body, head.bytes));
      } else {
        open_ = true;  // READY: the only command of a NULL peer
      }
      at = head.body + head.bytes;
    }
    if (broken_) {
      return Read::broken;
    }
    rest_.assign(buffer.begin() + static_cast<std::ptrdiff_t>(at), buffer.begin() + static_cast<std::ptrdiff_t>(filled_));
    return Read::some;
  }

 private:
  struct Head {
    std::size_t body{};
    std::size_t bytes{};
    bool command{};
  };
  [[nodiscard]] Read fill(ReadBuffer& buffer);
  // The frame that begins at `at`, if all of it is there.
  [[nodiscard]] bool next(const ReadBuffer& buffer, std::size_t at, Head& head);

  int fd_{-1};
  bool open_{};
  bool greeted_{};
  bool broken_{};
  std::size_t filled_{};               // of the shared buffer, by the last fill
  std::vector<std::uint8_t> rest_;     // the beginning of a frame
  std::vector<std::uint8_t> out_;
  std::size_t sent_{};
};

}  // namespace muster::bench

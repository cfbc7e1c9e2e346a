// Message: one received ZeroMQ message part. Owned by the thread that received it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/schema/frame.hpp"

namespace muster {

// Its bytes are a view into libzmq's buffer, of any alignment: copy before reading fields.
class Message {
 public:
  Message();
  ~Message();
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  [[nodiscard]] std::span<const std::uint8_t> bytes() const;
  // An aligned copy; reuses the buffer's memory.
  void copy_to(FrameBytes& buffer) const {
    const auto view = bytes();
    buffer.assign(view.begin(), view.end());
  }
  // For wire/socket only.
  [[nodiscard]] void* handle();

 private:
  alignas(8) std::byte storage_[64];
};

}  // namespace muster

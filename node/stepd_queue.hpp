// StepdQueue: frames on their way to one peer. What the peer does not take in time moves to an unlinked file, so that a reader
// who stops costs memory and ranks nothing. Owned by the daemon's only thread.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "wire/base/result.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

class StepdQueue {
 public:
  explicit StepdQueue(std::string directory) : directory_(std::move(directory)) {}
  StepdQueue(const StepdQueue&) = delete;
  StepdQueue& operator=(const StepdQueue&) = delete;
  ~StepdQueue();

  // Bulk frames are dropped, and counted, when memory and file are full or the file can't be written.
  void push(FrameBytes frame, bool bulk);
  [[nodiscard]] bool empty() const { return items_.empty(); }
  // The next frame, read back if it has to be; nullptr when there is none.
  [[nodiscard]] FrameBytes* front();
  void pop();
  // How much was dropped since the last time.
  [[nodiscard]] std::uint64_t take_dropped_bytes() { return std::exchange(dropped_bytes_, 0); }

 private:
  struct Item {
    FrameBytes frame;        // empty: in the file
    std::uint64_t offset{};
    std::size_t size{};
  };
  std::string directory_;
  std::deque<Item> items_;
  std::size_t memory_bytes_{};
  int file_{-1};
  std::uint64_t file_end_{};
  std::size_t in_file_{};      // items
  std::uint64_t dropped_bytes_{};
};

}  // namespace muster::node

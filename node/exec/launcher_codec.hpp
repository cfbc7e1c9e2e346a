// LauncherCommand, LauncherEvent and LauncherHello as frames on the stream socket between agent and launcher. Pure.
//
// A frame is u32 payload length, then the payload, whose first byte is its FrameKind. A hello may be
// larger than one frame: it travels as hello_begin, any number of hello_tasks, hello_end.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "node/exec/task_codec.hpp"
#include "node/exec/launcher_messages.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

// Payload bytes of one frame; environments may take 2 MB.
inline constexpr std::size_t kFrameBytesMax = std::size_t{16} << 20U;

enum class FrameKind : std::uint8_t { command = 1, event = 2, hello_begin = 3, hello_tasks = 4, hello_end = 5,
                                      environment = 6 };

// Shared environments that a connection's two ends remember, so that each travels once.
inline constexpr std::size_t kEnvironmentsMax = 16;

// Owned by the agent's thread, one for each connection.
class CommandWriter {
 public:
  // Whole frames, length included: the command's, and before it its shared environment's if the launcher has not got
  // that. out_of_range: larger than kFrameBytesMax.
  [[nodiscard]] Result<std::string> frames_of(const LauncherCommand& command);

 private:
  struct Sent { SharedEnvironmentPtr environment; std::uint64_t used{}; };
  std::array<Sent, kEnvironmentsMax> sent_;
  std::uint64_t uses_{};
};

// Owned by the launcher's thread, one for each connection.
class CommandReader {
 public:
  // `payload`: a frame without its length. Nothing for a frame that only brings an environment.
  // malformed: anything that CommandWriter did not write.
  [[nodiscard]] Result<std::optional<LauncherCommand>> add(std::string_view payload);

 private:
  std::array<SharedEnvironmentPtr, kEnvironmentsMax> environments_;
};

// Whole frames, length included.
[[nodiscard]] std::string encode_frame(const LauncherEvent& event);
[[nodiscard]] std::string encode_hello_begin(const LauncherHello& hello);  // all but its tasks
[[nodiscard]] std::string encode_hello_tasks(const std::vector<const RecoveredTask*>& tasks);
[[nodiscard]] std::string encode_hello_end();
// All frames of a hello, one after the other.
[[nodiscard]] std::string encode_hello(const LauncherHello& hello, const std::vector<const RecoveredTask*>& tasks);

// What the agent receives.
using LauncherMessage = std::variant<LauncherHello, LauncherEvent>;

// Owned by the agent's thread. Puts the frames of a hello together again.
class MessageAssembler {
 public:
  // Nothing while a hello is incomplete.
  [[nodiscard]] Result<std::optional<LauncherMessage>> add(std::string_view payload);

 private:
  std::optional<LauncherHello> hello_;
};

}  // namespace muster::node

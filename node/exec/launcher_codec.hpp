// LauncherCommand, LauncherEvent and LauncherHello as frames on the stream socket between agent and launcher. Pure.
//
// A frame is u32 payload length, then the payload, whose first byte is its FrameKind. A hello may be
// larger than one frame: it travels as hello_begin, any number of hello_tasks, hello_end.
#pragma once

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

enum class FrameKind : std::uint8_t { command = 1, event = 2, hello_begin = 3, hello_tasks = 4, hello_end = 5 };

// Whole frames, length included. out_of_range: the command is larger than kFrameBytesMax.
[[nodiscard]] Result<std::string> encode_frame(const LauncherCommand& command);
[[nodiscard]] std::string encode_frame(const LauncherEvent& event);
[[nodiscard]] std::string encode_hello_begin(const LauncherHello& hello);  // all but its tasks
[[nodiscard]] std::string encode_hello_tasks(const std::vector<const RecoveredTask*>& tasks);
[[nodiscard]] std::string encode_hello_end();
// All frames of a hello, one after the other.
[[nodiscard]] std::string encode_hello(const LauncherHello& hello, const std::vector<const RecoveredTask*>& tasks);

// Payloads without the length. malformed: anything that encode did not write.
[[nodiscard]] Result<LauncherCommand> decode_command(std::string_view payload);

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

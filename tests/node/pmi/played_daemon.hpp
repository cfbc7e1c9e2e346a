// The node's side of PlayedNodes, in a process of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/pmi/pmi_server.hpp"

namespace muster::node {

// Between the test and a played daemon, over a stream socket: this header, then `bytes` bytes.
struct PlayedHeader {
  enum class What : std::uint32_t {
    begin,         // a step, as JSON
    end,           // kill its ranks
    finish,        // all its ranks have ended everywhere
    exchange,      // up: data of this node; down: of all
    modex,         // up: a question; down (to the owner's node): serve it
    modex_answer,  // up: served; down: the answer
    connected, finalized, aborted, unsupported, exited, variables, error,
  };
  What what{};
  PmiKind kind{PmiKind::pmix};
  bool ok{true};
  std::uint32_t step{};
  std::uint32_t rank{};
  std::int32_t number{};  // exit code, status, node
  std::uint64_t question{};
  std::uint64_t bytes{};
};

struct PlayedMessage {
  PlayedHeader header;
  std::string data;
};

void send_played(int fd, PlayedHeader header, const std::string& data = {});
[[nodiscard]] std::optional<PlayedMessage> receive_played(int fd);  // nothing at the end

// Never returns. `directory` is the node's own.
[[noreturn]] void play_daemon(int fd, const std::string& node, const std::string& directory, std::uint32_t uid);

}  // namespace muster::node

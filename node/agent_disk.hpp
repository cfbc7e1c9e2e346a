// AgentDisk: what the node agent keeps in its folder besides the launcher's run log.
//   node.state    NodeMemory; replaced whole, fsynced where a power cut must not undo it
//   outputs       which job's output is where, appended; outputs.old the part before. Losing it costs old logs only
// Owned by the agent's thread.
#pragma once

#include <string>
#include <vector>

#include "node/core/node_core.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

class AgentDisk {
 public:
  // The folder exists and is locked by the caller. malformed: node.state is not ours; the text says what to do.
  [[nodiscard]] static Result<AgentDisk> open(const std::string& folder);
  AgentDisk(AgentDisk&& other) noexcept;
  AgentDisk& operator=(AgentDisk&&) = delete;
  ~AgentDisk();

  // As persisted: the incarnation holds a reserve, so that not every life of the link costs an fsync.
  [[nodiscard]] const NodeMemory& memory() const { return persisted_; }
  // Returns when `memory` is on disk. An error must end the daemon.
  [[nodiscard]] Status remember(const NodeMemory& memory);

  [[nodiscard]] std::vector<std::string> load_outputs() const;
  [[nodiscard]] Status append_outputs(const std::vector<std::string>& records);

 private:
  AgentDisk(std::string folder, NodeMemory memory) : folder_(std::move(folder)), persisted_(std::move(memory)) {}
  std::string folder_;
  NodeMemory persisted_;
  int outputs_fd_{-1};
  std::size_t outputs_bytes_{};
};

// "name value" lines.
[[nodiscard]] std::string encode_memory(const NodeMemory& memory);
[[nodiscard]] Result<NodeMemory> decode_memory(std::string_view text);

}  // namespace muster::node

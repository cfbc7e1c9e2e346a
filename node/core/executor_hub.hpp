// ExecutorHub: which link of the job socket speaks for which executor task. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "node/topology/cpu_map.hpp"
#include "wire/base/ids.hpp"

namespace muster::node {

class ExecutorHub {
 public:
  static constexpr std::size_t kHeldMessagesMax = 64;        // per attempt, before its executor says hello
  static constexpr std::size_t kHeldBytesMax = 1U << 20U;    // likewise

  // The executor of `key` is at `link` (a later hello takes the place of an earlier one). Returns what waited for it.
  [[nodiscard]] std::vector<std::string> bind(const CpuKey& key, LinkId link);
  // The task has ended.
  void drop(const CpuKey& key);

  [[nodiscard]] std::optional<CpuKey> task_at(LinkId link) const;
  // Where to send `data` now; nothing when no executor is bound: then it is held (or shed, when too much waits).
  [[nodiscard]] std::optional<LinkId> route(const CpuKey& key, std::string data);
  [[nodiscard]] std::uint64_t shed() const { return shed_; }

 private:
  struct Executor {
    std::optional<LinkId> link;
    std::vector<std::string> held;
    std::size_t held_bytes{};
  };
  std::map<CpuKey, Executor> executors_;
  std::map<LinkId, CpuKey> by_link_;
  std::uint64_t shed_{};
};

}  // namespace muster::node

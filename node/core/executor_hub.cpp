#include "node/core/executor_hub.hpp"

namespace muster::node {

std::vector<std::string> ExecutorHub::bind(const CpuKey& key, LinkId link) {
  if (const auto before = by_link_.find(link); before != by_link_.end() && before->second != key) {
    executors_[before->second].link.reset();
    by_link_.erase(before);
  }
  Executor& executor = executors_[key];
  if (executor.link) {
    by_link_.erase(*executor.link);
  }
  executor.link = link;
  by_link_[link] = key;
  executor.held_bytes = 0;
  return std::move(executor.held);
}

void ExecutorHub::drop(const CpuKey& key) {
  const auto at = executors_.find(key);
  if (at == executors_.end()) {
    return;
  }
  if (at->second.link) {
    by_link_.erase(*at->second.link);
  }
  executors_.erase(at);
}

std::optional<CpuKey> ExecutorHub::task_at(LinkId link) const {
  const auto at = by_link_.find(link);
  return at == by_link_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<LinkId> ExecutorHub::route(const CpuKey& key, std::string data) {
  Executor& executor = executors_[key];
  if (executor.link) {
    return executor.link;
  }
  if (executor.held.size() >= kHeldMessagesMax || executor.held_bytes + data.size() > kHeldBytesMax) {
    ++shed_;
    return std::nullopt;
  }
  executor.held_bytes += data.size();
  executor.held.push_back(std::move(data));
  return std::nullopt;
}

}  // namespace muster::node

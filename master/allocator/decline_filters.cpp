#include "master/allocator/decline_filters.hpp"

namespace muster::master {

void DeclineFilters::add(FrameworkIndex framework, NodeIndex node, Instant until) {
  const auto [at, fresh] = ends_.emplace(key_of(framework, node), until);
  if (!fresh) {
    if (at->second >= until) {
      return;
    }
    by_end_.erase({at->second, framework, node});
    at->second = until;
  }
  by_end_.insert({until, framework, node});
  if (framework.value() >= by_framework_.size()) {
    by_framework_.resize(framework.value() + 1);
  }
  by_framework_[framework.value()].insert(node);
}

bool DeclineFilters::blocks(FrameworkIndex framework, NodeIndex node, Instant now) const {
  if (ends_.empty()) {
    return false;
  }
  const auto at = ends_.find(key_of(framework, node));
  return at != ends_.end() && at->second > now;
}

void DeclineFilters::drop(FrameworkIndex framework, std::vector<NodeIndex>& out) {
  if (framework.value() >= by_framework_.size()) {
    return;
  }
  for (const NodeIndex node : by_framework_[framework.value()]) {
    const auto at = ends_.find(key_of(framework, node));
    by_end_.erase({at->second, framework, node});
    ends_.erase(at);
    out.push_back(node);
  }
  by_framework_[framework.value()].clear();
}

void DeclineFilters::end(Instant now, std::vector<NodeIndex>& out) {
  while (!by_end_.empty() && by_end_.begin()->end <= now) {
    const Ending ending = *by_end_.begin();
    by_end_.erase(by_end_.begin());
    ends_.erase(key_of(ending.framework, ending.node));
    by_framework_[ending.framework.value()].erase(ending.node);
    out.push_back(ending.node);
  }
}

}  // namespace muster::master

#include "master/table/node_table.hpp"

#include <algorithm>

#include "wire/base/check.hpp"

namespace muster::master {

NodeIndex NodeTable::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? kNoNode : at->second;
}

NodeIndex NodeTable::add(std::string_view name) {
  const NodeIndex index{count()};
  check(by_name_.emplace(std::string(name), index).second, "node table: a name is added twice");
  nodes_.emplace_back().name = name;
  return index;
}

void NodeTable::note_change(NodeIndex node) {
  (*this)[node].changed_version = ++version_;
  history_.emplace_back(version_, node);
  // Half of a long history goes at once: who is further behind gets everything.
  if (history_.size() > 1024 + 2 * nodes_.size()) {
    const auto half = static_cast<std::ptrdiff_t>(history_.size() / 2);
    history_from_ = history_[static_cast<std::size_t>(half) - 1].first;
    history_.erase(history_.begin(), history_.begin() + half);
  }
}

bool NodeTable::changes_since(std::uint64_t since, std::vector<NodeIndex>& out) const {
  if (since < history_from_) {
    return false;
  }
  auto at = std::upper_bound(history_.begin(), history_.end(), since,
                             [](std::uint64_t version, const auto& change) { return version < change.first; });
  for (; at != history_.end(); ++at) {
    if ((*this)[at->second].changed_version == at->first) {  // its last change stands for all
      out.push_back(at->second);
    }
  }
  return true;
}

}  // namespace muster::master

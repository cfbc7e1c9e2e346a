#include "master/table/framework_table.hpp"

namespace muster::master {

FrameworkIndex FrameworkTable::find(FrameworkId id) const {
  const auto at = by_id_.find(id);
  return at == by_id_.end() ? kNoFramework : at->second;
}

FrameworkIndex FrameworkTable::find_or_add(FrameworkId id) {
  const auto [at, fresh] = by_id_.emplace(id, FrameworkIndex{count()});
  if (fresh) {
    entries_.emplace_back().id = id;
  }
  return at->second;
}

}  // namespace muster::master

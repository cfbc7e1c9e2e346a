// Drf: what the core tells it. How it decides is in drf_allocate.cpp.
#include "master/allocator/drf.hpp"

#include <algorithm>

namespace muster::master {

Drf::Framework& Drf::at(FrameworkIndex framework) {
  if (framework.value() >= frameworks_.size()) {
    frameworks_.resize(framework.value() + 1);
    if (roles_.empty()) {
      (void)role_named("");
    }
  }
  return frameworks_[framework.value()];
}

const Drf::Framework* Drf::find(FrameworkIndex framework) const {
  return framework.value() < frameworks_.size() ? &frameworks_[framework.value()] : nullptr;
}

Drf::Role& Drf::role_named(std::string_view name) {
  auto found = role_by_name_.find(name);
  if (found == role_by_name_.end()) {
    found = role_by_name_.emplace(std::string(name), static_cast<std::uint32_t>(roles_.size())).first;
    roles_.emplace_back().name = name;
  }
  return roles_[found->second];
}

void Drf::make_dirty(FrameworkIndex framework) {
  Framework& row = at(framework);
  if (row.active && row.left > 0) {
    if (!row.in_running) {
      row.in_running = true;
      running_.push_back(framework);
    }
    if (!row.dirty) {
      row.dirty = true;
      dirty_frameworks_.push_back(framework);
    }
  }
}

void Drf::make_dirty(NodeIndex node) {
  if (node.value() >= node_dirty_.size()) {
    node_dirty_.resize(node.value() + 1, 0);
  }
  if (node_dirty_[node.value()] == 0 && offerable(node)) {
    node_dirty_[node.value()] = 1;
    dirty_nodes_.push_back(node);
  }
}

// Into the class of what is free, or out of all.
void Drf::place_node(NodeIndex node) {
  const Resources& free = ledger_.free(node);
  const bool nothing = !offerable(node) || free.is_zero();
  classes_.put(node, nothing ? NodeClasses::kAbsent : NodeClasses::class_of(free.cpus_milli));
}

void Drf::set_offerable(NodeIndex node, bool value) {
  if (node.value() >= offerable_.size()) {
    offerable_.resize(node.value() + 1, 0);
  }
  const bool was = offerable(node);
  offerable_[node.value()] = value ? 1 : 0;
  place_node(node);
  if (value && !was) {
    make_dirty(node);
    standing_due_ = standing_due_ || standing_frameworks_ > 0;
  }
}

void Drf::node_freed(NodeIndex node) {
  place_node(node);
  make_dirty(node);
  standing_due_ = standing_due_ || standing_frameworks_ > 0;
}

void Drf::node_taken(NodeIndex node) { place_node(node); }

void Drf::set_role(FrameworkIndex framework, std::string_view name) {
  Framework& row = at(framework);
  Role& role = role_named(name);
  const auto index = static_cast<std::uint32_t>(&role - roles_.data());
  roles_[row.role].charged.remove(row.charged);
  role.charged.add(row.charged);
  std::erase(roles_[row.role].members, framework);
  row.role = index;
  role.members.push_back(framework);
}

void Drf::set_active(FrameworkIndex framework, bool active) {
  Framework& row = at(framework);
  if (row.active != active) {
    row.active = active;
    make_dirty(framework);
    standing_due_ = standing_due_ || standing_frameworks_ > 0;
  }
}

void Drf::set_wants(FrameworkIndex framework, std::vector<Want> wants) {
  Framework& row = at(framework);
  ++row.request;
  row.age = ++requests_;
  row.left = 0;
  row.wants.clear();
  // What is open of standing wants stays open and counts for those that take their place.
  standing_frameworks_ -= row.standing.empty() ? 0 : 1;
  row.standing_left = 0;
  row.standing.clear();
  std::uint64_t open = row.standing_open;
  std::uint64_t standing = 0;
  for (Want& want : wants) {
    std::uint64_t count = want.count;
    if (want.standing) {
      count = std::min<std::uint64_t>(count, kStandingPiecesMax - standing);
      want.count = static_cast<std::uint32_t>(count);
      standing += count;
      const std::uint64_t covered = std::min(open, count);
      open -= covered;
      count -= covered;
    }
    (want.standing ? row.standing_left : row.left) += count;
    WantState& state = (want.standing ? row.standing : row.wants).emplace_back();
    state.want = std::move(want);
    state.left = count;
  }
  standing_frameworks_ += row.standing.empty() ? 0 : 1;
  standing_due_ = standing_frameworks_ > 0;
  make_dirty(framework);
}

void Drf::standing_back(Framework& row, const OfferTag& tag) {
  row.standing_open -= tag.pieces;
  standing_open_ -= tag.pieces;
  standing_due_ = standing_due_ || !row.standing.empty();
  if (tag.request == row.request) {
    row.standing[tag.want].left += tag.pieces;
    row.standing_left += tag.pieces;
    return;
  }
  // Of an earlier request: they covered pieces of the present one, in the order of its wants, or were too many.
  std::uint64_t wanted = 0;
  for (const WantState& want : row.standing) {
    wanted += want.want.count;
  }
  const std::uint64_t held = row.standing_open + row.standing_left;
  std::uint64_t back = std::min<std::uint64_t>(tag.pieces, wanted > held ? wanted - held : 0);
  for (WantState& want : row.standing) {
    const std::uint64_t taken = std::min(back, want.want.count - want.left);
    want.left += taken;
    row.standing_left += taken;
    back -= taken;
  }
}

void Drf::pieces_back(FrameworkIndex framework, const OfferTag& tag) {
  Framework& row = at(framework);
  if (tag.standing) {
    standing_back(row, tag);
    return;
  }
  if (tag.request != row.request || tag.want >= row.wants.size()) {
    return;
  }
  row.wants[tag.want].left += tag.pieces;
  row.left += tag.pieces;
  make_dirty(framework);
}

void Drf::charge(FrameworkIndex framework, const Resources& resources) {
  Framework& row = at(framework);
  row.charged.add(resources);
  roles_[row.role].charged.add(resources);
}

void Drf::discharge(FrameworkIndex framework, const Resources& resources) {
  Framework& row = at(framework);
  Role& role = roles_[row.role];
  row.charged.remove(resources);
  role.charged.remove(resources);
  if (role.blocked) {
    role.blocked = false;
    for (const FrameworkIndex member : role.members) {
      make_dirty(member);
    }
  }
}

std::uint32_t Drf::wants_left(FrameworkIndex framework) const {
  const Framework* row = find(framework);
  return row == nullptr ? 0
                        : static_cast<std::uint32_t>(std::count_if(row->wants.begin(), row->wants.end(),
                                                                   [](const WantState& w) { return w.left > 0; }));
}

double Drf::dominant_share(FrameworkIndex framework) const {
  const Framework* row = find(framework);
  return row == nullptr ? 0.0 : row->charged.dominant_share(total_);
}

void Drf::filter(FrameworkIndex framework, NodeIndex node, Instant until) { filters_.add(framework, node, until); }

void Drf::drop_filters(FrameworkIndex framework) {
  nodes_scratch_.clear();
  filters_.drop(framework, nodes_scratch_);
  if (!nodes_scratch_.empty()) {
    make_dirty(framework);
  }
}

void Drf::end_filters(Instant now) {
  nodes_scratch_.clear();
  filters_.end(now, nodes_scratch_);
  for (const NodeIndex node : nodes_scratch_) {
    make_dirty(node);
  }
}

void Drf::set_weight(std::string_view role, double weight) { role_named(role).weight = weight; }

void Drf::set_quota(std::string_view name, const Amounts& limit) {
  Role& role = role_named(name);
  role.quota = limit;
  role.has_quota = limit != Amounts{};
  role.blocked = false;
  for (const FrameworkIndex member : role.members) {
    make_dirty(member);
  }
}

double Drf::weight(FrameworkIndex framework) const {
  const Framework* row = find(framework);
  return row == nullptr ? 1.0 : roles_[row->role].weight;
}

}  // namespace muster::master

// Drf::allocate: first the nodes that have more free, then the requests that are new.
#include <algorithm>

#include "master/allocator/drf.hpp"

namespace muster::master {

Drf::Rank Drf::rank_of(FrameworkIndex index) const {
  const Framework& framework = frameworks_[index.value()];
  const Role& role = roles_[framework.role];
  return {role.charged.dominant_share(total_) / role.weight, framework.charged.dominant_share(total_), framework.age,
          index};
}

void Drf::rank_again(std::vector<Rank>& ranks, FrameworkIndex index) const {
  const Rank now = rank_of(index);
  const std::uint32_t role = frameworks_[index.value()].role;
  for (Rank& rank : ranks) {
    if (rank.framework == index) {
      rank = now;
    } else if (frameworks_[rank.framework.value()].role == role) {
      rank.role_share = now.role_share;
    }
  }
}

bool Drf::poorer(FrameworkIndex a, FrameworkIndex b) const {
  const Framework& x = frameworks_[a.value()];
  const Framework& y = frameworks_[b.value()];
  if (x.role != y.role) {
    const Role& p = roles_[x.role];
    const Role& q = roles_[y.role];
    return p.charged.dominant_share(total_) / p.weight < q.charged.dominant_share(total_) / q.weight;
  }
  return x.charged.dominant_share(total_) < y.charged.dominant_share(total_);
}

bool Drf::poorer_waits(FrameworkIndex holder) const {
  return std::any_of(running_.begin(), running_.end(), [&](FrameworkIndex index) {
    const Framework& framework = frameworks_[index.value()];
    return index != holder && framework.active && framework.left > 0 && poorer(index, holder);
  });
}

std::uint64_t Drf::wanted_by_poorer(FrameworkIndex holder, NodeIndex node, Instant now) {
  std::uint64_t pieces = 0;
  for (const FrameworkIndex index : running_) {
    const Framework& framework = frameworks_[index.value()];
    if (index == holder || !framework.active || framework.left == 0 || !offerable(node) ||
        filters_.blocks(index, node, now) || !poorer(index, holder)) {
      continue;
    }
    for (const WantState& want : framework.wants) {
      const auto& nodes = want.want.nodes;
      const bool here = nodes.empty() || std::find(nodes.begin(), nodes.end(), node) != nodes.end();
      if (want.left > 0 && here && want.want.shape.fits_in(ledger_.books(node).advertised())) {
        pieces += quota_left(framework, want);
      }
    }
  }
  return pieces;
}

void Drf::drop_satisfied() {
  std::erase_if(running_, [this](FrameworkIndex framework) {
    Framework& row = frameworks_[framework.value()];
    row.in_running = row.active && row.left > 0;
    return !row.in_running;
  });
}

// Pieces that the role's quota still allows.
std::uint64_t Drf::quota_left(const Framework& framework, const WantState& want) {
  std::uint64_t pieces = want.left;
  Role& role = roles_[framework.role];
  if (!role.has_quota) {
    return pieces;
  }
  const auto limit = [&pieces](std::uint64_t each, std::uint64_t charged, std::uint64_t most) {
    if (each != 0 && most != 0) {
      pieces = std::min(pieces, charged >= most ? 0 : (most - charged) / each);
    }
  };
  const Resources& shape = want.want.shape;
  limit(shape.cpus_milli, role.charged.cpus_milli, role.quota.cpus_milli);
  limit(shape.memory_bytes, role.charged.memory_bytes, role.quota.memory_bytes);
  limit(shape.disk_bytes, role.charged.disk_bytes, role.quota.disk_bytes);
  limit(shape.gpus, role.charged.gpus, role.quota.gpus);
  if (pieces < want.left) {
    role.blocked = true;  // looked at again when the role's share shrinks
  }
  return pieces;
}

std::uint64_t Drf::pieces_for(const Framework& framework, const WantState& want, NodeIndex node) {
  if (want.left == 0) {
    return 0;
  }
  const std::uint64_t fitting = want.want.shape.multiples_in(ledger_.free(node));
  return fitting == 0 ? 0 : std::min(fitting, quota_left(framework, want));
}

void Drf::make_offer(FrameworkIndex index, WantState& want, NodeIndex node, std::uint64_t pieces, Sink& sink) {
  Framework& framework = frameworks_[index.value()];
  Resources resources = want.want.whole_rest ? ledger_.free(node) : want.want.shape.times(pieces);
  if (const Role& role = roles_[framework.role]; want.want.whole_rest && role.has_quota) {
    // The rest must not carry the role over its quota: then it is cut like any other.
    const auto within = [](std::uint64_t charged, std::uint64_t more, std::uint64_t most) {
      return most == 0 || charged + more <= most;
    };
    if (!within(role.charged.cpus_milli, resources.cpus_milli, role.quota.cpus_milli) ||
        !within(role.charged.memory_bytes, resources.memory_bytes, role.quota.memory_bytes) ||
        !within(role.charged.disk_bytes, resources.disk_bytes, role.quota.disk_bytes) ||
        !within(role.charged.gpus, resources.gpus, role.quota.gpus)) {
      resources = want.want.shape.times(pieces);
    }
  }
  want.left -= pieces;
  const bool standing = want.want.standing;
  (standing ? framework.standing_left : framework.left) -= pieces;
  framework.standing_open += standing ? pieces : 0;
  standing_open_ += standing ? pieces : 0;
  const std::vector<WantState>& all = standing ? framework.standing : framework.wants;
  const OfferTag tag{framework.request, static_cast<std::uint16_t>(&want - all.data()), standing,
                     static_cast<std::uint32_t>(pieces)};
  sink.offer(node, index, std::move(resources), tag);
  place_node(node);
}

bool Drf::offer_node(FrameworkIndex index, NodeIndex node, Instant now, Sink& sink) {
  Framework& framework = frameworks_[index.value()];
  if (!framework.active || framework.left == 0 || filters_.blocks(index, node, now)) {
    return false;
  }
  for (WantState& want : framework.wants) {
    const auto& nodes = want.want.nodes;
    if (!nodes.empty() && std::find(nodes.begin(), nodes.end(), node) == nodes.end()) {
      continue;
    }
    if (const std::uint64_t pieces = pieces_for(framework, want, node); pieces > 0) {
      make_offer(index, want, node, pieces, sink);
      return true;
    }
  }
  return false;
}

void Drf::allocate_nodes(Instant now, Sink& sink) {
  drop_satisfied();
  ranks_.clear();
  for (const FrameworkIndex framework : running_) {
    ranks_.push_back(rank_of(framework));
  }
  // Mostly the first takes what there is, and then all have to be compared anew: they are sorted only if it does not.
  bool sorted = false;
  for (std::size_t i = 0; i < dirty_nodes_.size(); ++i) {
    const NodeIndex node = dirty_nodes_[i];
    node_dirty_[node.value()] = 0;
    if (!offerable(node)) {
      continue;
    }
    while (!ranks_.empty() && !ledger_.free(node).is_zero()) {
      if (!sorted) {
        std::iter_swap(ranks_.begin(), std::min_element(ranks_.begin(), ranks_.end()));
      }
      auto taker = ranks_.begin();
      if (!offer_node(taker->framework, node, now, sink)) {
        if (!sorted) {
          std::sort(std::next(ranks_.begin()), ranks_.end());
          sorted = true;
        }
        do {
          ++taker;
        } while (taker != ranks_.end() && !offer_node(taker->framework, node, now, sink));
        if (taker == ranks_.end()) {
          break;
        }
      }
      const FrameworkIndex framework = taker->framework;
      if (frameworks_[framework.value()].left == 0) {
        ranks_.erase(taker);
      }
      rank_again(ranks_, framework);
      sorted = false;
    }
  }
  drop_satisfied();
  dirty_nodes_.clear();
}

bool Drf::search_want(FrameworkIndex index, WantState& want, Instant now, Sink& sink) {
  Framework& framework = frameworks_[index.value()];
  const auto try_node = [&](NodeIndex node) {
    if (!offerable(node) || filters_.blocks(index, node, now)) {
      return false;
    }
    const std::uint64_t pieces = pieces_for(framework, want, node);
    if (pieces == 0) {
      return false;
    }
    make_offer(index, want, node, pieces, sink);
    return true;
  };
  if (quota_left(framework, want) == 0) {
    return false;
  }
  if (!want.want.nodes.empty()) {
    while (want.search_from < want.want.nodes.size()) {
      if (try_node(want.want.nodes[want.search_from++])) {
        return true;
      }
    }
    return false;
  }
  for (; want.search_class < NodeClasses::kClasses; ++want.search_class, want.search_from = 0) {
    for (std::uint32_t at = classes_.next(want.search_class, want.search_from); at != kNone;
         at = classes_.next(want.search_class, want.search_from)) {
      want.search_from = at + 1;
      if (try_node(NodeIndex{at})) {
        return true;
      }
    }
  }
  return false;
}

void Drf::search_anew(WantState& want) {
  want.search_class = NodeClasses::class_of(want.want.shape.cpus_milli);
  want.search_from = 0;
  want.searched = false;
}

bool Drf::search(FrameworkIndex index, Instant now, Sink& sink) {
  Framework& framework = frameworks_[index.value()];
  for (WantState& want : framework.wants) {
    if (want.left == 0 || want.searched) {
      continue;
    }
    if (search_want(index, want, now, sink)) {
      return true;
    }
    want.searched = true;
  }
  return false;
}

void Drf::allocate_frameworks(Instant now, Sink& sink) {
  for (const FrameworkIndex index : dirty_frameworks_) {
    for (WantState& want : frameworks_[index.value()].wants) {
      search_anew(want);
    }
  }
  ranks_.clear();
  for (const FrameworkIndex framework : dirty_frameworks_) {
    ranks_.push_back(rank_of(framework));
  }
  dirty_frameworks_.clear();
  while (!ranks_.empty()) {
    const auto next = std::min_element(ranks_.begin(), ranks_.end());
    const FrameworkIndex index = next->framework;
    Framework& framework = frameworks_[index.value()];
    if (!framework.active || framework.left == 0 || !search(index, now, sink)) {
      framework.dirty = false;
      ranks_.erase(next);
    } else {
      rank_again(ranks_, index);
    }
  }
}

void Drf::allocate_wants(Instant now, Sink& sink) {
  if (!dirty_nodes_.empty()) {
    allocate_nodes(now, sink);
  }
  if (!dirty_frameworks_.empty()) {
    allocate_frameworks(now, sink);
  }
}

void Drf::allocate(Instant now, Sink& sink) {
  allocate_wants(now, sink);
  if (standing_frameworks_ == 0 && standing_open_ == 0) {
    standing_due_ = false;
    return;
  }
  drop_satisfied();
  if (reclaim_standing(sink)) {
    allocate_wants(now, sink);
    drop_satisfied();
  }
  if (standing_due_ && running_.empty()) {
    allocate_standing(now, sink);
  }
  standing_due_ = false;
}

bool Drf::reclaim_standing(Sink& sink) {
  bool any = false;
  for (std::uint32_t at = 0; at < frameworks_.size() && !running_.empty(); ++at) {
    const FrameworkIndex holder{at};
    if (frameworks_[at].standing_open > 0 && (running_.size() > 1 || running_.front() != holder)) {
      sink.reclaim_standing(holder);
      any = true;
    }
  }
  return any;
}

void Drf::allocate_standing(Instant now, Sink& sink) {
  ranks_.clear();
  for (std::uint32_t at = 0; at < frameworks_.size(); ++at) {
    if (frameworks_[at].active && frameworks_[at].standing_left > 0) {
      ranks_.push_back(rank_of(FrameworkIndex{at}));
    }
  }
  std::sort(ranks_.begin(), ranks_.end());
  for (const Rank& rank : ranks_) {
    for (WantState& want : frameworks_[rank.framework.value()].standing) {
      search_anew(want);
      while (want.left > 0 && search_want(rank.framework, want, now, sink)) {
      }
    }
  }
}

}  // namespace muster::master

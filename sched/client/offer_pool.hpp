// OfferPool: a framework's open offers by node. Pure.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sched/client/framework.hpp"

namespace muster::client {

class OfferPool {
 public:
  // Offers of one node are pooled: a launch may draw on all of them.
  struct NodeOffers {
    Resources total;
    std::vector<Offer> offers;
  };

  // False: an offer of this id is here already, or its ports overlap another of its node (then it is of no use).
  bool add(const Offer& offer);
  // Resolved in any way. Unknown ids are ignored: rescind and accept may cross.
  void remove(const OfferId& id);
  // Takes all offers of a node out, for an accept.
  [[nodiscard]] std::vector<Offer> take(NodeIndex node);
  void remove_node(NodeIndex node);
  void clear();
  // Removes what has ended by `now`; returns how many.
  std::size_t expire(Instant now);
  void extend(const OfferId& id, Instant lease_end);
  [[nodiscard]] Instant next_expiry() const;

  [[nodiscard]] bool empty() const { return nodes_.empty(); }
  [[nodiscard]] std::size_t size() const { return where_.size(); }
  [[nodiscard]] const std::map<NodeIndex, NodeOffers>& nodes() const { return nodes_; }

 private:
  std::map<NodeIndex, NodeOffers> nodes_;
  std::unordered_map<OfferId, NodeIndex> where_;  // looked up, never iterated
  std::set<std::pair<Instant, OfferId>> by_lease_;
};

}  // namespace muster::client

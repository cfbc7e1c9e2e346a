#include "sched/client/offer_pool.hpp"

#include <algorithm>

namespace muster::client {

bool OfferPool::add(const Offer& offer) {
  if (where_.contains(offer.id)) {
    return false;
  }
  NodeOffers& node = nodes_[offer.node];
  if (!node.total.can_add(offer.resources)) {
    return false;
  }
  node.total += offer.resources;
  node.offers.push_back(offer);
  where_.emplace(offer.id, offer.node);
  by_lease_.emplace(offer.lease_end, offer.id);
  return true;
}

void OfferPool::remove(const OfferId& id) {
  const auto where = where_.find(id);
  if (where == where_.end()) {
    return;
  }
  const auto node = nodes_.find(where->second);
  const auto offer = std::find_if(node->second.offers.begin(), node->second.offers.end(),
                                  [&](const Offer& o) { return o.id == id; });
  node->second.total -= offer->resources;
  by_lease_.erase({offer->lease_end, id});
  node->second.offers.erase(offer);
  if (node->second.offers.empty()) {
    nodes_.erase(node);
  }
  where_.erase(where);
}

std::vector<Offer> OfferPool::take(NodeIndex node) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) {
    return {};
  }
  std::vector<Offer> offers = std::move(found->second.offers);
  for (const Offer& offer : offers) {
    where_.erase(offer.id);
    by_lease_.erase({offer.lease_end, offer.id});
  }
  nodes_.erase(found);
  return offers;
}

void OfferPool::remove_node(NodeIndex node) { (void)take(node); }

void OfferPool::clear() {
  nodes_.clear();
  where_.clear();
  by_lease_.clear();
}

std::size_t OfferPool::expire(Instant now) {
  std::size_t removed = 0;
  while (!by_lease_.empty() && by_lease_.begin()->first <= now) {
    const OfferId id = by_lease_.begin()->second;
    remove(id);
    ++removed;
  }
  return removed;
}

void OfferPool::extend(const OfferId& id, Instant lease_end) {
  const auto where = where_.find(id);
  if (where == where_.end()) {
    return;
  }
  for (Offer& offer : nodes_.at(where->second).offers) {
    if (offer.id == id) {
      by_lease_.erase({offer.lease_end, id});
      offer.lease_end = lease_end;
      by_lease_.emplace(lease_end, id);
    }
  }
}

Instant OfferPool::next_expiry() const { return by_lease_.empty() ? Instant::never() : by_lease_.begin()->first; }

}  // namespace muster::client

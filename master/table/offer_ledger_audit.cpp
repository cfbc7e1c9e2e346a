// OfferLedger::audit: everything the ledger keeps twice, recomputed.
#include <algorithm>

#include "master/table/offer_ledger.hpp"

namespace muster::master {
namespace {

tl::unexpected<Error> wrong(std::string text) { return fail(Errc::conflict, "audit: " + std::move(text)); }

}  // namespace

Status OfferLedger::audit(const std::vector<Resources>& used_by_tasks, const std::vector<std::string>& names) const {
  std::vector<Resources> offered(nodes_.size());
  std::vector<std::uint32_t> per_node(nodes_.size(), 0);
  std::vector<std::uint32_t> per_framework(frameworks_.size(), 0);
  std::uint32_t open = 0;
  for (std::uint32_t slot = 0; slot < offers_.places(); ++slot) {
    if (!offers_.used(slot)) {
      continue;
    }
    const Offer& offer = offers_[slot];
    const std::size_t node = offer.node.value();
    if (node >= nodes_.size()) {
      return wrong("offer " + to_string(id_at(slot)) + " is of no node");
    }
    if (!offered[node].can_add(offer.resources)) {
      return wrong("offers of node " + names[node] + " overlap in ports");
    }
    offered[node] += offer.resources;
    ++per_node[node];
    ++per_framework[offer.framework.value()];
    open += offer.state == OfferState::open ? 1 : 0;
    if (offer.state == OfferState::held && !held_.contains({offer.lease_end, slot})) {
      return wrong("held offer " + to_string(id_at(slot)) + " has no lease");
    }
  }
  for (std::size_t node = 0; node < nodes_.size(); ++node) {
    const NodeBooks& books = nodes_[node];
    Resources sum = books.used;
    const bool sums = sum.can_add(books.offered) && (sum += books.offered).can_add(books.free);
    if (!sums || (sum += books.free) != books.capacity()) {
      return wrong("node " + names[node] + ": used [" + to_string(books.used) + "] + offered [" +
                   to_string(books.offered) + "] + free [" + to_string(books.free) + "] is not capacity [" +
                   to_string(books.capacity()) + "]");
    }
    if (books.offered != offered[node]) {
      return wrong("node " + names[node] + ": offers hold [" + to_string(offered[node]) + "], booked are [" +
                   to_string(books.offered) + "]");
    }
    if (books.used != used_by_tasks[node]) {
      return wrong("node " + names[node] + ": tasks hold [" + to_string(used_by_tasks[node]) + "], booked are [" +
                   to_string(books.used) + "]");
    }
    std::vector<OfferId> listed;
    list_node(NodeIndex{static_cast<std::uint32_t>(node)}, listed);
    if (listed.size() != per_node[node] || books.offers != per_node[node]) {
      return wrong("node " + names[node] + ": its list of offers is not complete");
    }
  }
  for (std::size_t framework = 0; framework < frameworks_.size(); ++framework) {
    std::vector<OfferId> listed;
    list_framework(FrameworkIndex{static_cast<std::uint32_t>(framework)}, listed);
    if (listed.size() != per_framework[framework] || frameworks_[framework].count != per_framework[framework]) {
      return wrong("framework place " + std::to_string(framework) + ": its list of offers is not complete");
    }
  }
  std::uint32_t leased = 0;
  Instant last;
  for (std::uint32_t slot = lease_head_; slot != kNone; slot = offers_[slot].lease_next) {
    if (!offers_.used(slot) || offers_[slot].state != OfferState::open || offers_[slot].lease_end < last) {
      return wrong("leases are out of order at offer " + to_string(id_at(slot)));
    }
    last = offers_[slot].lease_end;
    ++leased;
  }
  if (leased != open || leased + held_.size() != offers_.count()) {
    return wrong("an offer has no lease, or a lease no offer");
  }
  return {};
}

}  // namespace muster::master

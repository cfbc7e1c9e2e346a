// Offers: made by the allocator's word, and ended exactly once each.
#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::offer(NodeIndex node, FrameworkIndex index, Resources resources, OfferTag tag) {
  ++probe.offers_made;
  const OfferId id =
      ledger.open(node, index, std::move(resources), tag, last_now.mono + config.lease);
  const Resources& lent = ledger.find(id)->resources;
  frameworks[index].offered.add(lent);
  allocator.charge(index, lent);
  framework_out[index.value()].offers.push_back(id);
  mark_dirty(index);
  offer_marks.mark(id.slot);
  node_marks.mark(node.value());
  framework_marks.mark(index.value());
}

void MasterCore::Impl::reclaim_standing(FrameworkIndex framework) {
  std::vector<OfferId> open;
  ledger.list_framework(framework, open);
  for (const OfferId id : open) {
    if (const Offer& offer = *ledger.find(id); offer.tag.standing && offer.state == OfferState::open) {
      rescind(id, fb::RescindReason::Reclaimed);
    }
  }
}

// REQUIRES: it is open.
void MasterCore::Impl::close_offer(OfferId id, OfferEnd end) {
  const Offer& row = *ledger.find(id);
  const NodeIndex node = row.node;
  const FrameworkIndex framework = row.framework;
  const OfferTag tag = row.tag;
  frameworks[framework].offered.remove(row.resources);
  allocator.discharge(framework, row.resources);
  ledger.close(id);
  switch (end) {
    case OfferEnd::accepted: ++probe.offers_accepted; break;
    case OfferEnd::declined: ++probe.offers_declined; break;
    case OfferEnd::expired: ++probe.offers_expired; break;
    case OfferEnd::rescinded: ++probe.offers_rescinded; break;
  }
  if (end != OfferEnd::accepted || tag.standing) {
    allocator.pieces_back(framework, tag);
  }
  allocator.node_freed(node);
  offer_marks.mark(id.slot);
  node_marks.mark(node.value());
  framework_marks.mark(framework.value());
}

void MasterCore::Impl::rescind(OfferId id, fb::RescindReason reason) {
  const FrameworkIndex framework = ledger.find(id)->framework;
  close_offer(id, reason == fb::RescindReason::LeaseEnded ? OfferEnd::expired : OfferEnd::rescinded);
  if (frameworks[framework].connected() && reason != fb::RescindReason::Resubscribed) {
    framework_out[framework.value()].rescinds.emplace_back(id, reason);
    mark_dirty(framework);
  }
}

void MasterCore::Impl::rescind_node(NodeIndex node, fb::RescindReason reason) {
  std::vector<OfferId> open;
  ledger.list_node(node, open);
  for (const OfferId id : open) {
    rescind(id, reason);
  }
}

void MasterCore::Impl::rescind_framework(FrameworkIndex framework, fb::RescindReason reason) {
  std::vector<OfferId> open;
  ledger.list_framework(framework, open);
  for (const OfferId id : open) {
    rescind(id, reason);
  }
}

void MasterCore::Impl::expire_leases(Now now) {
  if (ledger.next_lease_end() > now.mono) {
    return;
  }
  std::vector<OfferId> over;
  ledger.list_expired(now.mono, over);
  for (const OfferId id : over) {
    if (defect(&MasterDefects::forget_lease_expiry_release)) {
      framework_out[ledger.find(id)->framework.value()].rescinds.emplace_back(id, fb::RescindReason::LeaseEnded);
      mark_dirty(ledger.find(id)->framework);
      ledger.corrupt_forget(id);
      continue;
    }
    rescind(id, fb::RescindReason::LeaseEnded);
  }
}

void MasterCore::Impl::on_decline(Link& link, const fb::Decline& message, Now now) {
  if (message.offers() == nullptr) {
    return;
  }
  for (const fb::OfferRef* ref : *message.offers()) {
    const OfferId id = from_fb(*ref);
    const Offer* open = ledger.find(id);
    if (open == nullptr || open->framework != link.framework) {
      continue;  // it ended on its way
    }
    if (message.filter_ms() != 0) {
      allocator.filter(link.framework, open->node, now.mono + Duration::from_ms(message.filter_ms()));
    }
    close_offer(id, OfferEnd::declined);
  }
}

void MasterCore::Impl::on_hold(Link& link, const fb::Frame& frame, const fb::Hold& message, Now now) {
  if (message.offers() == nullptr) {
    return;
  }
  const Duration asked = Duration::from_ms(message.lease_ms());
  const Instant lease_end = now.mono + std::min(asked, config.hold_lease_max);
  std::string gone;
  for (const fb::OfferRef* ref : *message.offers()) {
    const OfferId id = from_fb(*ref);
    const Offer* open = ledger.find(id);
    if (open == nullptr || open->framework != link.framework) {
      gone += (gone.empty() ? "" : ", ") + to_string(id);
      continue;
    }
    ++probe.offers_held;
    ledger.hold(id, std::max(open->lease_end, lease_end));
    offer_marks.mark(id.slot);
  }
  if (!gone.empty()) {
    refuse_in_life(link, frame, fb::RefusedCode::OfferGone, "offers " + gone,
                   "these offers have ended; hold those that are open");
  }
}

}  // namespace muster::master

#include "master/table/offer_ledger.hpp"

#include <algorithm>

namespace muster::master {
namespace {

// The smallest vector that both fit in.
Resources join(const Resources& a, const Resources& b) {
  Resources out = a;
  out.cpus_milli = std::max(a.cpus_milli, b.cpus_milli);
  out.gpus = std::max(a.gpus, b.gpus);
  out.memory_bytes = std::max(a.memory_bytes, b.memory_bytes);
  out.disk_bytes = std::max(a.disk_bytes, b.disk_bytes);
  if (!b.ports.empty()) {
    out.ports.add(b.ports);
  }
  for (const NamedCount& count : b.counts) {
    out.set_count(count.name, std::max(out.count_of(count.name), count.count));
  }
  return out;
}

}  // namespace

void OfferLedger::add_node() {
  static const auto nothing = std::make_shared<const Resources>();
  nodes_.emplace_back().stated = nothing;
}

void OfferLedger::settle_capacity(NodeBooks& books) {
  Resources taken = books.used;
  taken += books.offered;
  books.grown.reset();
  if (!taken.fits_in(books.advertised())) {
    books.grown = std::make_unique<const Resources>(join(books.advertised(), taken));
  }
  books.free = books.capacity();
  books.free -= taken;
}

void OfferLedger::set_capacity(NodeIndex node, const Resources& advertised) {
  NodeBooks& books = nodes_[node.value()];
  check(books.offers == 0, "ledger: capacity changes under open offers");
  if (*recent_stated_ != advertised) {
    recent_stated_ = std::make_shared<const Resources>(advertised);
  }
  books.stated = recent_stated_;
  settle_capacity(books);
}

void OfferLedger::charge(NodeIndex node, const Resources& shape, std::uint32_t tasks) {
  NodeBooks& books = nodes_[node.value()];
  books.free -= shape;
  books.used += shape;
  books.tasks += tasks;
}

bool OfferLedger::charge_running(NodeIndex node, const Resources& shape) {
  NodeBooks& books = nodes_[node.value()];
  if (shape.fits_in(books.free)) {
    charge(node, shape);
    return true;
  }
  Resources used = books.used;
  if (!used.can_add(shape)) {
    return false;
  }
  used += shape;
  if (!used.can_add(books.offered)) {
    return false;
  }
  books.used = std::move(used);
  ++books.tasks;
  settle_capacity(books);
  return true;
}

void OfferLedger::release(NodeIndex node, const Resources& shape, std::uint32_t tasks) {
  NodeBooks& books = nodes_[node.value()];
  check(books.tasks >= tasks, "ledger: more tasks end than were booked");
  books.tasks -= tasks;
  books.used -= shape;
  if (!books.grown) {
    books.free += shape;
  } else {
    settle_capacity(books);
  }
}

OfferId OfferLedger::open(NodeIndex node, FrameworkIndex framework, Resources resources, OfferTag tag,
                          Instant lease_end) {
  NodeBooks& books = nodes_[node.value()];
  books.free -= resources;
  books.offered += resources;
  const std::uint32_t slot = offers_.add();
  Offer& offer = offers_[slot];
  offer.node = node;
  offer.framework = framework;
  offer.tag = tag;
  offer.resources = std::move(resources);
  offer.lease_end = lease_end;
  link(slot);
  lease_link(slot);
  return id_at(slot);
}

const Offer* OfferLedger::find(OfferId id) const {
  return offers_.holds(id.slot, id.generation) ? &offers_[id.slot] : nullptr;
}

void OfferLedger::hold(OfferId id, Instant lease_end) {
  Offer& offer = offers_[id.slot];
  if (offer.state == OfferState::open) {
    lease_unlink(id.slot);
  } else {
    held_.erase({offer.lease_end, id.slot});
  }
  offer.state = OfferState::held;
  offer.lease_end = lease_end;
  held_.insert({lease_end, id.slot});
}

void OfferLedger::close(OfferId id) {
  check(find(id) != nullptr, "ledger: an offer ends twice");
  Offer& offer = offers_[id.slot];
  NodeBooks& books = nodes_[offer.node.value()];
  books.offered -= offer.resources;
  if (!books.grown) {
    books.free += offer.resources;
  } else {
    settle_capacity(books);
  }
  if (offer.state == OfferState::open) {
    lease_unlink(id.slot);
  } else {
    held_.erase({offer.lease_end, id.slot});
  }
  unlink(id.slot);
  offers_.remove(id.slot);
}

OfferLedger::FrameworkOffers OfferLedger::of(FrameworkIndex framework) const {
  return framework.value() < frameworks_.size() ? frameworks_[framework.value()] : FrameworkOffers{};
}

void OfferLedger::list_node(NodeIndex node, std::vector<OfferId>& out) const {
  for (std::uint32_t slot = nodes_[node.value()].offer_head; slot != kNone; slot = offers_[slot].node_next) {
    out.push_back(id_at(slot));
  }
}

void OfferLedger::list_framework(FrameworkIndex framework, std::vector<OfferId>& out) const {
  for (std::uint32_t slot = of(framework).head; slot != kNone; slot = offers_[slot].framework_next) {
    out.push_back(id_at(slot));
  }
}

Instant OfferLedger::next_lease_end() const {
  const Instant open = lease_head_ == kNone ? Instant::never() : offers_[lease_head_].lease_end;
  const Instant held = held_.empty() ? Instant::never() : held_.begin()->first;
  return std::min(open, held);
}

void OfferLedger::list_expired(Instant now, std::vector<OfferId>& out) const {
  std::uint32_t slot = lease_head_;
  auto held = held_.begin();
  while (true) {
    const bool open_over = slot != kNone && offers_[slot].lease_end <= now;
    const bool held_over = held != held_.end() && held->first <= now;
    if (!open_over && !held_over) {
      return;
    }
    if (open_over && (!held_over || offers_[slot].lease_end <= held->first)) {
      out.push_back(id_at(slot));
      slot = offers_[slot].lease_next;
    } else {
      out.push_back(id_at(held->second));
      ++held;
    }
  }
}

void OfferLedger::link(std::uint32_t slot) {
  Offer& offer = offers_[slot];
  NodeBooks& books = nodes_[offer.node.value()];
  offer.node_prev = books.offer_tail;
  (books.offer_tail == kNone ? books.offer_head : offers_[books.offer_tail].node_next) = slot;
  books.offer_tail = slot;
  ++books.offers;

  if (offer.framework.value() >= frameworks_.size()) {
    frameworks_.resize(offer.framework.value() + 1);
  }
  FrameworkOffers& mine = frameworks_[offer.framework.value()];
  offer.framework_prev = mine.tail;
  (mine.tail == kNone ? mine.head : offers_[mine.tail].framework_next) = slot;
  mine.tail = slot;
  ++mine.count;
}

void OfferLedger::unlink(std::uint32_t slot) {
  Offer& offer = offers_[slot];
  NodeBooks& books = nodes_[offer.node.value()];
  (offer.node_prev == kNone ? books.offer_head : offers_[offer.node_prev].node_next) = offer.node_next;
  (offer.node_next == kNone ? books.offer_tail : offers_[offer.node_next].node_prev) = offer.node_prev;
  --books.offers;
  FrameworkOffers& mine = frameworks_[offer.framework.value()];
  (offer.framework_prev == kNone ? mine.head : offers_[offer.framework_prev].framework_next) = offer.framework_next;
  (offer.framework_next == kNone ? mine.tail : offers_[offer.framework_next].framework_prev) = offer.framework_prev;
  --mine.count;
}

// Leases are alike, so a new one nearly always ends last.
void OfferLedger::lease_link(std::uint32_t slot) {
  Offer& offer = offers_[slot];
  std::uint32_t before = lease_tail_;
  while (before != kNone && offers_[before].lease_end > offer.lease_end) {
    before = offers_[before].lease_prev;
  }
  offer.lease_prev = before;
  offer.lease_next = before == kNone ? lease_head_ : offers_[before].lease_next;
  (before == kNone ? lease_head_ : offers_[before].lease_next) = slot;
  (offer.lease_next == kNone ? lease_tail_ : offers_[offer.lease_next].lease_prev) = slot;
}

void OfferLedger::lease_unlink(std::uint32_t slot) {
  Offer& offer = offers_[slot];
  (offer.lease_prev == kNone ? lease_head_ : offers_[offer.lease_prev].lease_next) = offer.lease_next;
  (offer.lease_next == kNone ? lease_tail_ : offers_[offer.lease_next].lease_prev) = offer.lease_prev;
  offer.lease_prev = offer.lease_next = kNone;
}

void OfferLedger::corrupt_free(NodeIndex node, const Resources& more) {
  if (nodes_[node.value()].free.can_add(more)) {
    nodes_[node.value()].free += more;
  }
}

void OfferLedger::corrupt_forget(OfferId id) {
  Offer& offer = offers_[id.slot];
  if (offer.state == OfferState::open) {
    lease_unlink(id.slot);
  } else {
    held_.erase({offer.lease_end, id.slot});
  }
  unlink(id.slot);
  offers_.remove(id.slot);
}

void OfferLedger::corrupt_charge(NodeIndex node, const Resources& shape) {
  NodeBooks& books = nodes_[node.value()];
  if (books.used.can_add(shape)) {
    books.used += shape;
    ++books.tasks;
  }
}

}  // namespace muster::master

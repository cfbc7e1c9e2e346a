// Holding nodes for the first job that does not fit, once the policy says so: the nodes it will run on are chosen by
// their capacity, what comes free there is held for it, and later jobs use the other nodes.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr Duration kHoldLease = Duration::from_seconds(60);
constexpr Duration kHoldRenew = Duration::from_seconds(5);

}  // namespace

void GangCore::Impl::update_reservation(const Job* first_waiting, Now now) {
  if (reservation && (first_waiting == nullptr || first_waiting->id != reservation->job)) {
    // It has started, or waits no longer, or an earlier one waits now.
    reservation.reset();
  }
  if (reservation || first_waiting == nullptr || !policy->holds(first_waiting->facts())) {
    return;
  }
  std::vector<Room> rooms;
  for (const Room& capacity : capacities) {
    if (usable(capacity.node)) {
      rooms.push_back(capacity);
    }
  }
  // Nodes where much is offered already come first.
  const auto offered = [&](NodeIndex node) {
    const auto open = pool.nodes().find(node);
    return open == pool.nodes().end() ? 0U : open->second.total.cpus_milli;
  };
  std::stable_sort(rooms.begin(), rooms.end(),
                   [&](const Room& a, const Room& b) { return offered(a.node) > offered(b.node); });
  const auto pieces = match(first_waiting->shape, memory_per_cpu, rooms);
  if (!pieces) {
    return;  // not even with all of it free: other nodes may come back
  }
  Reservation made;
  made.job = first_waiting->id;
  made.renew_at = now.mono;
  for (const Piece& piece : *pieces) {
    made.needs.emplace(rooms[piece.room].node, first_waiting->shape.need_on(rooms[piece.room].left, piece.ranks, memory_per_cpu));
  }
  reservation = std::move(made);
  wants_due = true;
  hold_reserved(now);
}

void GangCore::Impl::hold_reserved(Now now) {
  if (!reservation || reservation->renew_at > now.mono || !link.connected()) {
    return;
  }
  reservation->renew_at = now.mono + kHoldRenew;
  std::vector<OfferId> ids;
  for (const auto& [node, need] : reservation->needs) {
    if (const auto open = pool.nodes().find(node); open != pool.nodes().end()) {
      for (const client::Offer& offer : open->second.offers) {
        ids.push_back(offer.id);
      }
    }
  }
  for (const OfferId& id : ids) {
    pool.extend(id, now.mono + kHoldLease);
  }
  link.hold(ids, ClaimId(reservation->job.value()), kHoldLease);
}

}  // namespace muster::gang

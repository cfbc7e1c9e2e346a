#include "tests/sim/offers_seen.hpp"

#include "wire/schema/offer_flags.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::sim {

void OffersSeen::on_offers(std::uint32_t client, const fb::Offers& offers) {
  if (offers.offers() == nullptr) {
    return;
  }
  for (const fb::OfferEntry* entry : *offers.offers()) {
    const OfferId id{entry->slot(), entry->generation()};
    if (offers_.contains(id)) {
      violated("offer made twice", "offer " + muster::to_string(id));
    }
    auto shape = from_fb(*offers.shapes()->Get(entry->shape()));
    if (!shape) {
      violated("malformed offer", "offer " + muster::to_string(id) + ": " + shape.error().text);
    }
    if (shape->is_zero()) {
      violated("empty offer", "offer " + muster::to_string(id) + " holds nothing");
    }
    offers_[id] = {.client = client, .node = entry->node(), .resources = *shape, .standing = (entry->flags() & kStandingOffer) != 0};
  }
}

std::uint64_t OffersSeen::standing_cpus_milli() const {
  std::uint64_t sum = 0;
  for (const auto& [id, offer] : offers_) {
    sum += offer.standing && offer.state == State::open ? offer.resources.cpus_milli : 0;
  }
  return sum;
}

void OffersSeen::on_rescind(std::uint32_t client, const fb::Rescind& rescind) {
  if (rescind.offers() == nullptr) {
    return;
  }
  for (const fb::OfferRef* ref : *rescind.offers()) {
    const OfferId id = from_fb(*ref);
    const auto it = offers_.find(id);
    if (it == offers_.end()) {
      violated("offer resolved twice", "offer " + muster::to_string(id) + " is rescinded and was never made");
    }
    if (it->second.client != client) {
      violated("offer resolved twice", "offer " + muster::to_string(id) + " is rescinded to another framework");
    }
    if (it->second.state == State::accepted || it->second.state == State::rescinded) {
      violated("offer resolved twice", "offer " + muster::to_string(id) + " is rescinded after it was " +
                                           (it->second.state == State::accepted ? "accepted" : "rescinded"));
    }
    it->second.state = State::rescinded;
  }
}

void OffersSeen::on_subscribed(std::uint32_t client) {
  for (auto& [id, offer] : offers_) {
    if (offer.client == client && offer.state == State::open) {
      offer.state = State::dropped;
    }
  }
}

void OffersSeen::on_accept_delivered(std::uint32_t client, FrameworkId framework, const fb::Accept& accept) {
  Accept& kept = accepts_[{client, accept.accept()}];
  kept = {};
  if (accept.offers() != nullptr) {
    for (const fb::OfferRef* ref : *accept.offers()) {
      kept.offers.push_back(from_fb(*ref));
    }
  }
  if (accept.launches() != nullptr) {
    for (const fb::LaunchEntry* launch : *accept.launches()) {
      Resources shape;
      if (accept.shapes() != nullptr && launch->shape() < accept.shapes()->size()) {
        if (auto read = from_fb(*accept.shapes()->Get(launch->shape()))) {
          shape = *read;
        }
      }
      kept.launches.push_back({{framework, from_fb(launch->attempt())}, launch->node(), shape, launch->after() != 0});
    }
  }
}

void OffersSeen::on_decline_delivered(std::uint32_t client, const fb::Decline& decline) {
  if (decline.offers() == nullptr) {
    return;
  }
  for (const fb::OfferRef* ref : *decline.offers()) {
    const auto it = offers_.find(from_fb(*ref));
    if (it != offers_.end() && it->second.client == client && it->second.state == State::open) {
      it->second.state = State::declined;
    }
  }
}

void OffersSeen::on_accepted(std::uint32_t client, const fb::Accepted& accepted) {
  const auto it = accepts_.find({client, accepted.accept()});
  const std::string name = "accept " + std::to_string(accepted.accept()) + " of client " + std::to_string(client);
  if (it == accepts_.end()) {
    violated("answer to nothing", name + " is answered and was never received");
  }
  if (accepted.code() != fb::RefusedCode::None) {
    return;
  }
  const Accept& accept = it->second;
  bool all_known = true;
  std::set<TaskKey> named;
  for (const Launch& launch : accept.launches) {
    all_known = all_known && taken_.contains(launch.key);
    if (!named.insert(launch.key).second) {
      violated("accept of a duplicate", name + " names " + to_string(launch.key) + " twice and is taken");
    }
  }
  if (all_known && !accept.launches.empty()) {
    return;  // the original answer again
  }
  std::map<std::uint32_t, Resources> room;
  for (const OfferId& id : accept.offers) {
    const auto offer = offers_.find(id);
    if (offer == offers_.end() || offer->second.client != client) {
      violated("accept of a gone offer", name + " names offer " + muster::to_string(id) + ", which is not its own, and is taken");
    }
    if (offer->second.state != State::open && offer->second.state != State::declined) {
      violated("accept of a gone offer", name + " names offer " + muster::to_string(id) + ", which was " +
                                             (offer->second.state == State::accepted ? "accepted" : "rescinded") +
                                             " before, and is taken");
    }
    offer->second.state = State::accepted;
    Resources& pool = room[offer->second.node];
    if (!pool.can_add(offer->second.resources)) {
      violated("offers overlap", name + ": its offers of one node overlap");
    }
    pool += offer->second.resources;
  }
  for (const Launch& launch : accept.launches) {
    if (launch.in_line) {
      continue;
    }
    Resources& pool = room[launch.node];
    if (!launch.shape.fits_in(pool)) {
      violated("accept beyond its offers", name + " is taken, and " + to_string(launch.key) + " does not fit: " +
                                               launch.shape.shortfall(pool));
    }
    pool -= launch.shape;
    taken_.insert(launch.key);
  }
}

}  // namespace muster::sim

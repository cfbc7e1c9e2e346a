// What comes from the master: the link's rules first (docs/protocol.md, Links), then a callback per message.
#include "sched/client/master_link_impl.hpp"
#include "wire/schema/offer_flags.hpp"

namespace muster::client {
namespace {

constexpr Duration kReopenWait = Duration::from_ms(50);
// A master that has been succeeded may need a while to be replaced.
constexpr Duration kSucceededWait = Duration::from_ms(1000);

// A peer's vector of structs or tables that may be absent.
template <class V>
[[nodiscard]] std::size_t size_of(const V* v) {
  return v == nullptr ? 0 : v->size();
}

}  // namespace

void MasterLink::Impl::receive(const fb::Frame& frame, Now now) {
  if (phase == Phase::down || phase == Phase::waiting) {
    return;
  }
  const auto* refused = frame.body_as_Refused();
  if (Epoch(frame.epoch()) < epoch) {
    // A master of the past. Never answer a refusal with a refusal.
    if (refused == nullptr) {
      answers.push_back(refused_frame(
          FrameHead{epoch, Incarnation(frame.incarnation()), 0, 0},
          Refusal{fb::RefusedCode::StaleEpoch, 0, frame.sequence(), "epoch " + std::to_string(frame.epoch()),
                  "epoch " + std::to_string(epoch.value()) + " has begun: this master has been succeeded"}));
    } else if (frame.incarnation() == link.incarnation().value() && phase == Phase::opening) {
      give_up(kSucceededWait, now);
    }
    return;
  }
  if (refused != nullptr && receive_link_refusal(frame, *refused, now)) {
    return;
  }
  if (Epoch(frame.epoch()) > epoch && frame.body_type() != fb::Body::Subscribed) {
    return;  // a new term is believed only from a Subscribed on our own life
  }
  switch (link.take(frame)) {
    case LinkState::Verdict::other_incarnation:
    case LinkState::Verdict::duplicate:
      return;
    case LinkState::Verdict::gap:
      give_up(kReopenWait, now);
      return;
    case LinkState::Verdict::deliver:
      heard_at = now.mono;
      deliver(frame, now);
      return;
  }
}

// Refusals that end this life. They stand outside its sequence, so they are judged by incarnation and code.
bool MasterLink::Impl::receive_link_refusal(const fb::Frame& frame, const fb::Refused& refused, Now now) {
  using enum fb::RefusedCode;
  const fb::RefusedCode code = refused.code();
  const bool ends_life =
      code == Gap || code == NotRegistered || code == StaleIncarnation || code == StaleEpoch || code == NotActive;
  const bool outside = frame.sequence() == 0;
  if (frame.incarnation() != link.incarnation().value() || (!ends_life && !outside)) {
    return false;
  }
  if (!ends_life) {
    framework.on_refused(refused, now);
    if (phase == Phase::opening) {
      give_up(config.subscribe_retry, now);  // the Subscribe itself was refused
    }
    return true;
  }
  if (outside || link.take(frame) != LinkState::Verdict::duplicate) {
    if (code == StaleIncarnation) {
      // Somebody used larger ones for this framework: jump, do not crawl.
      next_incarnation = Incarnation(next_incarnation.value() + (std::uint64_t{1} << 20U));
    }
    give_up(code == StaleEpoch || code == NotActive ? kSucceededWait : kReopenWait, now);
  }
  return true;
}

void MasterLink::Impl::deliver(const fb::Frame& frame, Now now) {
  if (frame.body_type() == fb::Body::Subscribed) {
    on_subscribed(frame, now);
    return;
  }
  if (phase != Phase::open) {
    return;  // nothing precedes Subscribed
  }
  switch (frame.body_type()) {
    case fb::Body::Inventory: on_inventory(*frame.body_as_Inventory(), now); break;
    case fb::Body::Offers: on_offers(*frame.body_as_Offers(), now); break;
    case fb::Body::Rescind: on_rescind(*frame.body_as_Rescind(), now); break;
    case fb::Body::Accepted: on_accepted(*frame.body_as_Accepted(), now); break;
    case fb::Body::Update: on_update(*frame.body_as_Update(), now); break;
    case fb::Body::NodeLost: on_node_lost(*frame.body_as_NodeLost(), now); break;
    case fb::Body::Refused: framework.on_refused(*frame.body_as_Refused(), now); break;
    case fb::Body::Message: {
      const fb::Message& message = *frame.body_as_Message();
      if (message.attempt() != nullptr && message.data() != nullptr) {
        framework.on_message(from_fb(*message.attempt()), NodeIndex(message.node()),
                             {message.data()->data(), message.data()->size()}, now);
      }
      break;
    }
    default: break;  // Heartbeat; and what a framework is never sent
  }
}

void MasterLink::Impl::on_subscribed(const fb::Frame& frame, Now now) {
  if (phase != Phase::opening) {
    return;
  }
  if (Epoch(frame.epoch()) > epoch) {
    epoch = Epoch(frame.epoch());
    nodes.clear();  // indexes belong to an epoch
    by_name.clear();
  }
  full_inventory_coming = false;
  phase = Phase::open;
  framework.on_registered(epoch, now);
}

void MasterLink::Impl::on_inventory(const fb::Inventory& inventory, Now now) {
  if (inventory.full() && !full_inventory_coming) {
    nodes.clear();
    by_name.clear();
  }
  full_inventory_coming = inventory.full() && inventory.more();
  std::vector<NodeInfo> changed;
  changed.reserve(size_of(inventory.nodes()));
  for (std::size_t i = 0; i < size_of(inventory.nodes()); ++i) {
    const fb::InventoryNode& entry = *inventory.nodes()->Get(static_cast<flatbuffers::uoffset_t>(i));
    NodeInfo info;
    info.index = NodeIndex(entry.node());
    info.name = text_of(entry.name());
    info.state = entry.state();
    if (entry.capacity() != nullptr) {
      if (auto capacity = from_fb(*entry.capacity())) {
        info.capacity = *std::move(capacity);
      }
    }
    if (entry.attributes() != nullptr) {
      for (const auto* attribute : *entry.attributes()) {
        info.attributes.emplace_back(text_of(attribute));
      }
    }
    info.switch_name = text_of(entry.switch_name());
    info.endpoint = text_of(entry.endpoint());
    info.drain_reason = text_of(entry.drain_reason());
    info.boot = entry.boot();
    by_name[info.name] = info.index;
    nodes[info.index] = info;
    changed.push_back(std::move(info));
  }
  framework.on_inventory(changed, inventory.full(), now);
}

void MasterLink::Impl::on_offers(const fb::Offers& offers, Now now) {
  std::vector<Resources> shapes;
  std::vector<bool> good;
  for (std::size_t i = 0; i < size_of(offers.shapes()); ++i) {
    auto shape = from_fb(*offers.shapes()->Get(static_cast<flatbuffers::uoffset_t>(i)));
    good.push_back(shape.has_value());
    shapes.push_back(shape ? *std::move(shape) : Resources{});
  }
  std::vector<Offer> fresh;
  fresh.reserve(size_of(offers.offers()));
  std::vector<OfferId> unusable;
  for (std::size_t i = 0; i < size_of(offers.offers()); ++i) {
    const fb::OfferEntry& entry = *offers.offers()->Get(static_cast<flatbuffers::uoffset_t>(i));
    const OfferId id{entry.slot(), entry.generation()};
    if (entry.shape() >= shapes.size() || !good[entry.shape()]) {
      unusable.push_back(id);
      continue;
    }
    fresh.push_back({id, NodeIndex(entry.node()), shapes[entry.shape()], now.mono + Duration::from_ms(entry.lease_ms()),
                     (entry.flags() & kStandingOffer) != 0});
  }
  if (!unusable.empty()) {
    pending.emplace_back(PendingDecline{std::move(unusable), Duration{}});
  }
  framework.on_offers(fresh, now);
}

void MasterLink::Impl::on_rescind(const fb::Rescind& rescind, Now now) {
  std::vector<OfferId> ids;
  ids.reserve(size_of(rescind.offers()));
  for (std::size_t i = 0; i < size_of(rescind.offers()); ++i) {
    ids.push_back(from_fb(*rescind.offers()->Get(static_cast<flatbuffers::uoffset_t>(i))));
  }
  framework.on_rescinded(ids, rescind.reason(), now);
}

void MasterLink::Impl::on_accepted(const fb::Accepted& accepted, Now now) {
  AcceptAnswer answer;
  answer.accept = accepted.accept();
  answer.code = accepted.code();
  answer.subject = text_of(accepted.subject());
  answer.text = text_of(accepted.text());
  for (std::size_t i = 0; i < size_of(accepted.gone()); ++i) {
    answer.gone.push_back(from_fb(*accepted.gone()->Get(static_cast<flatbuffers::uoffset_t>(i))));
  }
  framework.on_accepted(answer, now);
}

void MasterLink::Impl::on_update(const fb::Update& update, Now now) {
  std::vector<TaskUpdate> updates;
  updates.reserve(size_of(update.entries()));
  for (std::size_t i = 0; i < size_of(update.entries()); ++i) {
    const fb::UpdateEntry& entry = *update.entries()->Get(static_cast<flatbuffers::uoffset_t>(i));
    TaskUpdate u;
    u.attempt = from_fb(entry.attempt());
    u.node = NodeIndex(entry.node());
    if (const auto node = nodes.find(u.node); node != nodes.end()) {
      u.node_name = node->second.name;
    }
    u.seq = entry.seq();
    u.state = static_cast<TaskState>(entry.state());
    u.reason = static_cast<TaskReason>(entry.reason());
    u.exit_code = entry.exit_code();
    u.signal = entry.signal();
    u.started = WallTime::from_ns(entry.started_ns());
    u.ended = WallTime::from_ns(entry.ended_ns());
    if (entry.detail() != 0 && entry.detail() <= size_of(update.details())) {
      const fb::UpdateDetail& detail = *update.details()->Get(entry.detail() - 1U);
      u.cpus = text_of(detail.cpus());
      u.text = text_of(detail.text());
      u.cpu_time_us = detail.cpu_time_us();
      u.memory_peak_bytes = detail.memory_peak_bytes();
      if (detail.report() != nullptr) {
        u.report.assign(detail.report()->begin(), detail.report()->end());
      }
    }
    updates.push_back(std::move(u));
  }
  framework.on_update(updates, now);
  if (config.auto_acknowledge && phase == Phase::open) {
    for (const TaskUpdate& u : updates) {
      if (u.seq != 0) {
        acks[u.node] = std::max(acks[u.node], u.seq);
      }
    }
  }
}

void MasterLink::Impl::on_node_lost(const fb::NodeLost& lost, Now now) {
  std::vector<NodeIndex> ids;
  for (std::size_t i = 0; i < size_of(lost.nodes()); ++i) {
    const NodeIndex index(lost.nodes()->Get(static_cast<flatbuffers::uoffset_t>(i)));
    ids.push_back(index);
    if (const auto node = nodes.find(index); node != nodes.end()) {
      node->second.state = fb::NodeState::Lost;
    }
  }
  framework.on_node_lost(ids, std::string(text_of(lost.text())), now);
}

}  // namespace muster::client

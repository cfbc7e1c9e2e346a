#include "tests/sim/sim_master.hpp"

#include "tests/sim/cluster.hpp"

namespace muster::sim {

void SimMaster::make_core() {
  core_ = std::make_unique<master::MasterCore>(master::MasterConfig{}, epoch_, cluster_.world().clock(), defects_);
}

void SimMaster::drop_core() {
  core_.reset();
  links_.clear();
}

void SimMaster::on_timer() { core_->on_timer(cluster_.world().clock()); }

void SimMaster::on_crashed_in_flush() { cluster_.on_master_crashed(*this); }

std::optional<std::uint32_t> SimMaster::machine_of(std::uint32_t node_index) const {
  const auto it = machines_.find(node_index);
  return it == machines_.end() ? std::nullopt : std::optional(it->second);
}

Status SimMaster::audit() const {
  check_books();
  return core_->audit();
}

void SimMaster::check_books() const {
  for (const master::MasterCore::NodeBooks& books : core_->books()) {
    Resources sum = books.used;
    if (!sum.can_add(books.offered)) {
      violated("books", "node " + books.name + ": used and offered overlap");
    }
    sum += books.offered;
    if (!sum.can_add(books.free)) {
      violated("books", "node " + books.name + ": used + offered and free overlap");
    }
    sum += books.free;
    if (sum != books.capacity) {
      violated("books", "node " + books.name + ": used (" + to_string(books.used) + ") + offered (" +
                            to_string(books.offered) + ") + free (" + to_string(books.free) + ") is not capacity (" +
                            to_string(books.capacity) + ")");
    }
  }
}

void SimMaster::lose_link(const SharedConnection& connection) {
  if (!up() || connection->master_forgot) {
    return;
  }
  connection->master_forgot = true;
  links_.erase(connection->link);
  core_->on_link_lost(connection->link, cluster_.world().clock());
  after_input();
}

void SimMaster::receive(const SharedConnection& connection, const FrameBytes& bytes) {
  if (!up() || connection->master_forgot) {
    return;
  }
  const Network::Received received = Network::verify(bytes);
  const master::Peer peer{.local = true, .uid = kClusterUid, .pid = 100 + connection->client};
  World& world = cluster_.world();
  world.note("master gets", epoch_.value(), [&] {
    return received.frame == nullptr ? "a malformed frame" : cluster_.describe(*received.frame) + " from " + cluster_.client_name(connection->client);
  });
  world.trace.mix(bytes);
  if (received.frame == nullptr) {
    core_->on_bad_frame(connection->link, peer, received.error, world.clock());
  } else {
    look_at_delivered(*connection, *received.frame);
    core_->on_frame(connection->link, peer, *received.frame, world.clock());
  }
  after_input();
}

void SimMaster::look_at_delivered(const Connection& connection, const fb::Frame& frame) {
  if (frame.epoch() > epoch_.value()) {
    told_of_successor_.insert(connection.link);
  }
  if (const auto* accept = frame.body_as_Accept()) {
    offers_.on_accept_delivered(connection.client, cluster_.framework_of(connection.client), *accept);
  } else if (const auto* decline = frame.body_as_Decline()) {
    offers_.on_decline_delivered(connection.client, *decline);
  }
}

void SimMaster::collect(std::vector<std::function<void()>>& actions) {
  master::MasterOutputs outputs;
  core_->flush(cluster_.world().clock(), outputs);
  for (master::OutFrame& out : outputs.frames) {
    actions.push_back([this, link = out.link, bytes = std::make_shared<const FrameBytes>(std::move(out.bytes))] {
      const auto it = links_.find(link);
      if (it == links_.end()) {
        return;
      }
      const SharedConnection connection = it->second;
      const Network::Received sent = Network::verify(*bytes);
      if (sent.frame == nullptr) {
        violated("malformed output", name() + " sends a frame that does not verify: " + sent.error.text);
      }
      look_at_sent(*connection, *sent.frame);
      cluster_.send_to_client(connection, bytes);
    });
  }
}

void SimMaster::look_at_sent(const Connection& connection, const fb::Frame& frame) {
  if (frame.epoch() != epoch_.value() && connection.client != kOperatorClient) {
    violated("epoch in frames", name() + " sends a frame of epoch " + std::to_string(frame.epoch()));
  }
  switch (frame.body_type()) {
    case fb::Body::Registered:
    case fb::Body::Subscribed:
      if (told_of_successor_.contains(connection.link) && !deliberately_old) {
        violated("superseded master serves", name() + " was shown a higher epoch and takes a life of the link all the same");
      }
      cluster_.set_life_epoch(connection.client, Incarnation(frame.incarnation()), epoch_);
      if (const auto* registered = frame.body_as_Registered(); registered != nullptr && registered->nodes() != nullptr) {
        for (const fb::RegisteredNode* node : *registered->nodes()) {
          machines_[node->node()] = connection.client;
        }
      } else {
        offers_.on_subscribed(connection.client);
      }
      break;
    case fb::Body::Offers:
      if (!core_->settled()) {
        violated("offer before settled", name() + " offers before it has settled");
      }
      offers_.on_offers(connection.client, *frame.body_as_Offers());
      break;
    case fb::Body::Rescind: offers_.on_rescind(connection.client, *frame.body_as_Rescind()); break;
    case fb::Body::Accepted: offers_.on_accepted(connection.client, *frame.body_as_Accepted()); break;
    case fb::Body::Update:
      // What a master of the past tells a client that has named a higher epoch is not believed there; what it tells one
      // that has died meanwhile arrives nowhere, and the next life asks anew.
      if (const auto* entries = frame.body_as_Update()->entries();
          entries != nullptr && connection.open && !(deliberately_old && told_of_successor_.contains(connection.link))) {
        for (const fb::UpdateEntry* entry : *entries) {
          cluster_.truth().on_master_update({cluster_.framework_of(connection.client), from_fb(entry->attempt())}, *entry);
        }
      }
      break;
    default: break;
  }
}

}  // namespace muster::sim

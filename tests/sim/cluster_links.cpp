// The cluster's transport: who is connected to which master, and what the cores are told of it.
#include <algorithm>
#include <string>

#include "tests/sim/cluster.hpp"

namespace muster::sim {

void Client::send_to_master(FrameBytes bytes) {
  cluster_.send_from_client(*this, std::make_shared<const FrameBytes>(std::move(bytes)));
}

Blocked Cluster::blocked(std::uint32_t client, bool up) const {
  Blocked result = Blocked::no;
  for (const auto& [number, partition] : partitions_) {
    if (partition.clients.contains(client) && (up ? partition.up : partition.down)) {
      if (!partition.stalls) {
        return Blocked::drops;
      }
      result = Blocked::stalls;
    }
  }
  return result;
}

void Cluster::send_from_client(Client& client, SharedFrame frame) {
  const SharedConnection& connection = client.connection;
  if (!connection || !connection->open) {
    if (keep_unsent_ && client.waiting.size() < 200) {
      client.waiting.push_back(std::move(frame));
    }
    return;
  }
  network_->transmit(connection, connection->to_master, std::move(frame), blocked(client.id(), true),
                     [this, connection](const SharedFrame& arrived) { deliver_to_master(connection, arrived); });
}

void Cluster::send_to_client(const SharedConnection& connection, SharedFrame frame) {
  if (connection->client == kOperatorClient) {
    return;  // operators look at nothing here
  }
  network_->transmit(connection, connection->to_client, std::move(frame), blocked(connection->client, false),
                     [this, connection](const SharedFrame& arrived) { deliver_to_client(connection, arrived); });
}

void Cluster::deliver_to_master(const SharedConnection& connection, const SharedFrame& frame) {
  if (SimMaster* master = master_numbered(connection->master)) {
    master->receive(connection, *frame);
  }
}

void Cluster::deliver_to_client(const SharedConnection& connection, const SharedFrame& frame) {
  Client& to = client(connection->client);
  if (to.up() && to.life() == connection->client_life) {
    to.receive(*connection, *frame);
  }
}

void Cluster::connect_soon(Client& client, Duration delay) {
  if (client.connecting) {
    return;
  }
  client.connecting = true;
  world_.after(delay, [this, &client] {
    client.connecting = false;
    connect(client);
  });
}

void Cluster::connect(Client& client) {
  if (!client.up() || (client.connection && client.connection->open && client.connection->client_life == client.life())) {
    return;
  }
  SimMaster* master = active();
  if (masters_.size() > 1 && world_.prng.percent(old_master_percent_)) {
    master = masters_.front().get();
  }
  if (master == nullptr || !master->up() || blocked(client.id(), true) != Blocked::no ||
      blocked(client.id(), false) != Blocked::no) {
    connect_soon(client, world_.prng.between(Duration::from_ms(20), Duration::from_ms(300)));
    return;
  }
  auto connection = std::make_shared<Connection>();
  connection->number = ++next_connection_;
  connection->client = client.id();
  connection->client_life = client.life();
  connection->master = master->number();
  connection->link = LinkId(++next_link_);
  const bool first_of_life = !client.connection || client.connection->client_life != client.life();
  client.connection = connection;
  master->add_link(connection);
  world_.note("connect", connection->number, [&] { return client.name() + " to " + master->name(); });
  if (!first_of_life) {
    for (SharedFrame& frame : client.waiting) {
      send_from_client(client, frame);
    }
  }
  client.waiting.clear();
  if (first_of_life || !silent_reconnects_) {
    client.link_up();
  }
}

void Cluster::disconnect(Client& client, bool tell_core) {
  const SharedConnection connection = client.connection;
  if (!connection || !connection->open) {
    return;
  }
  world_.note("disconnect", connection->number, [&] { return client.name(); });
  connection->open = false;
  connection->late_frames = world_.prng.percent(50);
  connection->to_master.stalled.clear();
  connection->to_client.stalled.clear();
  SimMaster* master = master_numbered(connection->master);
  if (master != nullptr && world_.prng.percent(60)) {
    world_.after(world_.prng.skewed(Duration::from_us(10), Duration::from_seconds(2)), [this, connection] {
      if (SimMaster* still = master_numbered(connection->master)) {
        still->lose_link(connection);
      }
    });
  }
  if (client.up() && connection->client_life == client.life()) {
    if (tell_core && !silent_reconnects_) {
      client.link_down();
    }
    connect_soon(client, world_.prng.skewed(Duration::from_ms(1), Duration::from_ms(500)));
  }
}

// ---- users and operators

LinkId Cluster::new_user_link() {
  const LinkId link(++next_user_link_);
  user_links_.insert(link);
  return link;
}

void Cluster::send_from_user(LinkId link, SharedFrame frame) {
  Instant& last = user_pipes_[link].first;
  last = std::max(last, world_.now()) + world_.prng.between(Duration::from_us(5), Duration::from_us(300));
  world_.at(last, [this, link, life = gang_->life(), frame = std::move(frame)] {
    if (user_links_.contains(link) && gang_->life() == life) {
      gang_->user_frame(link, *frame);
    }
  });
}

void Cluster::send_to_user(LinkId link, SharedFrame frame) {
  Instant& last = user_pipes_[link].second;
  last = std::max(last, world_.now()) + world_.prng.between(Duration::from_us(5), Duration::from_us(300));
  world_.at(last, [this, link, frame = std::move(frame)] {
    if (user_links_.contains(link)) {
      users_.answer(link, *frame);
    }
  });
}

void Cluster::user_hangs_up(LinkId link) {
  user_links_.erase(link);
  user_pipes_.erase(link);
  gang_->user_lost(link);
}

void Cluster::on_gang_gone() {
  user_links_.clear();
  user_pipes_.clear();
  users_.gang_gone();
}

void Cluster::operator_drain(std::uint32_t node, bool undrain) {
  SimMaster* master = active();
  if (master == nullptr || !master->up()) {
    return;
  }
  fb::DrainNodeT body;
  body.request = ++next_operator_request_;
  body.deadline_ms = 10'000;
  body.node = "n" + std::to_string(node);
  body.reason = "maintenance";
  body.undrain = undrain;
  auto connection = std::make_shared<Connection>();
  connection->client = kOperatorClient;
  connection->master = master->number();
  connection->link = LinkId(++next_link_);
  master->add_link(connection);
  world_.note(undrain ? "undrain" : "drain", node);
  master->receive(connection, pack_frame<fb::DrainNode>({}, body));
}

std::string Cluster::describe(const fb::Frame& frame) const {
  std::string text = fb::EnumNameBody(frame.body_type());
  text += " e" + std::to_string(frame.epoch()) + " i" + std::to_string(frame.incarnation() & 0xffff'ffffU) + " s" +
          std::to_string(frame.sequence()) + " r" + std::to_string(frame.received());
  const auto attempts = [&](FrameworkId framework, const fb::AttemptId& attempt) {
    text += " [" + to_string(TaskKey{framework, from_fb(attempt)});
  };
  const auto guess = [](const fb::AttemptId& attempt) {
    return attempt.hi() >> 63U != 0 ? kRivalFramework : kGangFramework;
  };
  if (const auto* update = frame.body_as_Update(); update != nullptr && update->entries() != nullptr) {
    for (const fb::UpdateEntry* entry : *update->entries()) {
      attempts(guess(entry->attempt()), entry->attempt());
      text += " " + std::string(muster::to_string(static_cast<TaskState>(entry->state()))) + "/" +
              std::string(muster::to_string(static_cast<TaskReason>(entry->reason()))) + " seq " + std::to_string(entry->seq()) +
              " node " + std::to_string(entry->node()) + "]";
    }
  }
  const auto launches = [&](const auto* body) {
    if (body != nullptr && body->launches() != nullptr) {
      for (const fb::LaunchEntry* entry : *body->launches()) {
        attempts(guess(entry->attempt()), entry->attempt());
        text += " node " + std::to_string(entry->node()) + " gang " + std::to_string(entry->gang()) + "]";
      }
    }
  };
  launches(frame.body_as_Launch());
  launches(frame.body_as_Prepare());
  launches(frame.body_as_Accept());
  const auto refs = [&](const auto* body) {
    if (body != nullptr && body->attempts() != nullptr) {
      for (const auto* entry : *body->attempts()) {
        attempts(guess(entry->attempt()), entry->attempt());
        text += "]";
      }
    }
  };
  refs(frame.body_as_Go());
  refs(frame.body_as_Release());
  refs(frame.body_as_NodeKill());
  refs(frame.body_as_Prepared());
  refs(frame.body_as_Kill());
  if (const auto* registration = frame.body_as_Register(); registration != nullptr && registration->nodes() != nullptr) {
    for (const fb::NodeRegistration* node : *registration->nodes()) {
      text += " " + std::string(text_of(node->name())) + " " + std::string(text_of(node->boot_id()));
      if (node->tasks() != nullptr) {
        for (const fb::TaskReport* task : *node->tasks()) {
          attempts(FrameworkId(task->framework()), task->attempt());
          text += " " + std::string(muster::to_string(static_cast<TaskState>(task->state()))) + "]";
        }
      }
    }
  }
  if (const auto* ack = frame.body_as_Acknowledge(); ack != nullptr && ack->entries() != nullptr) {
    for (const fb::AckEntry* entry : *ack->entries()) {
      text += " [node " + std::to_string(entry->node()) + " seq " + std::to_string(entry->seq()) + "]";
    }
  }
  if (const auto* offers = frame.body_as_Offers(); offers != nullptr && offers->offers() != nullptr) {
    for (const fb::OfferEntry* entry : *offers->offers()) {
      text += " [" + muster::to_string(OfferId{entry->slot(), entry->generation()}) + " node " + std::to_string(entry->node()) + "]";
    }
  }
  const auto offer_refs = [&](const auto* list) {
    if (list != nullptr) {
      for (const fb::OfferRef* ref : *list) {
        text += " <" + muster::to_string(from_fb(*ref)) + ">";
      }
    }
  };
  if (const auto* accept = frame.body_as_Accept()) {
    text += " accept " + std::to_string(accept->accept());
    offer_refs(accept->offers());
  }
  if (const auto* rescind = frame.body_as_Rescind()) {
    text += std::string(" ") + fb::EnumNameRescindReason(rescind->reason());
    offer_refs(rescind->offers());
  }
  if (const auto* decline = frame.body_as_Decline()) {
    offer_refs(decline->offers());
  }
  if (const auto* accepted = frame.body_as_Accepted()) {
    text += " " + std::to_string(accepted->accept()) + " " + fb::EnumNameRefusedCode(accepted->code()) + " " +
            std::string(text_of(accepted->text()));
  }
  if (const auto* refused = frame.body_as_Refused()) {
    text += std::string(" ") + fb::EnumNameRefusedCode(refused->code()) + " " + std::string(text_of(refused->text()));
  }
  const auto live = [&](const auto* body) {
    if (body != nullptr && body->live() != nullptr) {
      for (const fb::LiveTask* task : *body->live()) {
        attempts(guess(task->attempt()), task->attempt());
        text += "]";
      }
    }
  };
  live(frame.body_as_Subscribe());
  live(frame.body_as_Reconcile());
  return text;
}

}  // namespace muster::sim

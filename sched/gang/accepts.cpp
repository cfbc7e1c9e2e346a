// The master's link: what a new life, a lost one, the inventory and the answers to Accepts change.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr Duration kFailingGraceMax = Duration::from_seconds(2);

}  // namespace

void GangCore::Impl::on_registered(Epoch epoch, Now now) {
  record_epoch(epoch);
  ++life;
  pool.clear();
  accepts.clear();
  wants.clear();
  wants_certain = false;
  plan_due = wants_due = true;
  filters_set = false;
  inventory_changed = now.mono;
  // Kills that were lost on the way follow the updates that Subscribe is answered with.
}

void GangCore::Impl::on_disconnected(Now now) { forget_cluster(now); }

void GangCore::Impl::forget_cluster(Now now) {
  abort_unsent(now);
  pool.clear();
  accepts.clear();       // asked about at the next Subscribe
  reservation.reset();
  wants.clear();
  wants_certain = false;
  wants_refresh = Instant::never();
  link.request({});      // node indexes may mean other nodes in the next epoch
  std::erase_if(deferred, [](const Deferred& d) {
    return std::holds_alternative<OutAck>(d.what) || std::holds_alternative<OutKill>(d.what) ||
           std::holds_alternative<OutRecall>(d.what);
  });
}

// Accepts that wait for their commit name offers that are no more.
void GangCore::Impl::abort_unsent(Now now) {
  std::vector<AttemptId> attempts;
  std::erase_if(deferred, [&](Deferred& d) {
    const auto* accept = std::get_if<OutAccept>(&d.what);
    if (accept != nullptr) {
      for (const client::LaunchTask& launch : accept->request.launches) {
        attempts.push_back(launch.attempt);
      }
    }
    return accept != nullptr;
  });
  for (const AttemptId& attempt : attempts) {
    if (const auto place = find_live(attempt)) {
      end_member(*place,
                 {.member = place->member, .state = TaskState::not_started, .reason = TaskReason::never_seen,
                  .exit_code = 0, .signal = 0, .text = "the master's link was lost before the launch left"},
                 nullptr, now);
    }
  }
}

void GangCore::Impl::send_accept(OutAccept& out, Now) {
  SentAccept sent;
  sent.offers = std::move(out.offers);
  for (const client::LaunchTask& launch : out.request.launches) {
    sent.attempts.push_back(launch.attempt);
  }
  accepts.emplace(link.accept(out.request), std::move(sent));
}

void GangCore::Impl::on_accepted(const client::AcceptAnswer& answer, Now now) {
  const auto found = accepts.find(answer.accept);
  if (found == accepts.end()) {
    return;
  }
  SentAccept sent = std::move(found->second);
  accepts.erase(found);
  if (answer.code == fb::RefusedCode::None) {
    for (const AttemptId& attempt : sent.attempts) {
      if (const auto place = find_live(attempt); place && place->live->members.size() > 1 && place->member == 0) {
        starts_due.emplace(now.mono + config.go_silence, attempt);
      }
    }
    return;
  }
  last_refusal = std::string(to_string(answer.code)) + ": " + answer.subject + " " + answer.text;
  for (const client::Offer& offer : sent.offers) {
    if (std::find(answer.gone.begin(), answer.gone.end(), offer.id) == answer.gone.end() &&
        offer.lease_end > now.mono) {
      pool.add(offer);
    }
  }
  for (const AttemptId& attempt : sent.attempts) {
    if (const auto place = find_live(attempt); place && !is_terminal(place->live->members[place->member].state)) {
      end_member(*place,
                 {.member = place->member, .state = TaskState::not_started, .reason = TaskReason::never_seen,
                  .exit_code = 0, .signal = 0,
                  .text = "the master refused the launch: " + std::string(to_string(answer.code)) +
                          (answer.text.empty() ? "" : ": " + answer.text)},
                 nullptr, now);
    }
  }
  wants_certain = false;
  plan_due = wants_due = true;
}

void GangCore::Impl::send_kill(const OutKill& kill) {
  const auto place = find_live(kill.attempt);
  if (!place || !link.connected()) {
    return;
  }
  const client::NodeInfo* node = link.node(place->live->record.nodes[place->member]);
  if (node == nullptr) {
    return;  // its node has not been heard in this epoch: the kill follows its first update
  }
  client::MasterLink::KillOptions options;
  options.grace = Duration::from_ms(place->job->spec().kill_grace_ms());
  if (place->job->allocation && place->live->failing && !place->live->record.cancelled) {
    options.grace = std::min(options.grace, kFailingGraceMax);  // what it has left makes no sense any more
  }
  options.only_signal = kill.only_signal;
  options.boot = place->live->record.boots[place->member];
  if (kill.signal != 0) {
    options.signal = kill.signal;
  }
  if (!kill.only_signal) {
    place->live->members[place->member].killed_in_life = life;
  }
  link.kill(kill.attempt, node->index, options);
}

void GangCore::Impl::on_inventory(std::span<const client::NodeInfo> nodes, bool full, Now now) {
  update_capacities(nodes, full, now);
  inventory_known = true;
  plan_due = wants_due = true;
}

void GangCore::Impl::update_capacities(std::span<const client::NodeInfo> nodes, bool full, Now now) {
  bool grown = false;
  if (full) {
    capacities.clear();
    for (const client::NodeInfo* node : link.nodes()) {
      if (node->state != fb::NodeState::Gone) {
        capacities.push_back({node->index, node->capacity, true});
      }
    }
    grown = true;
  } else {
    for (const client::NodeInfo& node : nodes) {
      const auto place = std::lower_bound(capacities.begin(), capacities.end(), node.index,
                                          [](const Room& room, NodeIndex index) { return room.node < index; });
      const bool known = place != capacities.end() && place->node == node.index;
      if (node.state == fb::NodeState::Gone) {
        if (known) {
          capacities.erase(place);
          grown = true;
        }
      } else if (!known) {
        capacities.insert(place, Room{node.index, node.capacity, true});
        grown = true;
      } else if (place->left != node.capacity) {
        place->left = node.capacity;
        grown = true;
      }
    }
  }
  if (grown) {
    inventory_changed = now.mono;
    memory_per_cpu = default_memory_per_cpu(capacities);
    fits_due = true;
  }
  if (reservation) {
    for (const auto& [node, need] : reservation->needs) {
      if (!usable(node)) {
        reservation.reset();
        break;
      }
    }
  }
}

void GangCore::Impl::on_offers(std::span<const client::Offer> offers, Now) {
  std::vector<OfferId> useless;
  for (const client::Offer& offer : offers) {
    if (pool.add(offer)) {
      note_offered(offer);
    } else {
      useless.push_back(offer.id);
    }
  }
  link.decline(useless, Duration{});
  plan_due = wants_due = true;
}

void GangCore::Impl::on_rescinded(std::span<const OfferId> offers, fb::RescindReason reason, Now now) {
  if (defect(&GangDefects::requeue_on_node_silence) && reason == fb::RescindReason::NodeLost) {
    std::set<std::string> silent;
    for (const auto& [node, open] : pool.nodes()) {
      for (const client::Offer& offer : open.offers) {
        if (const auto* info = link.node(node);
            info != nullptr && std::find(offers.begin(), offers.end(), offer.id) != offers.end()) {
          silent.insert(info->name);
        }
      }
    }
    std::vector<std::pair<AttemptId, std::uint32_t>> victims;
    for (const auto& [id, job] : queue.jobs()) {
      for (const auto& [ordinal, live] : job->live) {
        for (std::uint32_t m = 0; m < live.members.size(); ++m) {
          if (silent.contains(live.record.nodes[m]) && !is_terminal(live.members[m].state)) {
            victims.emplace_back(pack_attempt(id, live.record.try_number, m, live.record.index), m);
          }
        }
      }
    }
    for (const auto& [attempt, member] : victims) {
      if (const auto place = find_live(attempt)) {
        end_member(*place, {member, TaskState::lost, TaskReason::node_lost, 0, 0, ""}, nullptr, now);
      }
    }
  }
  for (const OfferId& id : offers) {
    pool.remove(id);
  }
  wants_certain = false;
  plan_due = wants_due = true;
}

void GangCore::Impl::on_node_lost(std::span<const NodeIndex> nodes, const std::string&, Now) {
  for (const NodeIndex node : nodes) {
    pool.remove_node(node);  // its tasks end by updates of their own
    if (reservation && reservation->needs.contains(node)) {
      reservation.reset();
    }
  }
  wants_certain = false;
  plan_due = wants_due = true;
}

void GangCore::Impl::on_refused(const fb::Refused& refused, Now) {
  last_refusal = std::string(to_string(refused.code())) + ": " + std::string(text_of(refused.subject())) + " " +
                 std::string(text_of(refused.text()));
}

}  // namespace muster::gang

// How the fake peers write and read their frames. Included by fake_cluster.hpp.
#pragma once

#include "wire/schema/offer_flags.hpp"
#include "tests/master/core/fake_cluster.hpp"

namespace muster::master::test {

template <class BodyTable>
void FakePeer::send(const typename BodyTable::NativeTableType& body) {
  const FrameHead head = state_.next_head(Epoch{std::max(seen_epoch, std::uint64_t{0})});
  cluster_->deliver(link_, peer, pack_frame<BodyTable>(head, body));
}

template <class BodyTable>
void FakePeer::ask(const typename BodyTable::NativeTableType& body) {
  cluster_->deliver(link_, peer, pack_frame<BodyTable>({}, body));
}

inline void FakeNode::enroll(const std::map<std::string, std::vector<Report>>& tasks) {
  state_.open(Incarnation{++incarnation});
  fb::RegisterT body;
  for (const std::string& name : names_) {
    auto row = std::make_unique<fb::NodeRegistrationT>();
    row->name = name;
    row->boot_id = boot_id;
    row->boot = boot;
    row->capacity = shape(capacity_);
    row->drained = drained;
    row->highest_epoch = highest_epoch;
    if (const auto found = tasks.find(name); found != tasks.end()) {
      for (const Report& task : found->second) {
        row->tasks.emplace_back(to_fb(task.attempt), task.framework, static_cast<std::uint16_t>(row->shapes.size()),
                                std::uint16_t{0}, static_cast<std::uint8_t>(task.state),
                                static_cast<std::uint8_t>(task.gang), std::uint16_t{0});
        row->shapes.push_back(shape(task.shape));
      }
    }
    body.nodes.push_back(std::move(row));
  }
  send<fb::Register>(body);
}

inline void FakeNode::update(const AttemptId& id, TaskState state, TaskReason reason, std::uint64_t seq,
                             std::uint64_t framework, std::size_t at, std::int32_t exit_code) {
  const Launched* launch = launch_of(id);
  fb::UpdateT body;
  body.frameworks.push_back(framework != 0 ? framework : launch->framework);
  body.entries.emplace_back(to_fb(id), seq != 0 ? seq : next_seq++, 5, is_terminal(state) ? 6 : 0, indexes.at(at),
                            exit_code, std::uint16_t{0}, std::uint16_t{0}, static_cast<std::uint8_t>(state),
                            static_cast<std::uint8_t>(reason), std::uint8_t{0}, std::uint8_t{0});
  send<fb::Update>(body);
}

inline void FakeNode::prepared(const AttemptId& id, std::size_t at) {
  fb::PreparedT body;
  body.attempts.emplace_back(to_fb(id), indexes.at(at), 0U);
  send<fb::Prepared>(body);
}

inline void FakeNode::take_launches(const flatbuffers::Vector<const fb::LaunchEntry*>& entries,
                                    const flatbuffers::Vector<flatbuffers::Offset<fb::SpecBytes>>& specs,
                                    const flatbuffers::Vector<flatbuffers::Offset<fb::Shape>>& shapes,
                                    const flatbuffers::Vector<std::uint64_t>& frameworks,
                                    const flatbuffers::Vector<const fb::AttemptId*>* predecessors, bool prepare) {
  for (const fb::LaunchEntry* entry : entries) {
    FrameBytes storage;
    const auto spec = verify_spec(*specs.Get(entry->spec()), storage);
    REQUIRE(spec);
    launches.push_back({*entry, frameworks.Get(entry->framework()), muster::from_fb(*shapes.Get(entry->shape())).value(),
                        std::string(text_of((*spec)->name())), prepare,
                        entry->after() != 0 ? from_fb(*predecessors->Get(entry->after() - 1U)) : AttemptId{}});
  }
}

inline void FakeNode::on_frame(const fb::Frame& frame) {
  seen_epoch = frame.epoch();
  const auto take = [](const auto* attempts, std::vector<AttemptId>& out) {
    for (const fb::NodeAttempt* a : *attempts) {
      out.push_back(from_fb(a->attempt()));
    }
  };
  if (const auto* registered = frame.body_as_Registered()) {
    ++registrations;
    indexes.clear();
    for (const auto* row : *registered->nodes()) {
      indexes.push_back(row->node());
    }
  } else if (const auto* launch = frame.body_as_Launch()) {
    take_launches(*launch->launches(), *launch->specs(), *launch->shapes(), *launch->frameworks(), launch->predecessors(), false);
  } else if (const auto* prepare = frame.body_as_Prepare()) {
    take_launches(*prepare->launches(), *prepare->specs(), *prepare->shapes(), *prepare->frameworks(), nullptr, true);
  } else if (const auto* go = frame.body_as_Go()) {
    take(go->attempts(), gos);
  } else if (const auto* release = frame.body_as_Release()) {
    take(release->attempts(), releases);
  } else if (const auto* kill = frame.body_as_NodeKill()) {
    for (const fb::NodeAttempt* a : *kill->attempts()) {
      kills.push_back({from_fb(a->attempt()), static_cast<TaskReason>(kill->reason()), kill->signal(),
                       kill->only_signal()});
    }
  } else if (const auto* ack = frame.body_as_Acknowledge()) {
    for (const fb::AckEntry* entry : *ack->entries()) {
      acks.push_back(*entry);
    }
  } else if (const auto* drain = frame.body_as_NodeDrain()) {
    drains.push_back(unpack(*drain));
  } else if (const auto* message = frame.body_as_Message()) {
    messages.push_back(unpack(*message));
  }
}

inline std::vector<std::unique_ptr<fb::WantedShapeT>> to_wire(const std::vector<FakeFramework::Want>& wants) {
  std::vector<std::unique_ptr<fb::WantedShapeT>> out;
  for (const auto& want : wants) {
    auto row = std::make_unique<fb::WantedShapeT>();
    row->shape = shape(want.shape);
    row->count = want.count;
    row->whole_rest = want.whole_rest;
    row->standing = want.standing;
    row->nodes = want.nodes;
    out.push_back(std::move(row));
  }
  return out;
}

inline void FakeFramework::subscribe(const std::vector<std::pair<AttemptId, std::string>>& live,
                                     const std::vector<Want>& wants) {
  state_.open(Incarnation{++incarnation});
  offers.clear();
  subscribed = false;
  fb::SubscribeT body;
  body.framework = id_;
  body.name = name_;
  body.role = role;
  body.failover_timeout_ms = failover_ms;
  body.wants = to_wire(wants);
  for (const auto& [id, node] : live) {
    body.live.emplace_back(to_fb(id), static_cast<std::uint32_t>(body.node_names.size()), live_boot);
    body.node_names.push_back(node);
  }
  send<fb::Subscribe>(body);
}

inline void FakeFramework::request(const std::vector<Want>& wants) {
  fb::RequestT body;
  body.wants = to_wire(wants);
  send<fb::Request>(body);
}

inline std::uint64_t FakeFramework::accept(const std::vector<OfferId>& ids, const std::vector<Launch>& launches) {
  fb::AcceptT body;
  body.accept = ++accepts_;
  for (const OfferId id : ids) {
    body.offers.push_back(to_fb(id));
    std::erase_if(offers, [&](const Offer& offer) { return offer.id == id; });
  }
  std::map<std::uint32_t, std::uint16_t> specs;  // by uid
  for (const Launch& launch : launches) {
    const auto [place, fresh] = specs.emplace(launch.uid, static_cast<std::uint16_t>(body.specs.size()));
    if (fresh) {
      fb::TaskSpecT spec;
      spec.name = "job of " + name_;
      spec.uid = launch.uid;
      auto bytes = std::make_unique<fb::SpecBytesT>();
      bytes->data = pack_spec(spec);
      body.specs.push_back(std::move(bytes));
    }
    if (launch.after != AttemptId{}) {
      body.predecessors.push_back(to_fb(launch.after));
    }
    body.launches.emplace_back(
        to_fb(launch.attempt), launch.node.value(), 0U, 0U, 1U, launch.gang, 0U, place->second,
        static_cast<std::uint16_t>(body.shapes.size()), std::uint16_t{0},
        static_cast<std::uint16_t>(launch.after != AttemptId{} ? body.predecessors.size() : 0));
    body.shapes.push_back(shape(launch.resources));
  }
  send<fb::Accept>(body);
  return accepts_;
}

inline void FakeFramework::decline(const std::vector<OfferId>& ids, std::uint32_t filter_ms) {
  fb::DeclineT body;
  body.filter_ms = filter_ms;
  for (const OfferId id : ids) {
    body.offers.push_back(to_fb(id));
    std::erase_if(offers, [&](const Offer& offer) { return offer.id == id; });
  }
  send<fb::Decline>(body);
}

inline void FakeFramework::hold(const std::vector<OfferId>& ids, std::uint32_t lease_ms) {
  fb::HoldT body;
  body.lease_ms = lease_ms;
  for (const OfferId id : ids) {
    body.offers.push_back(to_fb(id));
  }
  send<fb::Hold>(body);
}

inline void FakeFramework::kill(const AttemptId& id, NodeIndex node, bool only_signal) {
  fb::KillT body;
  body.attempts.emplace_back(to_fb(id), node.value(), live_boot);
  body.only_signal = only_signal;
  body.signal = only_signal ? 10 : 15;
  send<fb::Kill>(body);
}

inline void FakeFramework::recall(const AttemptId& id, NodeIndex node) {
  fb::RecallT body;
  body.attempts.emplace_back(to_fb(id), node.value(), 0U);
  send<fb::Recall>(body);
}

inline void FakeFramework::acknowledge(NodeIndex node, std::uint64_t seq) {
  fb::AcknowledgeT body;
  body.entries.emplace_back(seq, node.value(), std::uint16_t{0}, std::uint16_t{0});
  send<fb::Acknowledge>(body);
}

inline void FakeFramework::reconcile(const AttemptId& id, const std::string& node) {
  fb::ReconcileT body;
  body.live.emplace_back(to_fb(id), 0U, live_boot);
  body.node_names.push_back(node);
  send<fb::Reconcile>(body);
}

inline void FakeFramework::on_frame(const fb::Frame& frame) {
  seen_epoch = frame.epoch();
  if (const auto* hello = frame.body_as_Subscribed()) {
    subscribed = true;
    settled = hello->settled();
  } else if (const auto* nodes = frame.body_as_Inventory()) {
    for (const auto* node : *nodes->nodes()) {
      inventory[node->node()] = std::string(text_of(node->name()));
      node_states[node->node()] = node->state();
    }
  } else if (const auto* made = frame.body_as_Offers()) {
    for (const fb::OfferEntry* entry : *made->offers()) {
      ++offers_seen;
      offers.push_back({OfferId{entry->slot(), entry->generation()}, NodeIndex{entry->node()},
                        muster::from_fb(*made->shapes()->Get(entry->shape())).value(), entry->flags() == kStandingOffer});
    }
  } else if (const auto* gone = frame.body_as_Rescind()) {
    for (const fb::OfferRef* ref : *gone->offers()) {
      rescinded.push_back(from_fb(*ref));
      std::erase_if(offers, [&](const Offer& offer) { return offer.id == from_fb(*ref); });
    }
  } else if (const auto* accepted = frame.body_as_Accepted()) {
    answers.push_back(unpack(*accepted));
  } else if (const auto* update = frame.body_as_Update()) {
    for (const fb::UpdateEntry* e : *update->entries()) {
      updates.push_back({from_fb(e->attempt()), e->seq(), e->node(), static_cast<TaskState>(e->state()),
                         static_cast<TaskReason>(e->reason()), e->exit_code()});
    }
  } else if (const auto* loss = frame.body_as_NodeLost()) {
    lost.insert(lost.end(), loss->nodes()->begin(), loss->nodes()->end());
  } else if (const auto* message = frame.body_as_Message()) {
    messages.push_back(unpack(*message));
  }
}

inline void FakeOperator::on_outside(const fb::Frame& frame) {
  if (const auto* reply = frame.body_as_OperatorReply()) {
    replies.push_back(unpack(*reply));
  } else if (const auto* end = frame.body_as_OperatorDone()) {
    done.push_back(unpack(*end));
  }
}

inline fb::OperatorReplyT FakeOperator::query(fb::Subject subject, const std::string& name, std::uint64_t after,
                                              std::uint32_t limit) {
  fb::OperatorQueryT body;
  body.request = replies.size() + 1;
  body.subject = subject;
  body.name = name;
  body.after = after;
  body.limit = limit;
  ask<fb::OperatorQuery>(body);
  REQUIRE(replies.size() == body.request);
  REQUIRE(replies.back().request == body.request);
  return std::move(replies.back());
}

}  // namespace muster::master::test

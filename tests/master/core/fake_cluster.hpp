// FakeCluster: a MasterCore with nodes and frameworks made of a few lines each, which exchange verified frames
// with it under a clock that the test moves. Every frame of a life must come gapless, and the books must balance
// after every step.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "master/core/master_core.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"
#include "wire/schema/link_state.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::master::test {

inline Resources res(const char* text) { return parse_resources(text).value(); }
inline std::unique_ptr<fb::ShapeT> shape(const Resources& r) {
  return std::make_unique<fb::ShapeT>(to_shape_object(r));
}
inline AttemptId attempt(std::uint64_t lo, std::uint64_t hi = 1) { return {hi, lo}; }

class FakeCluster;

// One connection and what came on it.
class FakePeer {
 public:
  FakePeer(FakeCluster& cluster, LinkId link) : cluster_(&cluster), link_(link) {}
  virtual ~FakePeer() = default;
  FakePeer(const FakePeer&) = delete;
  FakePeer& operator=(const FakePeer&) = delete;

  template <class BodyTable>
  void send(const typename BodyTable::NativeTableType& body);
  // Outside of any life.
  template <class BodyTable>
  void ask(const typename BodyTable::NativeTableType& body);
  void beat() {
    if (state_.is_open()) {
      send<fb::Heartbeat>({});
    }
  }
  void take(const FrameBytes& bytes) {
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    ++frames;
    if ((*frame)->sequence() == 0) {
      if (const auto* refused = (*frame)->body_as_Refused()) {
        outside.push_back(unpack(*refused));
        if (refused->code() == fb::RefusedCode::Gap) {
          state_.close();
        }
      }
      on_outside(**frame);
      return;
    }
    if (deaf) {
      return;
    }
    REQUIRE(state_.take(**frame) == LinkState::Verdict::deliver);
    if (const auto* refused = (*frame)->body_as_Refused()) {
      inside.push_back(unpack(*refused));
    }
    on_frame(**frame);
  }
  template <class T>
  static typename T::NativeTableType unpack(const T& table) {
    typename T::NativeTableType out;
    table.UnPackTo(&out);
    return out;
  }
  [[nodiscard]] LinkId link() const { return link_; }
  [[nodiscard]] LinkState& state() { return state_; }
  void move_to(LinkId link) { link_ = link; }

  std::vector<fb::RefusedT> outside;  // refusals of sequence 0
  std::vector<fb::RefusedT> inside;
  std::uint64_t incarnation{};
  std::uint64_t frames{};
  bool beating{true};
  bool deaf{};                        // drops what comes, so the master runs out of credit
  Peer peer{true, 1000, 1};
  std::uint64_t seen_epoch{};

 protected:
  virtual void on_frame(const fb::Frame& frame) = 0;
  virtual void on_outside(const fb::Frame&) {}
  FakeCluster* cluster_;
  LinkId link_;
  LinkState state_;
};

// A link with one or more nodes.
class FakeNode : public FakePeer {
 public:
  struct Report {
    AttemptId attempt;
    std::uint64_t framework{};
    TaskState state{};
    Resources shape;
    bool gang{};
  };
  struct Launched {
    fb::LaunchEntry entry;
    std::uint64_t framework{};
    Resources shape;
    std::string name;
    bool prepare{};
  };
  FakeNode(FakeCluster& cluster, LinkId link, std::vector<std::string> names, Resources capacity)
      : FakePeer(cluster, link), names_(std::move(names)), capacity_(std::move(capacity)) {}

  void enroll(const std::map<std::string, std::vector<Report>>& tasks = {});
  void update(const AttemptId& attempt, TaskState state, TaskReason reason = TaskReason::none, std::uint64_t seq = 0,
              std::uint64_t framework = 0, std::size_t at = 0, std::int32_t exit_code = 0);
  void prepared(const AttemptId& attempt, std::size_t at = 0);
  [[nodiscard]] const Launched* launch_of(const AttemptId& id) const {
    for (const Launched& launch : launches) {
      if (from_fb(launch.entry.attempt()) == id) {
        return &launch;
      }
    }
    return nullptr;
  }
  [[nodiscard]] NodeIndex index(std::size_t at = 0) const { return NodeIndex{indexes.at(at)}; }

  std::string boot_id{"boot-1"};
  bool drained{};
  std::uint64_t highest_epoch{};
  std::vector<std::uint32_t> indexes;
  std::vector<Launched> launches;
  std::vector<AttemptId> gos, releases;
  struct Kill {
    AttemptId attempt;
    TaskReason reason{};
    std::uint8_t signal{};
    bool only_signal{};
  };
  std::vector<Kill> kills;
  std::vector<fb::AckEntry> acks;
  std::vector<fb::NodeDrainT> drains;
  std::vector<fb::MessageT> messages;
  std::uint64_t registrations{};
  std::uint64_t next_seq{1};

 protected:
  void on_frame(const fb::Frame& frame) override;

 private:
  void take_launches(const flatbuffers::Vector<const fb::LaunchEntry*>& entries,
                     const flatbuffers::Vector<flatbuffers::Offset<fb::SpecBytes>>& specs,
                     const flatbuffers::Vector<flatbuffers::Offset<fb::Shape>>& shapes,
                     const flatbuffers::Vector<std::uint64_t>& frameworks, bool prepare);
  std::vector<std::string> names_;
  Resources capacity_;
};

class FakeFramework : public FakePeer {
 public:
  struct Offer {
    OfferId id;
    NodeIndex node;
    Resources resources;
  };
  struct Want {
    Resources shape;
    std::uint32_t count{1};
    bool whole_rest{};
    std::vector<std::uint32_t> nodes{};
  };
  struct Launch {
    AttemptId attempt;
    NodeIndex node;
    Resources resources;
    std::uint32_t gang{};
  };
  struct TaskUpdate {
    AttemptId attempt;
    std::uint64_t seq{};
    std::uint32_t node{};
    TaskState state{};
    TaskReason reason{};
    std::int32_t exit_code{};
  };
  FakeFramework(FakeCluster& cluster, LinkId link, std::uint64_t id, std::string name)
      : FakePeer(cluster, link), id_(id), name_(std::move(name)) {}

  void subscribe(const std::vector<std::pair<AttemptId, std::string>>& live = {}, const std::vector<Want>& wants = {});
  void request(const std::vector<Want>& wants);
  std::uint64_t accept(const std::vector<OfferId>& offers, const std::vector<Launch>& launches);
  void decline(const std::vector<OfferId>& offers, std::uint32_t filter_ms);
  void hold(const std::vector<OfferId>& offers, std::uint32_t lease_ms);
  void kill(const AttemptId& attempt, NodeIndex node, bool only_signal = false);
  void acknowledge(NodeIndex node, std::uint64_t seq);
  void reconcile(const AttemptId& attempt, const std::string& node);
  // The answer to this accept; fails the test if there is none or more than one.
  [[nodiscard]] fb::AcceptedT answer(std::uint64_t accept) const {
    std::vector<fb::AcceptedT> found;
    for (const auto& one : answers) {
      if (one.accept == accept) {
        found.push_back(one);
      }
    }
    REQUIRE(found.size() == 1);
    return found.front();
  }
  [[nodiscard]] std::vector<TaskUpdate> updates_of(const AttemptId& id) const {
    std::vector<TaskUpdate> out;
    std::copy_if(updates.begin(), updates.end(), std::back_inserter(out),
                 [&](const TaskUpdate& u) { return u.attempt == id; });
    return out;
  }
  [[nodiscard]] std::uint64_t id() const { return id_; }

  std::string role{"default"};
  std::uint64_t failover_ms{};
  std::vector<Offer> offers;        // open now, in the order of their coming
  std::vector<fb::AcceptedT> answers;
  std::vector<TaskUpdate> updates;
  std::vector<OfferId> rescinded;
  std::vector<std::uint32_t> lost;
  std::map<std::uint32_t, std::string> inventory;
  std::map<std::uint32_t, fb::NodeState> node_states;
  std::vector<fb::MessageT> messages;
  std::uint64_t offers_seen{};
  bool subscribed{};
  bool settled{};

 protected:
  void on_frame(const fb::Frame& frame) override;

 private:
  std::uint64_t id_;
  std::string name_;
  std::uint64_t accepts_{};
};

class FakeOperator : public FakePeer {
 public:
  using FakePeer::FakePeer;
  std::vector<fb::OperatorReplyT> replies;
  std::vector<fb::OperatorDoneT> done;
  fb::OperatorReplyT query(fb::Subject subject, const std::string& name = {}, std::uint64_t after = 0,
                           std::uint32_t limit = 1000);

 protected:
  void on_frame(const fb::Frame&) override {}
  void on_outside(const fb::Frame& frame) override;
};

class FakeCluster {
 public:
  explicit FakeCluster(const MasterConfig& config = {}, std::uint64_t epoch = 1, const MasterDefects& defects = {})
      : config_(config) {
    now_.mono = Instant::from_ns(1'000'000'000);
    now_.wall = WallTime::from_ns(1'700'000'000'000'000'000);
    core_ = std::make_unique<MasterCore>(config, Epoch{epoch}, now_, defects);
  }

  FakeNode& node(const std::string& name, const Resources& capacity) { return nodes({name}, capacity); }
  FakeNode& nodes(std::vector<std::string> names, const Resources& capacity) {
    auto node = std::make_unique<FakeNode>(*this, next_link(), std::move(names), capacity);
    FakeNode& out = *node;
    peers_.push_back(std::move(node));
    return out;
  }
  FakeFramework& framework(std::uint64_t id, const std::string& name) {
    auto framework = std::make_unique<FakeFramework>(*this, next_link(), id, name);
    FakeFramework& out = *framework;
    peers_.push_back(std::move(framework));
    return out;
  }
  FakeOperator& an_operator() {
    auto person = std::make_unique<FakeOperator>(*this, next_link());
    FakeOperator& out = *person;
    peers_.push_back(std::move(person));
    return out;
  }
  LinkId next_link() { return LinkId{++links_}; }

  void deliver(LinkId link, const Peer& peer, const FrameBytes& bytes) {
    const auto frame = verify_frame(bytes);
    if (frame) {
      core_->on_frame(link, peer, **frame, now_);
    } else {
      core_->on_bad_frame(link, peer, frame.error(), now_);
    }
    pump();
  }
  void pump() {
    if (hold_output) {
      return;
    }
    MasterOutputs out;
    core_->flush(now_, out);
    audit();
    for (const OutFrame& frame : out.frames) {
      for (const auto& peer : peers_) {
        if (peer->link() == frame.link) {
          peer->take(frame.bytes);
        }
      }
    }
  }
  void audit() {
    if (!auditing) {
      return;
    }
    const Status books = core_->audit();
    if (!books) {
      FAIL(books.error().text);
    }
  }
  void lose(FakePeer& peer) {
    core_->on_link_lost(peer.link(), now_);
    peer.state().close();
    peer.move_to(next_link());
    pump();
  }
  // Moves the clock; timers fire in order, everybody who beats sends a heartbeat each second.
  void advance(Duration by) {
    const Instant end = now_.mono + by;
    while (now_.mono < end) {
      const Instant next = std::min({end, std::max(core_->next_timer(), now_.mono), next_beat_});
      step_to(next);
      if (now_.mono >= next_beat_) {
        next_beat_ = now_.mono + Duration::from_seconds(1);
        for (const auto& peer : peers_) {
          if (peer->beating) {
            peer->beat();
          }
        }
      }
    }
  }
  void settle() {
    advance(config_.settle);
    REQUIRE(core_->settled());
  }
  // The master dies; its successor knows nothing.
  void restart(std::uint64_t epoch, const MasterDefects& defects = {}) {
    core_ = std::make_unique<MasterCore>(config_, Epoch{epoch}, now_, defects);
    for (const auto& peer : peers_) {
      peer->state().close();
      peer->move_to(next_link());
    }
  }
  [[nodiscard]] MasterCore& core() { return *core_; }
  [[nodiscard]] Now now() const { return now_; }
  [[nodiscard]] MasterCore::NodeBooks books(const std::string& name) {
    for (auto& row : core_->books()) {
      if (row.name == name) {
        return row;
      }
    }
    FAIL("no node " + name);
    return {};
  }
  bool hold_output{};
  bool auditing{true};

 private:
  void step_to(Instant at) {
    now_.wall = WallTime::from_ns(now_.wall.ns() + (at - now_.mono).ns());
    now_.mono = at;
    if (core_->next_timer() <= at) {
      core_->on_timer(now_);
    }
    pump();
  }
  MasterConfig config_;
  Now now_;
  Instant next_beat_{Instant::from_ns(1'500'000'000)};
  std::unique_ptr<MasterCore> core_;
  std::vector<std::unique_ptr<FakePeer>> peers_;
  std::uint64_t links_{100};
};

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
                                    const flatbuffers::Vector<std::uint64_t>& frameworks, bool prepare) {
  for (const fb::LaunchEntry* entry : entries) {
    FrameBytes storage;
    const auto spec = verify_spec(*specs.Get(entry->spec()), storage);
    REQUIRE(spec);
    launches.push_back({*entry, frameworks.Get(entry->framework()), muster::from_fb(*shapes.Get(entry->shape())).value(),
                        std::string(text_of((*spec)->name())), prepare});
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
    take_launches(*launch->launches(), *launch->specs(), *launch->shapes(), *launch->frameworks(), false);
  } else if (const auto* prepare = frame.body_as_Prepare()) {
    take_launches(*prepare->launches(), *prepare->specs(), *prepare->shapes(), *prepare->frameworks(), true);
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
    body.live.emplace_back(to_fb(id), static_cast<std::uint32_t>(body.node_names.size()), 0U);
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
  fb::TaskSpecT spec;
  spec.name = "job of " + name_;
  auto bytes = std::make_unique<fb::SpecBytesT>();
  bytes->data = pack_spec(spec);
  body.specs.push_back(std::move(bytes));
  for (const Launch& launch : launches) {
    body.launches.emplace_back(to_fb(launch.attempt), launch.node.value(), 0U, 0U, 1U, launch.gang, 0U,
                               std::uint16_t{0}, static_cast<std::uint16_t>(body.shapes.size()), std::uint16_t{0},
                               std::uint16_t{0});
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
  body.attempts.emplace_back(to_fb(id), node.value(), 0U);
  body.only_signal = only_signal;
  body.signal = only_signal ? 10 : 15;
  send<fb::Kill>(body);
}

inline void FakeFramework::acknowledge(NodeIndex node, std::uint64_t seq) {
  fb::AcknowledgeT body;
  body.entries.emplace_back(seq, node.value(), std::uint16_t{0}, std::uint16_t{0});
  send<fb::Acknowledge>(body);
}

inline void FakeFramework::reconcile(const AttemptId& id, const std::string& node) {
  fb::ReconcileT body;
  body.live.emplace_back(to_fb(id), 0U, 0U);
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
                        muster::from_fb(*made->shapes()->Get(entry->shape())).value()});
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

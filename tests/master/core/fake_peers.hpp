// The other sides of the master's links in tests: a node, a framework and an operator of frames, which do what the
// test says and keep what they are told.
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
    AttemptId after{};
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
  std::uint32_t boot{};
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
                     const flatbuffers::Vector<std::uint64_t>& frameworks,
                     const flatbuffers::Vector<const fb::AttemptId*>* predecessors, bool prepare);
  std::vector<std::string> names_;
  Resources capacity_;
};

class FakeFramework : public FakePeer {
 public:
  struct Offer {
    OfferId id;
    NodeIndex node;
    Resources resources;
    bool standing{};
  };
  struct Want {
    Resources shape;
    std::uint32_t count{1};
    bool whole_rest{};
    std::vector<std::uint32_t> nodes{};
    bool standing{};
  };
  struct Launch {
    AttemptId attempt;
    NodeIndex node;
    Resources resources;
    std::uint32_t gang{};
    AttemptId after{};   // not zero: follows it
    std::uint32_t uid{};
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
  void recall(const AttemptId& attempt, NodeIndex node);
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
  std::uint32_t live_boot{};   // of the nodes of what it asks about
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

}  // namespace muster::master::test

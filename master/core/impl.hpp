// MasterCore::Impl: the tables and the functions that change them, split by message over the .cpp files of this
// folder. Internal. Pure: owned by whoever owns the MasterCore.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "master/allocator/drf.hpp"
#include "master/core/accept_plan.hpp"
#include "master/core/channel.hpp"
#include "master/core/defects.hpp"
#include "master/core/gang.hpp"
#include "master/core/link.hpp"
#include "master/core/master_core.hpp"
#include "master/core/node_frames.hpp"
#include "master/core/probe.hpp"
#include "master/core/query_budget.hpp"
#include "master/core/timers.hpp"
#include "master/table/flat_index.hpp"
#include "master/table/framework_table.hpp"
#include "master/table/node_table.hpp"
#include "master/table/offer_ledger.hpp"
#include "master/table/task_table.hpp"
#include "master/view/cluster_view.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::master {

// Which chunks of a view's table have changed since the last view.
class ChunkMarks {
 public:
  void mark(std::uint32_t place) {
    const std::size_t chunk = place / ViewRows<NodeView>::kChunkPlaces;
    if (chunk >= dirty_.size()) {
      dirty_.resize(chunk + 1, 1);
    }
    dirty_[chunk] = 1;
  }
  void mark_all() { std::fill(dirty_.begin(), dirty_.end(), std::uint8_t{1}); }
  [[nodiscard]] std::size_t chunks() const { return dirty_.size(); }
  [[nodiscard]] bool take(std::size_t chunk) { return std::exchange(dirty_[chunk], std::uint8_t{0}) != 0; }

 private:
  std::vector<std::uint8_t> dirty_;
};

// An attempt that a framework asks about, and the boot of its node that it was meant for.
struct Asked {
  AttemptId attempt;
  std::uint32_t boot{};
};

// A framework's question about an attempt on a node that has not been heard in this epoch.
struct Question {
  FrameworkIndex framework;
  Incarnation incarnation;  // of the life that asked
  Asked asked;
};

// Alike tasks of one framework that take or give back resources of one node one after the other: booked in one step.
struct Run {
  FrameworkIndex framework{kNoFramework};
  NodeIndex node{kNoNode};
  KindIndex kind{kNoKind};
  std::uint32_t count{};
  bool alone{};  // ports don't add up: a run of one

  [[nodiscard]] bool takes(const Task& task) const {
    return count != 0 && kind == task.kind && node == task.node && framework == task.framework && !alone;
  }
};

enum class OfferEnd : std::uint8_t { accepted, declined, expired, rescinded };

struct MasterCore::Impl final : Allocator::Sink {
  Impl(const MasterConfig& config, Epoch epoch, Now now, const MasterDefects& defects);

  // ---- dispatch (master_core.cpp)
  void on_frame(LinkId id, const Peer& peer, const fb::Frame& frame, Now now);
  void on_in_life(Link& link, const fb::Frame& frame, Now now);
  void on_from_node(Link& link, const fb::Frame& frame, Now now);
  void on_from_framework(Link& link, const fb::Frame& frame, Now now);
  [[nodiscard]] bool defect(bool MasterDefects::* which) const { return kDefects && defects.*which; }

  // ---- links (link.cpp)
  [[nodiscard]] Link* find_link(LinkId id);
  Link& open_link(LinkId id, Link::Kind kind, const fb::Frame& frame, Now now);
  void close_link(LinkId id, Now now);
  void detach_node(NodeIndex node, Instant last_heard);
  void clear_out(FrameworkIndex framework);
  void heard(Link& link, Now now);
  void mark_dirty(Link& link);
  void mark_dirty(FrameworkIndex framework);
  void mark_dirty(NodeIndex node);
  [[nodiscard]] bool can_send(const Link& link) const {
    return !link.silent && link.state.in_flight() < config.credit_frames;
  }
  // Outside of any life: sequence 0, and the incarnation of what is refused.
  void refuse(LinkId id, const fb::Frame& frame, fb::RefusedCode code, std::string subject, std::string text,
              std::uint64_t request = 0, std::uint64_t sequence = 0);
  void refuse_in_life(Link& link, const fb::Frame& frame, fb::RefusedCode code, std::string subject, std::string text);
  void on_link_timer(LinkId id, Now now);
  void arm_link(Link& link);
  void update_active(FrameworkIndex framework);
  [[nodiscard]] bool reads_nothing(const Link& link) const;  // and so much waits for it that its life must end
  [[nodiscard]] Instant heard_at(const Node& node) const;
  [[nodiscard]] Instant heard_at(const FrameworkEntry& framework) const;

  // ---- nodes (register.cpp, node_report.cpp, node.cpp)
  void on_register(LinkId id, const Peer& peer, const fb::Frame& frame, const fb::Register& message, Now now);
  [[nodiscard]] bool key_allows(const Peer& peer, const std::string& node) const;
  void register_node(Link& link, const Peer& peer, const fb::NodeRegistration& registration, Now now);
  void take_report(NodeIndex node, const fb::NodeRegistration& registration, bool rebooted, Now now);
  void report_known(TaskIndex task, TaskState reported, Now now);
  struct Reported;
  void report_unknown(NodeIndex node, FrameworkIndex framework, const fb::TaskReport& report, const Reported& facts,
                      Now now);
  [[nodiscard]] bool charge_reported(NodeIndex node, const Resources& shape);
  [[nodiscard]] bool charge_running(NodeIndex node, const Resources& shape);
  void report_missing(TaskIndex task, bool rebooted, Now now);
  void on_prepared(Link& link, const fb::Prepared& message, Now now);
  void silence_node(NodeIndex node, Now now);
  void lose_node(NodeIndex node, Now now);
  void on_node_timer(NodeIndex node, Now now);
  void arm_node(NodeIndex node);
  void update_offerable(NodeIndex node);
  void set_drained(NodeIndex node, bool drained, std::string reason, bool by_operator);
  void node_changed(NodeIndex node);  // in the inventory
  void forward_to_framework(Link& link, const fb::Message& message);
  [[nodiscard]] bool speaks_for(const Link& link, NodeIndex node) const;

  // ---- tasks (status.cpp)
  void on_update(Link& link, const fb::Update& message, Now now);
  void take_update(std::uint32_t channel, const fb::UpdateEntry& entry, const fb::UpdateDetail* detail, Now now);
  void apply_update(TaskIndex task, const fb::UpdateEntry& entry, const fb::UpdateDetail* detail, Now now);
  // The master's own word that an attempt is over: kept, told with seq 0.
  void declare(TaskIndex task, TaskState state, TaskReason reason, Now now);
  void confirm(Task& task);
  void end_task(TaskIndex task, Now now);
  void book(TaskIndex task);    // what has been charged to its node
  void unbook(TaskIndex task);
  [[nodiscard]] Run run_of(const Task& task) const {
    return {task.framework, task.node, task.kind, 0, !tasks.shape(task).ports.empty()};
  }
  void charge_run(Run& run);    // to the node and the framework, and empties it
  void release_run();           // `ended_run`
  void book_framework(FrameworkIndex framework, NodeIndex node, const Resources& taken, std::uint32_t count);
  void remove_task(TaskIndex task);
  void due(TaskIndex task);           // something of the row must go to its node
  void want_kill(TaskIndex task, TaskReason reason, std::uint8_t signal, std::uint32_t grace_ms);
  void queue_update(TaskIndex task, std::uint64_t seq);
  void say(FrameworkIndex framework, const Word& word);
  std::uint32_t channel_of(NodeIndex node, FrameworkIndex framework);
  void advance(std::uint32_t channel);
  void acknowledge_due(std::uint32_t channel);
  void on_acknowledge(Link& link, const fb::Acknowledge& message);

  // ---- lines: tasks that wait for others to end (succession.cpp)
  void join_line(TaskIndex task, TaskIndex predecessor);
  void leave_line(TaskIndex task);              // it has ended in line: what follows it moves up
  bool hand_over(TaskIndex task);               // it has ended: the next in line takes its resources. False if none
  void drop_queued(TaskIndex task, TaskReason reason);  // its node does not have it
  void recall_task(TaskIndex task);
  void recall_node(NodeIndex node);
  void recall_for_poorer(Now now);
  void on_recall(Link& link, const fb::Frame& frame, const fb::Recall& message);

  // ---- gangs (gang.cpp)
  void begin_gang(GangIndex gang, Now now);
  void gang_prepared(TaskIndex task, Now now);
  void gang_progress(TaskIndex task, Now now);  // a member runs or has ended
  void gang_go(GangIndex gang, Now now);
  void gang_release(GangIndex gang, Now now);
  void gang_kill(GangIndex gang, Now now);
  void gang_forget(GangIndex gang, std::uint32_t generation);  // if it is over
  void on_gang_timer(GangIndex gang, std::uint32_t generation, Now now);

  // ---- frameworks (subscribe.cpp, framework.cpp, reconcile.cpp)
  void on_subscribe(LinkId id, const Peer& peer, const fb::Frame& frame, const fb::Subscribe& message, Now now);
  [[nodiscard]] tl::expected<std::vector<Want>, FrameError> read_wants(
      const flatbuffers::Vector<flatbuffers::Offset<fb::WantedShape>>* wants, bool foreign_nodes) const;
  void on_request(Link& link, const fb::Frame& frame, const fb::Request& message);
  void on_suppress(Link& link, bool suppressed);
  void on_kill(Link& link, const fb::Frame& frame, const fb::Kill& message, Now now);
  void kill_task(TaskIndex task, const fb::Kill& message, Now now);
  void on_reconcile(Link& link, const fb::Frame& frame, const flatbuffers::Vector<const fb::LiveTask*>* live,
                    const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>>* names, Now now);
  void reconcile(FrameworkIndex framework, const Asked& asked, std::string_view node_name, Now now);
  void reconcile_on(const Question& question, NodeIndex node);
  void answer_questions(NodeIndex node);
  void on_questions_timer(Now now);
  void forward_to_node(Link& link, const fb::Message& message);
  void on_framework_timer(FrameworkIndex framework, Now now);
  void arm_framework(FrameworkIndex framework);
  void framework_gone(FrameworkIndex framework, Now now);
  FrameworkIndex framework_of_report(FrameworkId id, Now now);
  void look_settled(Now now);

  // ---- offers (offer.cpp, accept.cpp)
  void offer(NodeIndex node, FrameworkIndex framework, Resources resources, OfferTag tag) override;
  void reclaim_standing(FrameworkIndex framework) override;
  void close_offer(OfferId id, OfferEnd end);
  void rescind(OfferId id, fb::RescindReason reason);
  void rescind_node(NodeIndex node, fb::RescindReason reason);
  void rescind_framework(FrameworkIndex framework, fb::RescindReason reason);
  void expire_leases(Now now);
  void on_decline(Link& link, const fb::Decline& message, Now now);
  void on_hold(Link& link, const fb::Frame& frame, const fb::Hold& message, Now now);
  void on_accept(Link& link, const fb::Accept& message, Now now);
  [[nodiscard]] AcceptAnswer check_accept(FrameworkIndex framework, const fb::Accept& message, AcceptPlan& plan,
                                          Now now);
  [[nodiscard]] AcceptAnswer check_successors(FrameworkIndex framework, const fb::Accept& message, AcceptPlan& plan,
                                              Now now);
  void apply_accept(FrameworkIndex framework, const fb::Accept& message, AcceptPlan& plan, Now now);

  // ---- operators (operator.cpp)
  void on_operator(LinkId id, const Peer& peer, const fb::Frame& frame, Now now);
  void answer_query(LinkId id, const fb::Frame& frame, const fb::OperatorQuery& query, Now now);
  void reply(LinkId id, FrameBytes bytes, fb::Body kind);

  // ---- output (emit.cpp, emit_node.cpp, emit_framework.cpp)
  void flush(Now now, MasterOutputs& out);
  void emit(Link& link, Now now, MasterOutputs& out);
  void emit_nodes(Link& link, Now now, MasterOutputs& out);
  void emit_framework(Link& link, Now now, MasterOutputs& out);
  void emit_inventory(Link& link, FrameworkOut& todo, Now now, MasterOutputs& out);
  void emit_updates(Link& link, FrameworkOut& todo, Now now, MasterOutputs& out);
  void emit_offers(Link& link, FrameworkOut& todo, Now now, MasterOutputs& out);
  void emit_messages(Link& link, std::vector<ForwardedMessage>& messages, Now now, MasterOutputs& out);
  template <class BodyTable>
  void send(Link& link, flatbuffers::FlatBufferBuilder& builder, flatbuffers::Offset<BodyTable> body, Now now,
            MasterOutputs& out) {
    out.frames.push_back({link.id, finish_frame(builder, link.state.next_head(epoch), body)});
    ++probe.frames_out[static_cast<std::size_t>(fb::BodyTraits<BodyTable>::enum_value)];
    link.last_sent = now.mono;
    link.heartbeat_due = false;
  }

  // ---- readers (view.cpp, audit.cpp)
  [[nodiscard]] std::shared_ptr<const ClusterView> view(Now now);
  [[nodiscard]] Status audit() const;

  [[nodiscard]] Instant next_timer() const;
  void on_timer(Now now);

  MasterConfig config;
  Epoch epoch;
  MasterDefects defects;
  Instant start;
  Now last_now;  // of the present call
  bool settled{};
  std::uint32_t frameworks_reported{};  // named by nodes before they subscribed in this epoch
  std::uint32_t frameworks_away{};      // of those, not back yet

  // Tables.
  NodeTable nodes;
  FrameworkTable frameworks;
  OfferLedger ledger;
  TaskTable tasks;
  Drf allocator{ledger};
  Slots<Gang> gangs;
  std::uint32_t queued_total{};         // tasks that wait in line
  Run ended_run;                        // still in the books; empty but within on_update
  bool taking_updates{};
  std::vector<Channel> channels;
  FlatIndex channel_index;
  std::map<std::string, std::vector<Question>, std::less<>> questions;
  bool questions_armed{};
  // Attempts without a row that a node named as ended: their updates are on the way, and answer who asked meanwhile.
  std::map<std::tuple<NodeIndex, FrameworkIndex, AttemptId>, std::optional<Question>> reported_ended;
  Amounts capacity_total;

  // Links and what waits for them.
  std::unordered_map<LinkId, std::unique_ptr<Link>> links;  // looked up, never iterated
  std::vector<LinkId> dirty_links;
  std::vector<NodeOut> node_out;
  std::vector<FrameworkOut> framework_out;
  std::vector<OutFrame> replies;  // outside of lives
  QueryBudget query_budget;
  Timers timers;

  // Readers.
  Probe probe;
  ChunkMarks node_marks, framework_marks, offer_marks, task_marks;
  std::shared_ptr<const ClusterView> last_view;

  // Reused within one call.
  std::vector<OfferId> offers_scratch;
  std::vector<TaskIndex> tasks_scratch;
  std::vector<NodeIndex> nodes_scratch;
  flatbuffers::FlatBufferBuilder builder{4096};
  AcceptPlan accept_plan;
  NodeFrames node_frames;
  std::vector<fb::UpdateEntry> update_entries;
  std::vector<flatbuffers::Offset<fb::UpdateDetail>> update_details;
  std::vector<fb::OfferEntry> offer_entries;
  ShapeTable offer_shapes;
  std::vector<LinkId> ready_links;
};

}  // namespace muster::master

// Inside sched/gang only: what a GangCore is made of. One .cpp per conversation:
//
//   gang_core.cpp  flush, commits, timers      submit.cpp   Submit
//   restart.cpp    from the store              cancel.cpp   Cancel, HoldJob, ReleaseJob
//   plan.cpp       offers → launches           query.cpp    QueryJobs, GangStatusQuery
//   wants.cpp      what is asked of the master watch.cpp    Watch
//   reserve.cpp    holding nodes for the first updates.cpp  the ends of attempts
//   next_in_line.cpp  launches behind others
//   audit.cpp      the books                   accepts.cpp  answers to Accepts, link changes
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <variant>
#include <vector>

#include "sched/client/master_link.hpp"
#include "sched/client/offer_pool.hpp"
#include "sched/gang/attempt_judge.hpp"
#include "sched/gang/gang_core.hpp"
#include "sched/gang/job_queue.hpp"
#include "sched/gang/lines.hpp"
#include "sched/gang/matcher.hpp"

namespace muster::gang {

#ifdef MUSTER_DEFECTS
inline constexpr bool kDefects = true;
#else
inline constexpr bool kDefects = false;
#endif

// hi = job << 16 | try, lo = member << 32 | index.
[[nodiscard]] constexpr AttemptId pack_attempt(JobId job, std::uint32_t try_number, std::uint32_t member,
                                               std::uint32_t index) {
  return {job.value() << 16U | try_number, std::uint64_t{member} << 32U | index};
}
inline constexpr std::uint32_t kTriesMax = 65'000;

// What must not leave before a batch is committed.
struct OutAnswer { LinkId link; FrameBytes bytes; };
struct OutAccept {
  client::AcceptRequest request;
  std::vector<client::Offer> offers;   // to take back when it is refused
};
struct OutAck { NodeIndex node; std::uint64_t seq{}; };
struct OutRecall { AttemptId attempt; };
struct OutKill { AttemptId attempt; bool only_signal{}; int signal{}; };
using Outgoing = std::variant<OutAnswer, OutAccept, OutAck, OutKill, OutRecall>;
struct Deferred { std::uint64_t batch{}; Outgoing what; };

struct SentAccept {
  std::vector<AttemptId> attempts;
  std::vector<client::Offer> offers;
};

struct Watcher {
  LinkId link;
  Peer peer;
  std::uint64_t request{};
  JobId job;
  std::uint64_t version{};
  Instant deadline;
};

// A Submit that does not fit what is known of a cluster whose nodes are just arriving.
struct LateSubmit {
  Instant due;
  LinkId from;
  Peer peer;
  FrameBytes bytes;     // fb::Submit
};

// Nodes kept for the first job while it does not fit: see reserve.cpp.
struct Reservation {
  JobId job;
  std::map<NodeIndex, Resources> needs;   // by node: what the job will take there
  Instant renew_at;
};

// Launches of one pass that must be taken together, because they share nodes.
struct AcceptGroup {
  std::vector<client::LaunchTask> launches;
  std::vector<FrameBytes> specs;
  std::map<std::tuple<JobId, std::uint32_t, std::vector<std::string>, std::vector<std::uint32_t>>, std::uint16_t> spec_places;
  std::vector<std::uint32_t> rooms;
  std::size_t bytes{};
  std::uint32_t gangs{};
};

struct GangCore::Impl final : client::Framework {
  Impl(const GangConfig& c, const LoadedState& loaded, Now now, const GangDefects& d);

  // ---- what is set once
  GangConfig config;
  GangDefects defects;
  std::unique_ptr<Policy> policy;
  std::string policy_error;
  client::MasterLink link;

  // ---- jobs
  JobQueue queue;
  std::uint64_t next_job{1};
  std::uint32_t live_total{};                          // live attempts
  std::set<std::pair<Instant, AttemptId>> starts_due;  // gangs (by their first member) that must be running by then
  std::set<std::pair<Instant, JobId>> retries_due;     // jobs that wait after failed starts

  // ---- the store
  std::vector<StoreOp> ops;                            // of the next batch
  using AttemptKey = std::tuple<JobId, std::uint32_t, std::uint32_t>;  // job, index, try
  std::map<AttemptKey, std::size_t> attempt_ops;       // places in ops
  std::map<AttemptKey, std::uint32_t> live_ops;        // of those, ordinals whose record is taken when the batch leaves
  std::uint64_t next_batch{1};
  std::uint64_t batch_out{};                           // 0 = none
  std::deque<Deferred> deferred;
  std::vector<UserFrame> user_frames;

  // ---- reports of step daemons in memory; all of them are in the store
  struct KeptReport { JobId job; std::uint32_t ordinal{}; std::size_t bytes{}; };
  std::deque<KeptReport> kept_reports;                 // oldest first
  std::size_t kept_report_bytes{};

  // ---- the cluster
  client::OfferPool pool;
  std::uint64_t life{};                                // of the master's link; grows with every registration
  bool inventory_known{};
  Instant inventory_changed;                           // when a node last came, went or changed its size
  bool fits_due{};                                     // what never fits has to be judged again
  std::vector<Room> capacities;                        // of all nodes that are not gone, by index
  Bytes memory_per_cpu{};                              // for jobs that do not say
  std::map<std::uint64_t, SentAccept> accepts;         // sent, unanswered
  std::optional<Reservation> reservation;
  Lines lines;
  std::set<JobId> queued_jobs;                         // with elements in line
  Instant lines_closed_until;                          // others wait for their share: slots are to come free
  bool plan_due{};
  bool wants_due{};
  bool filters_set{};                                  // decline filters that a new job must drop
  std::vector<client::Want> wants;                     // as last sent, less what has been offered since
  bool wants_certain{};                                // the master's picture is known to be `wants`
  Instant wants_refresh = Instant::never();

  // ---- users
  std::vector<Watcher> watchers;
  std::vector<LateSubmit> late_submits;
  std::set<JobId> changed;                             // since watchers were last looked at

  // gang_core.cpp
  [[nodiscard]] bool defect(bool GangDefects::* which) const { return kDefects && defects.*which; }
  void defer(Outgoing what);
  void release(Outgoing& what);
  void release_committed();
  void put(StoreOp op);
  void record_epoch(Epoch epoch);
  void put_attempt(const AttemptRecord& record);
  // As it is when the batch leaves: a gang over thousands of nodes has news from each, and its record is long.
  void put_live(const Job& job, std::uint32_t ordinal);
  void fill_live_ops();
  void touch(Job& job);                                // its version grows
  void answer(LinkId to, FrameBytes bytes) { defer(OutAnswer{to, std::move(bytes)}); }
  void refuse(LinkId to, std::uint64_t request, const Complaint& complaint);
  [[nodiscard]] bool is_operator(const Peer& peer) const;
  [[nodiscard]] bool may_touch(const Peer& peer, const Job& job) const;
  void on_user(LinkId from, const Peer& peer, const fb::Frame& frame, Now now);

  // restart.cpp
  void load(const LoadedState& loaded, Now now);
  void load_job(const LoadedJob& loaded, Now now);

  // submit.cpp
  void on_submit(LinkId from, const Peer& peer, const fb::Submit& submit, Now now);
  void check_fits();
  void retry_late_submits(Now now);

  // cancel.cpp
  void on_cancel(LinkId from, const Peer& peer, const fb::Cancel& cancel, Now now);
  void on_hold(LinkId from, const Peer& peer, std::uint64_t request,
               const flatbuffers::Vector<flatbuffers::Offset<fb::JobRange>>* jobs, bool hold, Now now);
  std::uint32_t cancel_elements(Job& job, std::uint32_t first, std::uint32_t last, Now now);
  std::uint32_t signal_elements(Job& job, std::uint32_t first, std::uint32_t last, int signal);

  // query.cpp, rows.cpp
  void on_query(LinkId from, const Peer& peer, const fb::QueryJobs& query, Now now);
  void on_status_query(LinkId from, const fb::GangStatusQuery& query);
  struct RowWish {
    bool details{};
    bool private_parts{};       // spec and token: for its owner and operators
    bool spec{true};
    std::size_t* bytes_left{};    // so much of reports and scripts may still go into this answer; null: none
    std::uint32_t elements_first{};
    std::uint32_t elements_limit{};
    std::uint64_t ahead{};      // pending jobs before it
  };
  [[nodiscard]] std::unique_ptr<fb::JobRowT> row_of(const Job& job, const RowWish& wish, Now now) const;
  [[nodiscard]] std::string reason_of(const Job& job, std::uint64_t ahead, Now now) const;
  [[nodiscard]] std::uint64_t jobs_ahead(const Job& job) const;
  void add_elements(const Job& job, const RowWish& wish, fb::JobRowT& row) const;

  // watch.cpp
  void on_watch(LinkId from, const Peer& peer, const fb::Watch& watch, Now now);
  void answer_watchers(Now now);
  void answer_watcher(const Watcher& watcher, Now now);

  // plan.cpp
  void plan(Now now);
  void decline_leftovers(std::span<const GangShape> waiting, Now now);
  class Pass;

  // next_in_line.cpp
  void set_queued(Job& job, LiveTry& live, bool queued);
  void leave_line(const AttemptId& attempt);
  [[nodiscard]] bool may_move(const Job& job, Now now) const;
  void recall_queued(Job& job, std::uint64_t most);
  void send_recall(const OutRecall& recall);
  [[nodiscard]] bool usable(NodeIndex node) const;

  // reserve.cpp
  void update_reservation(const Job* first_waiting, Now now);
  void hold_reserved(Now now);

  // wants.cpp
  void update_wants(Now now);
  void add_whole_wants(const Job& job, std::uint64_t elements, std::vector<Room>& offered,
                       std::vector<client::Want>& wanted) const;
  void note_offered(const client::Offer& offer);

  // accepts.cpp
  void send_accept(OutAccept& out, Now now);
  void abort_unsent(Now now);
  void forget_cluster(Now now);
  void send_kill(const OutKill& kill);

  void update_capacities(std::span<const client::NodeInfo> nodes, bool full, Now now);

  // reports.cpp
  struct Place;
  void take_report(const Place& place, const client::TaskUpdate& update, MemberEnd& end);
  void keep_report(Job& job, std::uint32_t ordinal);

  // updates.cpp
  struct Place { Job* job{}; std::uint32_t ordinal{}; LiveTry* live{}; std::uint32_t member{}; };
  [[nodiscard]] std::optional<Place> find_live(const AttemptId& attempt);
  void on_task_update(const client::TaskUpdate& update, Now now);
  void on_member_running(const Place& place, const client::TaskUpdate& update, Now now);
  void end_member(const Place& place, const MemberEnd& end, const client::TaskUpdate* update, Now now);
  void end_attempt(Job& job, std::uint32_t ordinal, Now now);
  void end_element(Job& job, std::uint32_t ordinal, const AttemptRecord& record);
  void finish_job_if_done(Job& job, Now now);
  void kill_members(Job& job, std::uint32_t ordinal, bool only_running);
  void fail_late_gangs(Now now);
  void back_off(Job& job, const std::string& why, Now now);

  // client::Framework
  void on_registered(Epoch epoch, Now now) override;
  void on_disconnected(Now now) override;
  void on_inventory(std::span<const client::NodeInfo> changed_nodes, bool full, Now now) override;
  void on_offers(std::span<const client::Offer> offers, Now now) override;
  void on_rescinded(std::span<const OfferId> offers, fb::RescindReason reason, Now now) override;
  void on_accepted(const client::AcceptAnswer& answer, Now now) override;
  void on_update(std::span<const client::TaskUpdate> updates, Now now) override;
  void on_node_lost(std::span<const NodeIndex> nodes, const std::string& text, Now now) override;
  void on_refused(const fb::Refused& refused, Now now) override;
  std::vector<client::LiveAttempt> live_attempts() override;
  Epoch recorded_epoch;                                // the highest in the store, or on its way there
  Now last_now;                                        // of the call in progress
  std::string last_refusal;                            // by the master, for status_text
};

}  // namespace muster::gang

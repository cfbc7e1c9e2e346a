// The inside of StepCore, shared by its .cpp files.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <tuple>

#include "node/step/rank_layout.hpp"
#include "node/step/step_core.hpp"
#include "node/step/step_tree.hpp"

namespace muster::node {

// Pure: owned by its core.
struct StepCore::Impl {
  Impl(StepPlan plan_, std::vector<std::string> endpoints_, Now now, const StepTimes& times_);

  const StepPlan plan;
  const std::vector<std::string> endpoints;
  const StepTimes times;
  std::vector<StepOutput> out;
  [[nodiscard]] bool is_root() const { return plan.facts.member == 0; }
  [[nodiscard]] std::uint32_t here() const { return plan.facts.member; }

  // ---- who is connected
  struct Link {
    fb::StepRole role{};
    std::uint32_t member{};   // of a child
    std::uint32_t pid{};      // of a local user
    Instant heard;
    std::uint32_t owes{};     // StepEnded and FinishJob that it has not confirmed (Done): what is sent last is lost when we go first
  };
  std::map<LinkId, Link> links;
  std::map<std::uint32_t, LinkId> child_links;      // by member
  std::map<std::uint32_t, Instant> child_heard;     // children that have ever been there
  bool welcomed{};                                  // by the parent
  Instant parent_heard;
  Instant last_heartbeat;
  Instant last_timer;                               // to notice that we were not run for a while
  std::set<std::uint32_t> joined;                   // root: members that are there
  Instant join_by;

  // ---- the job
  bool ending{};             // nothing new is started
  bool finished{};
  bool told_children{};      // FinishJob has been sent down
  std::int32_t exit_code{};
  std::int32_t exit_signal{};
  std::string text;          // what happened first and where
  bool cancelled{};
  LinkId holder;             // whose allocation it is
  Instant ended_at = Instant::never();
  Instant leave_by = Instant::never();  // root: no longer than that for readers

  // ---- the root's steps
  struct Step {
    std::uint32_t number{};
    fb::StepSpecT spec;
    StepLayout layout;
    fb::StepState state{fb::StepState::Pending};
    LinkId requester;               // 0: the job's own step
    std::uint64_t request{};
    bool follows_requester{};       // ends with it
    std::set<LinkId> attached;
    bool was_attached{};
    std::deque<FrameBytes> unread;  // output before anybody came
    std::size_t unread_bytes{};
    std::set<std::uint32_t> unspawned;  // members that have not said how their start went
    std::uint32_t ranks_started{};
    std::uint32_t ranks_ended{};
    std::map<std::uint32_t, std::uint32_t> member_of;  // by rank
    std::vector<std::string> bindings;
    bool any_connected{};           // a rank has spoken to a PMI server
    bool stopping{};                // we end it
    std::int32_t worst_code{};
    std::int32_t worst_signal{};
    std::int32_t first_code{};      // of what happened first
    std::int32_t first_signal{};
    std::string text;
    fb::StepState ended_as{fb::StepState::Failed};
    Instant kill_at = Instant::never();
    Instant others_until = Instant::never();
    Instant limit_at = Instant::never();
    WallTime started;
    std::uint64_t cpu_time_us{};
    std::uint64_t memory_peak_bytes{};
    std::uint32_t cpus{};
    std::map<std::tuple<std::uint8_t, std::uint64_t>, std::pair<std::uint32_t, std::string>> exchanges;  // (kind, round)
    [[nodiscard]] bool over() const { return state >= fb::StepState::Completed; }
  };
  std::map<std::uint32_t, Step> steps;    // that have not ended
  std::deque<fb::StepRowT> rows;          // that have, the last ones
  std::uint32_t steps_begun{};
  std::vector<std::uint32_t> busy_cpus;   // by member

  // ---- the ranks of this node
  struct LocalRank {
    bool started{};
    bool ended{};
    bool connected{};
    bool finalized{};
    bool aborted{};
    std::uint64_t input_waiting{};  // fed and not taken
  };
  struct Local {
    fb::StepSpecT spec;
    StepLayout layout;
    std::uint32_t place{};            // of this node among the layout's members
    bool collect_output{};
    std::map<std::uint32_t, LocalRank> ranks;
    std::uint32_t unanswered{};       // ranks that neither started nor failed to
    std::uint32_t alive{};
    std::string error;
    std::int32_t error_code{};
    std::vector<PmiKind> pmi;
    std::map<std::uint8_t, std::uint64_t> rounds;  // by kind
    std::vector<std::uint32_t> cpus;               // taken, as positions in the plan's cpus
    std::uint64_t memory_peak_bytes{};
    bool reported{};
    std::vector<std::string> bindings;
  };
  std::map<std::uint32_t, Local> locals;
  std::map<std::uint64_t, fb::StepModexT> modex_asked;  // of this node's ranks, by our number
  std::uint64_t modex_last{};
  std::vector<std::uint32_t> cpu_users;   // steps on each of the plan's cpus

  // step_core.cpp
  void dispatch_user(LinkId link, const fb::Frame& frame, Now now);
  void take_upward(const fb::Frame& frame, Now now);    // at the root, or passed on
  void take_downward(const fb::Frame& frame, Now now);
  template <class Body>
  [[nodiscard]] static FrameBytes pack(const typename Body::NativeTableType& body) {
    return pack_frame<Body>({}, body);
  }
  void refuse(LinkId to, std::uint64_t request, fb::RefusedCode code, std::string subject, std::string sentence);
  void send(LinkId to, FrameBytes frame, bool bulk = false) { out.emplace_back(step_out::SendTo{to, std::move(frame), bulk}); }
  // To the root: over the parent, or at once.
  template <class Body>
  void send_root(const typename Body::NativeTableType& body, Now now) {
    FrameBytes frame = pack<Body>(body);
    if (is_root()) {
      take_upward(*fb::GetFrame(frame.data()), now);
    } else {
      out.emplace_back(step_out::SendUp{std::move(frame)});
    }
  }
  // To all members, this one included.
  template <class Body>
  void flood(const typename Body::NativeTableType& body, Now now) {
    FrameBytes frame = pack<Body>(body);
    pass_down(frame);
    take_downward(*fb::GetFrame(frame.data()), now);
  }
  void pass_down(const FrameBytes& frame);
  void pass_towards(std::uint32_t member, const fb::Frame& frame, Now now);

  // step_members.cpp
  void take_hello(LinkId link, const Peer& peer, const fb::StepHello& hello, Now now);
  void take_welcome(const fb::StepWelcome& welcome, Now now);
  void member_joined(std::uint32_t member, Now now);
  void check_members(Now now);
  void heartbeat(Now now);
  void lose_link(LinkId link, Now now);

  // step_root.cpp
  void take_start(LinkId link, const fb::StartStep& start, Now now);
  void begin_job(Now now);              // everybody is there
  std::uint32_t add_step(fb::StepSpecT spec, LinkId requester, std::uint64_t request, bool attach, Now now);
  void try_start(Step& step, Now now);
  void start_waiting(Now now);
  [[nodiscard]] Result<StepLayout> lay_out_step(const fb::StepSpecT& spec, bool only_free) const;
  void begin_batch(Now now);
  [[nodiscard]] fb::StepSpecT own_step() const;  // of a job of kind Run
  void truncate_shared(const fb::StepSpecT& spec);
  void take_spawned(const fb::StepSpawned& spawned, Now now);
  void take_signal(LinkId link, const fb::SignalStep& signal, Now now);

  // step_root_end.cpp
  void take_ranks_ended(const fb::StepRanksEnded& ended, Now now);
  void take_abort(const fb::StepAbort& abort, Now now);
  void judge_rank(Step& step, std::uint32_t member, const fb::RankEnded& end, Now now);
  void fail_step(Step& step, std::int32_t code, std::int32_t signal, const std::string& why, fb::StepState as, Now now);
  void stop_step(Step& step, int signal, Now now);
  void end_step(Step& step, Now now);
  void end_job(std::int32_t code, std::int32_t signal, const std::string& why, Now now);
  void step_timers(Now now);
  void leave_if_done(Now now);
  [[nodiscard]] FrameBytes report() const;
  [[nodiscard]] fb::StepRowT row_of(const Step& step) const;

  // step_users.cpp
  void take_attach(LinkId link, const fb::AttachStep& attach, Now now);
  void attach(Step& step, LinkId link);
  void detach(LinkId link, Now now);
  void take_output(const fb::Frame& frame, Now now);
  void show(Step& step, const fb::StepOutput& output);
  void take_input(const fb::StepInput& input, Now now);
  void query_steps(LinkId link, const fb::QuerySteps& query);
  [[nodiscard]] Step* find_step(std::uint32_t number);
  [[nodiscard]] bool readers_wait() const;
  void tell_ended(LinkId link, FrameBytes frame);

  // step_member.cpp
  void take_spawn(const fb::SpawnStep& spawn, Now now);
  void start_ranks(std::uint32_t number, Local& local, Now now);
  void rank_answered(std::uint32_t number, Local& local, Now now);
  void signal_local(std::uint32_t step, int signal);
  void feed(const fb::StepInput& input);
  void end_local(std::uint32_t number, Now now);
  void lost_parent(const std::string& why, Now now);

  // step_pmi.cpp
  void take_exchange(const fb::StepExchange& exchange, Now now);  // at the root
  void exchanged(const fb::StepExchange& exchange);               // everywhere
  void take_modex(const fb::StepModex& modex, Now now);
  [[nodiscard]] PmiStep pmi_step(std::uint32_t number, const Local& local) const;
};

// Every node has files of its own by this pattern.
[[nodiscard]] bool is_of_one_node(const std::string& pattern);
// "signal 11 (SIGSEGV)" or "exit code 3".
[[nodiscard]] std::string end_text(std::int32_t exit_code, std::int32_t signal);

}  // namespace muster::node

// The inside of NodeCore, shared by its .cpp files: link.cpp (the master), registration.cpp, launch.cpp,
// launcher_side.cpp, ending.cpp, job_side.cpp (users and executors), outgoing.cpp (flush).
#pragma once

#include <deque>
#include <set>
#include <span>

#include "node/core/environment_cache.hpp"
#include "node/core/executor_hub.hpp"
#include "node/core/node_core.hpp"
#include "node/core/output_index.hpp"
#include "node/core/spawn_plan.hpp"
#include "node/core/status_outbox.hpp"
#include "node/core/task_book.hpp"
#include "wire/schema/link_state.hpp"

namespace muster::node {

struct NodeCore::Impl {
  Impl(const NodeConfig& config, const NodeMemory& memory, Now now, const NodeDefects& defects);

  // ---- what it was given
  const NodeConfig config;
#ifdef MUSTER_DEFECTS
  const NodeDefects defects;
#else
  static constexpr NodeDefects defects{};
#endif

  // ---- what it keeps on disk
  NodeMemory memory;
  bool memory_changed{true};
  std::vector<std::string> output_records;

  // ---- the link to the master
  enum class Phase : std::uint8_t { closed, opening, up };
  LinkState link;
  Phase phase{Phase::closed};
  bool transport_up{};
  bool register_pending{};         // a Register leaves with the next flush
  Instant reopen_at = Instant::never();
  Instant last_heard;              // last frame of this life (or its opening)
  Instant last_sent;
  std::uint64_t confirmed_at_send{};// link.received() when we last sent: what the master has not seen confirmed
  std::uint32_t stale_incarnations{};  // refusals in a row
  NodeIndex index;
  Duration heartbeat;
  Duration fence;
  Duration prepare_silence;
  std::string refused_text;        // last refusal, for people
  struct SentAt { std::uint64_t sequence{}; Instant at; };
  std::deque<SentAt> sent_at;      // of frames not confirmed yet
  Instant last_contact;            // when we sent the newest frame that a master has confirmed
  bool fence_done{};
  Instant fence_told = Instant::never();  // to the launcher; never: nothing yet
  struct RefusalOut { FrameHead head; bool in_life{}; Refusal refusal; };
  std::vector<RefusalOut> refusals;
  std::set<CpuKey> prepared_news;  // Prepared is to be said
  struct MessageOut { CpuKey key; std::string data; };
  std::deque<MessageOut> messages; // of executors, for the master; bounded
  std::uint64_t frames_dropped{};
  std::uint64_t messages_shed{};

  // ---- tasks
  CpuBinding binding;
  EnvironmentCache environments;
  TaskBook book;
  StatusOutbox outbox;
  std::set<CpuKey> forgotten;      // ends acknowledged in this agent's life; bounded by forgotten_order
  std::deque<CpuKey> forgotten_order;
  Instant gather_until = Instant::never();  // updates wait that long for company
  std::size_t gathered_ends{};

  // ---- the launcher
  bool launcher_up{};
  bool launcher_seen{};
  std::string boot;                // the boot id its run log goes by: what it knows is all that ran since
  bool pool_grew{};                // its tasks are bound anew at the next flush
  bool leaving{};                  // the node ends: nothing is started any more
  std::vector<LauncherCommand> to_launcher;

  // ---- job conversation
  OutputIndex outputs;
  ExecutorHub executors;
  std::vector<UserFrame> to_users;
  std::vector<LogRead> log_reads;

  // link.cpp
  void open_life(Now now);
  void close_life(Now now, Duration wait);
  void take_frame(const fb::Frame& frame, Now now);
  void take_refused(const fb::Frame& frame, const fb::Refused& refused, Now now);
  void dispatch(const fb::Frame& frame, Now now);
  void confirm_contact(Now now);
  void record_contact(Now now);
  void refuse_to_master(const Refusal& refusal);
  void set_drained(bool drained, const std::string& reason);
  void link_timer(Now now);
  [[nodiscard]] Instant link_next_timer() const;
  [[nodiscard]] bool idle_too_long(Now now) const;
  void reserve_incarnation();

  // registration.cpp
  [[nodiscard]] FrameBytes build_register();
  void take_registered(const fb::Registered& registered, Now now);

  // launch.cpp
  using Launches = flatbuffers::Vector<const fb::LaunchEntry*>;
  using Specs = flatbuffers::Vector<flatbuffers::Offset<fb::SpecBytes>>;
  using Shapes = flatbuffers::Vector<flatbuffers::Offset<fb::Shape>>;
  using Predecessors = flatbuffers::Vector<const fb::AttemptId*>;
  void take_launches(const Launches* launches, const Specs* specs, const Shapes* shapes,
                     const flatbuffers::Vector<std::uint64_t>* frameworks, const Predecessors* predecessors,
                     bool prepare, Now now);
  struct LaunchFrom {
    const fb::LaunchEntry& entry;
    const fb::TaskSpec& spec;
    const Resources& shape;
    bool prepare{};
    AttemptId after;                                      // zero: it starts at once
    std::shared_ptr<const FrameBytes> spec_bytes;         // holds `spec`
  };
  void launch(const CpuKey& key, const LaunchFrom& from, Now now);
  void answer_known(Task& task);
  // Binds the tasks that share the pool to its present cpus: those that have others, or all.
  void rebind_pool(bool all);
  void begin(Task& task, const fb::LaunchEntry& entry, const FrameBytes& spec_bytes, const CpuGrant& grant, bool park,
             Now now);

  // line.cpp
  void launch_after(Task& task, const AttemptId& after, Waiting waiting, Now now);
  void leave_line(Task& task, bool was_queued, Now now);  // it has ended
  void start_next(Task& task, std::span<const std::uint32_t> cpus, Now now);
  void end_queued(TaskReason reason, Now now);            // all of them
  void take_go(const fb::Go& go);
  void take_release(const fb::Release& release, Now now);
  void take_kill(const fb::NodeKill& kill, Now now);
  void take_acknowledge(const fb::Acknowledge& ack, Now now);

  // ending.cpp
  struct KillAsk {
    TaskReason cause{};
    int signal{15};
    std::uint32_t grace_ms{};      // 0: the task's own
  };
  void ask_end(Task& task, const KillAsk& ask, Now now);
  void send_end(Task& task);
  // Ends the task in the books and tells the framework.
  void finish(Task& task, TaskState state, TaskReason reason, Now now);
  void news(Task& task);
  void forget(const CpuKey& key);
  void fence_now(Now now);
  void tell_fence();
  void remember_forgotten(const CpuKey& key);
  [[nodiscard]] bool fence_may_come() const {
    return !fence_done && (book.live_requeueable() > 0 || book.queued() > 0);
  }
  void leave(Now now);
  void deadline_passed(Task& task, Now now);
  [[nodiscard]] std::uint32_t grace_of(const Task& task) const;

  // launcher_side.cpp
  void take_hello(const LauncherHello& hello, Now now);
  void take_recovered(const RecoveredTask& recovered, Now now);
  void take_event(const event::Parked& parked, Now now);
  void take_event(const event::Started& started, Now now);
  void take_event(const event::Ended& ended, Now now);
  void take_event(const event::Unkillable& unkillable, Now now);
  void started(Task& task, WallTime at, Now now);
  void parked(Task& task, Now now);
  void command(LauncherCommand what);  // dropped while the launcher is away: the tables bring it back

  // job_side.cpp
  void take_user_frame(LinkId from, const fb::Frame& frame, Now now);
  void take_read_log(LinkId from, const fb::ReadLog& read);
  void take_executor_hello(LinkId from, const fb::ExecutorHello& hello);
  void take_executor_message(LinkId from, const fb::Message& message);
  void take_master_message(const fb::Message& message);
  // stepd_side.cpp
  void take_stepd_hello(LinkId from, const fb::StepdHello& hello);
  void take_find_stepd(LinkId from, const fb::FindStepd& find);
  void take_report(Task& task, const event::Ended& ended);
  // Answers a question that is for another node.
  [[nodiscard]] bool refuse_other_node(LinkId from, std::uint64_t request, std::string_view node);
  void refuse_user(LinkId to, Refusal refusal);
  void send_message(LinkId to, const CpuKey& key, const std::string& data);
  [[nodiscard]] bool output_may_grow(FrameworkId framework, JobId job, std::uint32_t index) const;

  // outgoing.cpp
  void flush(Now now, NodeOutputs& out);
  void send(FrameBytes bytes, Now now, NodeOutputs& out);
  void flush_link(Now now, NodeOutputs& out);
  void flush_updates(Now now, NodeOutputs& out);
  [[nodiscard]] bool has_credit() const;
  [[nodiscard]] FrameHead next_head();
};

}  // namespace muster::node

// A scripted master, a memory store and a GangCore between them, under a clock that tests move. Pure.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sched/gang/gang_core.hpp"
#include "sched/gang/job_spec.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::gang::test {

// Keeps what was committed, and nothing else.
class MemoryStore {
 public:
  void commit(const StoreBatch& batch);
  [[nodiscard]] LoadedState load() const;
  [[nodiscard]] const LoadedJob* job(std::uint64_t id) const;
  std::uint64_t batches{};

 private:
  std::map<std::uint64_t, LoadedJob> jobs_;
};

// A master as far as one framework can tell: nodes, offers, tasks, updates until they are acknowledged.
class ScriptedMaster {
 public:
  struct Node { std::string name; Resources capacity; fb::NodeState state{fb::NodeState::Up}; };
  struct Task {
    std::uint32_t node{};
    Resources resources;
    TaskState state{TaskState::launching};
    TaskReason reason{};
    int exit_code{};
    int signal{};
    std::uint64_t seq{};
    std::uint32_t index{};
    std::uint32_t gang{};
    std::uint32_t ranks{};
    std::uint32_t first_rank{};
    FrameBytes spec;
    AttemptId after;                  // while queued
    std::string text;                 // of its next update
    std::vector<std::uint8_t> report;
  };

  explicit ScriptedMaster(std::vector<Node> nodes);
  // Takes the gang's frames, returns the answers.
  void take(const FrameBytes& bytes);
  std::vector<FrameBytes> take_output();

  // Tests' levers.
  void run_task(const AttemptId& id);
  void end_task(const AttemptId& id, TaskState state, int exit_code = 0, TaskReason reason = TaskReason::none,
                int signal = 0);
  void refuse_next_accept(fb::RefusedCode code) { refuse_next_ = code; }
  void offer();                       // everything free, if anything is wanted
  void rescind_all();
  void new_epoch();                   // a new master: offers and tasks forgotten but for those that nodes report
  void forget_link() { incarnation_ = 0; }
  bool auto_offer = true;
  bool auto_run = true;               // a launched task runs at once

  std::map<AttemptId, Task> tasks;    // known, until their end is acknowledged
  std::map<AttemptId, int> launched;  // ever: how often
  std::vector<AttemptId> kills;
  std::vector<AttemptId> recalls;
  bool deaf_to_recalls{};             // they are noted, and nothing follows
  std::size_t queued{};               // launches that were put in line
  std::vector<fb::WantedShapeT> wants;
  std::size_t accepts{};
  std::size_t largest_accept{};
  std::set<AttemptId> restated;
  std::size_t declined{};
  std::size_t held{};
  std::uint64_t epoch{1};

 private:
  FrameHead head() { return {Epoch(epoch), Incarnation(incarnation_), ++sent_, received_}; }
  void subscribe(const fb::Subscribe& subscribe);
  void accept(const fb::Accept& accept);
  void update(const AttemptId& id, bool masters_word);
  bool put_in_line(const AttemptId& id, const AttemptId& after);
  void move_up(const AttemptId& ended, const AttemptId& after, bool was_queued);
  void resend_unacknowledged();
  void answer_live(const fb::LiveTask& live, const std::string& node);
  [[nodiscard]] Resources free_of(std::uint32_t node) const;

  struct OpenOffer { std::uint32_t node{}; Resources resources; };
  std::vector<Node> nodes_;
  std::map<OfferId, OpenOffer> offers_;
  std::uint32_t next_offer_{1};
  std::map<std::uint32_t, std::uint64_t> node_seq_;
  std::uint64_t incarnation_{};
  std::uint64_t sent_{};
  std::uint64_t received_{};
  fb::RefusedCode refuse_next_{};
  std::vector<FrameBytes> out_;
};

// The gang with both around it. Every pump is: user frames and timers in, commit, master's answers, until quiet.
class Cluster {
 public:
  explicit Cluster(std::vector<ScriptedMaster::Node> nodes, GangConfig config = default_config());
  static GangConfig default_config();
  void crash();                       // the gang process dies and comes back from the store
  void pump(int rounds = 50);
  // One smallest step: flush, then deliver one direction. False when nothing moved.
  bool step();
  void advance(Duration d);

  std::uint64_t submit(const fb::JobSpecT& spec, std::uint64_t key = 0, std::uint32_t uid = 1000);
  // The answer to a user's frame, after pumping.
  const fb::Frame* ask(const FrameBytes& frame, std::uint32_t uid = 1000);
  fb::JobRowT row(std::uint64_t job, bool details = true);
  JobState state(std::uint64_t job) { return row(job).state; }
  [[nodiscard]] Now now() const { return now_; }

  GangConfig config;
  MemoryStore store;
  ScriptedMaster master;
  GangDefects defects;
  std::unique_ptr<GangCore> core;
  bool hold_commits{};                // batches wait until this is cleared
  std::optional<StoreBatch> waiting;
  std::vector<FrameBytes> answers;
  // Crash by itself after so many steps (0 = never), with or without the commit in flight on record.
  int crash_after{};
  bool lose_commit_in_flight{true};
  int steps{};
  std::uint64_t incarnation{1};
  std::vector<FrameBytes> last_to_master;

 private:
  void start();
  void deliver(const GangOutputs& out);
  Now now_;
};

[[nodiscard]] fb::JobSpecT spec(std::uint32_t ntasks = 1);
[[nodiscard]] std::vector<ScriptedMaster::Node> two_nodes();
[[nodiscard]] FrameBytes submit_frame(const fb::JobSpecT& spec, std::uint64_t request, std::uint64_t key);
[[nodiscard]] FrameBytes cancel_frame(std::uint64_t job, std::uint32_t first = 1, std::uint32_t last = 0, int signal = 0);
void set_array(fb::JobSpecT& spec, std::uint32_t first, std::uint32_t last, std::uint32_t throttle = 0);

}  // namespace muster::gang::test

// What really happened to every attempt, by the word of the simulated kernels, and what was said about it.
// The checker's memory: it sees every frame as it is sent, every store commit and every process.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/exec/launcher_messages.hpp"
#include "tests/sim/world.hpp"
#include "wire/base/ids.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"

namespace muster::sim {

struct TaskKey {
  FrameworkId framework;
  AttemptId attempt;
  constexpr auto operator<=>(const TaskKey&) const = default;
};
[[nodiscard]] std::string to_string(const TaskKey& key);

inline constexpr FrameworkId kGangFramework{0x6761};
inline constexpr FrameworkId kRivalFramework{0x7276};

// A gang framework's attempt, unpacked from its id (see AttemptId).
struct ElementTry {
  std::uint64_t job{};
  std::uint32_t index{};
  std::uint32_t try_number{};
  std::uint32_t member{};
};
[[nodiscard]] ElementTry element_of(const AttemptId& attempt);

struct AttemptTruth {
  // From the Accept
  Resources shape;
  bool accepted{};
  bool requeueable{};
  std::shared_ptr<const std::vector<TaskKey>> gang;  // all members, when it spans nodes
  std::optional<TaskKey> after;                      // what it was launched behind
  // From the kernels
  std::uint32_t starts{};
  std::uint32_t execs{};
  bool parked_ever{};
  bool allowed{};       // exec was let happen; it may have failed
  bool runs{};          // processes of the user's program exist
  bool parked{};
  std::uint32_t machine{};
  std::optional<std::int32_t> exit_code;  // of the one natural or forced end
  bool end_torn{};      // a power cut took the node's record of its end
  TaskState end_state{};
  // From what nodes and masters said
  std::optional<std::uint64_t> terminal_seq;
  std::optional<TaskState> said;       // first terminal state sent to a framework
  bool said_by_master{};               // lost/node_lost: the node may still run it unless it is requeueable
  bool denied{};                       // not_started or start_failed was said
};

// Owned by one run.
class Truth {
 public:
  [[nodiscard]] AttemptTruth& of(const TaskKey& key) { return attempts_[key]; }
  [[nodiscard]] const AttemptTruth* find(const TaskKey& key) const;
  [[nodiscard]] const std::map<TaskKey, AttemptTruth>& all() const { return attempts_; }

  // An Accept has left a framework.
  void on_accept_sent(FrameworkId framework, const fb::Accept& accept);

  // The kernels' word.
  void on_start(const TaskKey& key, std::uint32_t machine);
  void on_parked(const TaskKey& key);
  void on_exec(const TaskKey& key);
  void on_stopped(const TaskKey& key, std::optional<std::int32_t> exit_code, TaskState state);

  // A node says something about an attempt; or a master does, to a framework (seq 0: of its own).
  void on_node_update(const TaskKey& key, const fb::UpdateEntry& entry);
  void on_master_update(const TaskKey& key, const fb::UpdateEntry& entry);

  // Jobs whose started attempts may be tried again.
  void set_requeue(std::uint64_t job, bool requeue) { requeue_[job] = requeue; }

  // Nothing of these attempts may run: a framework recorded their end.
  void expect_stopped(const TaskKey& key, const std::string& why) const;
  // All parts of one try of one element of the gang framework.
  [[nodiscard]] std::vector<std::pair<TaskKey, const AttemptTruth*>> members(std::uint64_t job, std::uint32_t index,
                                                                           std::uint32_t try_number) const;
  [[nodiscard]] std::uint64_t execs() const { return execs_; }
  [[nodiscard]] std::uint64_t execs_in_line() const { return in_line_; }  // of attempts launched behind others
  [[nodiscard]] std::size_t running() const { return running_; }

 private:
  void check_claim(const TaskKey& key, const AttemptTruth& attempt, const fb::UpdateEntry& entry, const char* who) const;

  std::map<TaskKey, AttemptTruth> attempts_;
  std::map<std::uint64_t, bool> requeue_;
  std::uint64_t execs_{};
  std::uint64_t in_line_{};
  std::size_t running_{};
};

}  // namespace muster::sim

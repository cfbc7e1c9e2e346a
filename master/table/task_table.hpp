// TaskTable: one row per attempt of a framework on a node, from its accept (or its node's report) until its end
// is acknowledged. Pure.
//
// A row's specification is shared by the launches of one accept and kept until the node has confirmed the
// launch, because until then it may have to be sent again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "master/table/flat_index.hpp"
#include "master/table/ids.hpp"
#include "master/table/slots.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/task_state.hpp"

namespace muster::master {

// What an update says beyond numbers.
struct UpdateText {
  std::string cpus;
  std::string text;
  std::uint64_t cpu_time_us{};
  std::uint64_t memory_peak_bytes{};
  std::int32_t failed_rank{-1};
};

// The last update of an attempt.
struct StoredUpdate {
  std::uint64_t seq{};  // 0: none came from the node
  std::int64_t started_ns{};
  std::int64_t ended_ns{};
  std::int32_t exit_code{};
  std::uint8_t signal{};
  std::unique_ptr<UpdateText> text;
};

struct Task {
  // Given at its accept; fixed.
  AttemptId attempt;
  FrameworkIndex framework{kNoFramework};
  NodeIndex node{kNoNode};
  std::uint32_t array_index{};
  std::uint32_t first_rank{};
  std::uint32_t ranks{};
  std::uint32_t gang_number{};   // the framework's number for it, forwarded
  std::uint32_t member{};
  SpecIndex spec{kNoSpec};       // kNoSpec once confirmed
  GangIndex gang{kNoGang};       // while it starts, or ends together, in two steps
  std::uint32_t uid{};           // whom it runs as
  Resources shape;
  std::string name;              // of its job

  // Its line: rows of one framework, node, shape and user. Only the first holds resources; the others are queued.
  TaskIndex predecessor;
  TaskIndex successor;

  // Where it stands.
  TaskState state{TaskState::launching};
  TaskReason reason{TaskReason::none};
  StoredUpdate update;
  bool charged{};        // holds its shape on the node
  bool unacknowledged{}; // `update` awaits the framework's word
  bool declared{};       // its end is the master's own word: kept so that nothing else is ever said
  bool confirmed{};      // the node has said that it has it
  bool two_step{};
  bool ready{};          // prepared, while its gang prepares; running, while its gang goes

  // What its node must be told.
  bool launch_sent{};    // ever, in any life of the link
  bool go_sent{};
  bool launch_due{};
  bool go_due{};
  bool release_due{};
  bool kill_due{};
  bool signal_due{};     // once, not a kill
  bool release_wanted{}; // stands until its end is reported
  bool kill_wanted{};
  bool listed{};         // in its node's list of rows with something due
  std::uint8_t kill_signal{15};
  std::uint8_t kill_reason{};
  std::uint8_t signal_number{};
  std::uint32_t kill_grace_ms{};

  bool queued{};         // for its framework's next Update

  // Neighbours among the rows of its node and of its framework.
  std::uint32_t node_prev{kNone}, node_next{kNone};
  std::uint32_t framework_prev{kNone}, framework_next{kNone};
};

struct Spec {
  std::vector<std::uint8_t> bytes;
  std::string name;
  std::uint32_t uid{};
  std::uint32_t references{};
  std::uint64_t frame_mark{};   // the frame under construction that holds it,
  std::uint16_t frame_place{};  // and where
};

struct TaskList {
  std::uint32_t head{kNone}, tail{kNone};
  std::uint32_t count{};
};

class TaskTable {
 public:
  [[nodiscard]] TaskIndex find(FrameworkIndex framework, const AttemptId& attempt) const;
  // The row of `node` with this attempt of whichever framework; the lowest framework if several.
  [[nodiscard]] TaskIndex find_on_node(NodeIndex node, const AttemptId& attempt) const;
  // REQUIRES: not there yet.
  TaskIndex add(FrameworkIndex framework, NodeIndex node, const AttemptId& attempt);
  void remove(TaskIndex task);

  [[nodiscard]] bool holds(TaskIndex task) const { return !task.is_none() && tasks_.holds(task.slot, task.generation); }
  [[nodiscard]] Task& operator[](TaskIndex task) { return tasks_[task.slot]; }
  [[nodiscard]] const Task& operator[](TaskIndex task) const { return tasks_[task.slot]; }
  [[nodiscard]] Task& at(std::uint32_t slot) { return tasks_[slot]; }
  [[nodiscard]] const Task& at(std::uint32_t slot) const { return tasks_[slot]; }
  [[nodiscard]] TaskIndex index_at(std::uint32_t slot) const { return {slot, tasks_.generation(slot)}; }
  [[nodiscard]] bool used(std::uint32_t slot) const { return tasks_.used(slot); }
  [[nodiscard]] std::uint32_t places() const { return tasks_.places(); }
  [[nodiscard]] std::uint32_t count() const { return tasks_.count(); }

  [[nodiscard]] TaskList of(NodeIndex node) const;
  [[nodiscard]] TaskList of(FrameworkIndex framework) const;
  // Rows in order of their adding, for loops that change the list.
  void list(NodeIndex node, std::vector<TaskIndex>& out) const;
  void list(FrameworkIndex framework, std::vector<TaskIndex>& out) const;

  // ---- specifications
  // Copies the bytes; the caller holds the first reference.
  SpecIndex add_spec(std::span<const std::uint8_t> bytes, std::string name);
  // Is there a specification at this place, with these bytes? Any index may be asked for.
  [[nodiscard]] bool is_spec(SpecIndex spec, std::span<const std::uint8_t> bytes) const;
  void keep_spec(SpecIndex spec) { ++specs_[spec.value()].references; }
  void drop_spec(SpecIndex spec);
  [[nodiscard]] Spec& spec(SpecIndex spec) { return specs_[spec.value()]; }
  [[nodiscard]] std::uint32_t spec_count() const { return specs_.count(); }

 private:
  // Four attempts in a row share a cache line of the index: an array's launches and updates come in order.
  static std::uint64_t hash_of(const AttemptId& attempt) {
    const std::uint64_t four = std::hash<AttemptId>{}({attempt.hi, attempt.lo >> 2U});
    return (four << 2U | (attempt.lo & 3U)) ^ (attempt.lo & 3U) << 62U;
  }
  Slots<Task> tasks_;
  Slots<Spec> specs_;
  FlatIndex by_attempt_;  // frameworks may choose equal ids: candidates are told apart by their row
  std::vector<TaskList> of_node_;
  std::vector<TaskList> of_framework_;
};

}  // namespace muster::master

// TaskTable: one row per attempt of a framework on a node, from its accept (or its node's report) until its end
// is acknowledged. Pure.
//
// A row's specification is shared by the launches of one accept and kept until the node has confirmed the
// launch, because until then it may have to be sent again. What alike tasks share (their kind) is kept once.
// A row is two lines of cache: millions of them are read and written per second.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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
  std::string report;  // of a step daemon, unread
};

// The last update of an attempt.
struct StoredUpdate {
  std::uint64_t seq{};  // 0: none came from the node
  std::int64_t started_ns{};
  std::int64_t ended_ns{};
  std::int32_t exit_code{};
  std::uint32_t text{kNone};  // TaskTable::text
};

// What alike tasks share.
struct TaskKind {
  Resources shape;
  std::string name;            // of their job
  std::uint32_t uid{};         // whom they run as
  std::uint32_t ranks{};
  std::uint32_t references{};  // rows, and the table's own
};

// A launch's place in something larger; most have none.
struct TaskPart {
  std::uint32_t first_rank{};
  std::uint32_t gang_number{};  // the framework's number for it, forwarded
  std::uint32_t member{};
  bool operator==(const TaskPart&) const = default;
};

struct alignas(64) Task {
  // Given at its accept; fixed.
  AttemptId attempt;
  FrameworkIndex framework{kNoFramework};
  NodeIndex node{kNoNode};
  KindIndex kind{kNoKind};       // TaskTable::set_kind
  SpecIndex spec{kNoSpec};       // kNoSpec once confirmed
  GangIndex gang{kNoGang};       // while it starts, or ends together, in two steps
  std::uint32_t array_index{};
  std::uint32_t part{kNone};     // TaskTable::set_part

  // Where it stands.
  TaskState state{TaskState::launching};
  TaskReason reason{TaskReason::none};
  bool charged : 1 {};        // holds its shape on the node
  bool unacknowledged : 1 {}; // `update` awaits the framework's word
  bool declared : 1 {};       // its end is the master's own word: kept so that nothing else is ever said
  bool confirmed : 1 {};      // the node has said that it has it
  bool two_step : 1 {};
  bool ready : 1 {};          // prepared, while its gang prepares; running, while its gang goes
  bool queued : 1 {};         // for its framework's next Update

  // What its node must be told.
  bool launch_sent : 1 {};    // ever, in any life of the link
  bool go_sent : 1 {};
  bool launch_due : 1 {};
  bool go_due : 1 {};
  bool release_due : 1 {};
  bool kill_due : 1 {};
  bool signal_due : 1 {};     // once, not a kill
  bool release_wanted : 1 {}; // stands until its end is reported
  bool kill_wanted : 1 {};
  bool listed : 1 {};         // in its node's list of rows with something due
  std::uint8_t kill_signal{15};
  std::uint8_t kill_reason{};
  std::uint8_t signal_number{};
  std::uint8_t end_signal{};  // of its last update
  std::uint32_t kill_grace_ms{};

  StoredUpdate update;

  // Its line: rows of one framework, node, shape and user. Only the first holds resources; the others are queued.
  TaskIndex predecessor;
  TaskIndex successor;

  // Neighbours among the rows of its node and of its framework.
  std::uint32_t node_prev{kNone}, node_next{kNone};
  std::uint32_t framework_prev{kNone}, framework_next{kNone};
};
static_assert(sizeof(Task) == 128);

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

  // ---- what rows share, and what few have
  // The kind with these facts, added if new. The table keeps the latest few for what comes next; a row that is to have
  // it must get it before another is asked for.
  [[nodiscard]] KindIndex kind_of(const Resources& shape, std::string_view name, std::uint32_t uid,
                                  std::uint32_t ranks);
  // REQUIRES: the row has none yet.
  void set_kind(Task& task, KindIndex kind) {
    task.kind = kind;
    ++kinds_[kind.value()].references;
  }
  [[nodiscard]] const TaskKind& kind(const Task& task) const {
    return kind(task.kind);
  }
  [[nodiscard]] const TaskKind& kind(KindIndex kind) const {
    return kind == kNoKind ? no_kind_ : kinds_[kind.value()];
  }
  [[nodiscard]] const Resources& shape(const Task& task) const { return kind(task).shape; }
  [[nodiscard]] std::uint32_t kind_count() const { return kinds_.count(); }
  // REQUIRES: the row has none yet.
  void set_part(Task& task, const TaskPart& part);
  [[nodiscard]] TaskPart part(const Task& task) const { return task.part == kNone ? TaskPart{} : parts_[task.part]; }
  // What its update says beyond numbers.
  void set_text(Task& task, UpdateText text);
  void drop_text(Task& task);
  [[nodiscard]] const UpdateText* text(const Task& task) const {
    return task.update.text == kNone ? nullptr : &texts_[task.update.text];
  }

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
  // Eight attempts in a row share a cache line of the index: an array's launches and updates come in order.
  static std::uint64_t hash_of(const AttemptId& attempt) {
    return std::hash<AttemptId>{}({attempt.hi, attempt.lo >> 3U}) << 3U | (attempt.lo & 7U);
  }
  void drop_kind(KindIndex kind);

  Slots<Task> tasks_;
  Slots<Spec, 64> specs_;
  Slots<TaskKind, 64> kinds_;
  FlatIndex kind_index_;
  std::vector<KindIndex> recent_kinds_;  // each has a reference; few
  std::size_t next_recent_{};
  TaskKind no_kind_;
  Slots<TaskPart, 64> parts_;
  Slots<UpdateText, 64> texts_;
  FlatIndex by_attempt_;  // frameworks may choose equal ids: candidates are told apart by their row
  std::vector<TaskList> of_node_;
  std::vector<TaskList> of_framework_;
};

}  // namespace muster::master

// FakeBook: the tasks of all simulated nodes and what they hold, in columns. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"
#include "wire/model/task_state.hpp"

namespace muster::node {

inline constexpr std::uint32_t kNoPlace = 0xffff'ffff;

// A node's place among all: f1 has 0.
using FakePlace = std::uint32_t;

// Which framework's attempt.
struct FakeKey {
  FrameworkId framework;
  AttemptId attempt;
  bool operator==(const FakeKey&) const = default;
};
struct FakeKeyHash {
  std::size_t operator()(const FakeKey& key) const noexcept {
    return std::hash<AttemptId>{}(key.attempt) ^ static_cast<std::size_t>(mix64(key.framework.value()));
  }
};

// A task's row, recognised when the row has gone to another.
struct FakeRow {
  std::uint32_t slot{kNoPlace};
  std::uint32_t generation{};
  bool operator==(const FakeRow&) const = default;
};

struct FakeTask {
  FakeKey key;
  AttemptId after;                // queued (or taken out of its line): what it follows
  AttemptId successor;            // what follows it; zero: nothing
  Instant deadline = Instant::never();
  std::uint64_t seq{};            // of its last update
  WallTime started;
  WallTime ended;
  std::shared_ptr<const std::string> name;
  std::string cpus;               // "0-3"; "" for what shares cpus
  Bytes memory_bytes{};
  std::uint64_t time_limit_ms{};  // 0 = none
  FakePlace node{};
  std::uint32_t slot{kNoPlace};
  std::uint32_t next{kNoPlace};   // of its node
  std::uint32_t prev{kNoPlace};
  std::uint32_t generation{};
  std::uint32_t cpus_milli{};
  std::uint32_t uid{};
  std::int32_t exit_code{};
  std::uint8_t signal{};
  TaskState state{TaskState::launching};
  TaskReason reason{};
  bool gang{};
  bool requeueable{};
  bool charged{};
  bool ended_in_line{};
  bool used{};

  [[nodiscard]] bool live() const { return !is_terminal(state); }
};

class FakeBook {
 public:
  FakeBook(std::uint32_t nodes, std::uint32_t cpus, Bytes memory_bytes);

  [[nodiscard]] FakeTask* find(const FakeKey& key);
  // REQUIRES: it is new. Launching, holding nothing.
  FakeTask& add(const FakeKey& key, FakePlace node);
  // Its end is on record: the row goes, and the attempt is remembered for a while.
  void forget(FakeTask& task);
  [[nodiscard]] bool was_forgotten(const FakeKey& key) const { return forgotten_.contains(key); }

  // Takes the task's share of its node. Its cpus if it wants whole ones, `preferred` if they are free.
  // Errc::out_of_range saying what is short.
  [[nodiscard]] Status charge(FakeTask& task, const std::string& preferred);
  void discharge(FakeTask& task);

  [[nodiscard]] FakeRow row_of(const FakeTask& task) const { return {task.slot, task.generation}; }
  // Null: the row has gone.
  [[nodiscard]] FakeTask* at(const FakeRow& row);
  // The tasks of a node: first_of(), then next, until kNoPlace.
  [[nodiscard]] std::uint32_t first_of(FakePlace node) const { return first_[node]; }
  [[nodiscard]] FakeTask& in_slot(std::uint32_t slot) { return tasks_[slot]; }
  [[nodiscard]] std::size_t size() const { return by_key_.size(); }
  [[nodiscard]] Status audit() const;

 private:
  static constexpr std::size_t kForgottenMax = 262'144;

  [[nodiscard]] bool take_cpus(FakePlace node, const std::string& list);
  [[nodiscard]] std::string take_any_cpus(FakePlace node, std::uint32_t count);

  std::uint32_t cpus_;
  Bytes memory_bytes_;
  std::uint32_t words_;                     // of a node in busy_
  // ---- by node
  std::vector<std::uint32_t> first_;
  std::vector<std::uint32_t> used_milli_;
  std::vector<Bytes> used_bytes_;
  std::vector<std::uint64_t> busy_;         // a bit per cpu
  // ---- by slot
  std::deque<FakeTask> tasks_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<FakeKey, std::uint32_t, FakeKeyHash> by_key_;  // looked up, never iterated
  std::unordered_set<FakeKey, FakeKeyHash> forgotten_;              // the same
  std::deque<FakeKey> forgotten_order_;
};

}  // namespace muster::node

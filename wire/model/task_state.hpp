// States of an attempt on one node and the reasons for them, as every room names them.
//
//   queued ──► launching ──► prepared ──► running ──► finished | killed | timed_out | out_of_memory | lost
//     │            │  (gangs of several    │
//     │            │   nodes only)         └─ (released, silence) ─► not_started
//     │            └──► start_failed | not_started | lost
//     └──► not_started | lost
//
// Only an attempt that was launched behind another begins as queued. A one-node attempt goes straight from
// launching to running. Everything right of running, and
// start_failed, not_started and lost, is terminal: there is exactly one terminal state per attempt.
#pragma once

#include <cstdint>
#include <string_view>

namespace muster {

enum class TaskState : std::uint8_t {
  launching = 0,      // accepted by the master; its node has not confirmed anything yet
  prepared = 1,       // all ranks parked before exec
  running = 2,        // Go left, or exec allowed
  queued = 3,         // waits on its node, holding nothing, for another attempt to end
  finished = 10,      // all ranks ended by themselves; see exit code and signal of the worst rank
  killed = 11,        // ended because a framework, an operator or its user asked
  timed_out = 12,     // its time limit passed
  out_of_memory = 13, // its memory limit killed it
  start_failed = 14,  // the system refused to start it; no rank executed the user's program
  not_started = 15,   // proven never to have executed
  lost = 16,          // nobody can say how it ended; nothing of it runs any more
};

enum class TaskReason : std::uint8_t {
  none = 0,
  exec_not_found = 1,
  exec_not_executable = 2,
  bad_directory = 3,
  unknown_user = 4,
  bad_output = 5,      // an output file can't be opened
  spawn_failed = 6,    // fork, cgroup or limits
  no_room = 7,         // the node's own books have no room for it
  released = 8,        // the gang was released before Go
  prepare_silence = 9, // parked too long without Go
  never_seen = 10,     // the node never got the launch
  kill_requested = 11,
  time_limit = 12,
  memory_limit = 13,
  launcher_died = 14,
  node_lost = 15,      // declared after the fence
  node_rebooted = 16,
  fenced = 17,         // ended by its node after too long a silence of every master
  gang_failed = 18,    // another member of the gang failed
  drained = 19,
  predecessor_ended = 20,  // what it was to follow had ended already
  recalled = 21,           // taken out of the line before its turn
};

[[nodiscard]] constexpr bool is_terminal(TaskState state) {
  return static_cast<std::uint8_t>(state) >= static_cast<std::uint8_t>(TaskState::finished);
}
// True when the attempt can't have executed any of the user's program.
[[nodiscard]] constexpr bool proves_not_started(TaskState state) {
  return state == TaskState::start_failed || state == TaskState::not_started;
}

// "running", "not_started"…
[[nodiscard]] std::string_view to_string(TaskState state);
// A sentence part for people: "command not found", "time limit reached".
[[nodiscard]] std::string_view to_string(TaskReason reason);

}  // namespace muster

#include "wire/model/task_state.hpp"

namespace muster {

std::string_view to_string(TaskState state) {
  switch (state) {
    case TaskState::launching: return "launching";
    case TaskState::prepared: return "prepared";
    case TaskState::running: return "running";
    case TaskState::queued: return "queued";
    case TaskState::finished: return "finished";
    case TaskState::killed: return "killed";
    case TaskState::timed_out: return "timed_out";
    case TaskState::out_of_memory: return "out_of_memory";
    case TaskState::start_failed: return "start_failed";
    case TaskState::not_started: return "not_started";
    case TaskState::lost: return "lost";
  }
  return "unknown";
}

std::string_view to_string(TaskReason reason) {
  switch (reason) {
    case TaskReason::none: return "";
    case TaskReason::exec_not_found: return "command not found";
    case TaskReason::exec_not_executable: return "command is not executable";
    case TaskReason::bad_directory: return "working directory can't be entered";
    case TaskReason::unknown_user: return "user is unknown on the node";
    case TaskReason::bad_output: return "output file can't be opened";
    case TaskReason::spawn_failed: return "the node could not create the process";
    case TaskReason::no_room: return "the node has no room";
    case TaskReason::released: return "gang was released before its start";
    case TaskReason::prepare_silence: return "no word to start came in time";
    case TaskReason::never_seen: return "the launch never reached its node";
    case TaskReason::kill_requested: return "cancelled";
    case TaskReason::time_limit: return "time limit reached";
    case TaskReason::memory_limit: return "memory limit reached";
    case TaskReason::launcher_died: return "the node's launcher died";
    case TaskReason::node_lost: return "node lost";
    case TaskReason::node_rebooted: return "node rebooted";
    case TaskReason::fenced: return "node was cut off from every master";
    case TaskReason::gang_failed: return "another node of the gang failed";
    case TaskReason::drained: return "node drained";
    case TaskReason::predecessor_ended: return "what it was to follow had ended already";
    case TaskReason::recalled: return "taken out of the line before its turn";
  }
  return "unknown reason";
}

}  // namespace muster

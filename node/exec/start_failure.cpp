#include "node/exec/start_failure.hpp"

#include <cerrno>
#include <cstring>

namespace muster::node {
namespace {

std::string quoted(const std::string& text) { return "'" + text + "'"; }

StartFailure command_failure(const TaskStart& task, SpawnStep step, int error, const std::string& path) {
  const std::string command = task.argv.empty() ? std::string() : task.argv.front();
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      if (step == SpawnStep::exec) {
        return {TaskReason::exec_not_found, 127,
                "command " + quoted(command) + " can't be executed: its interpreter or loader was not found"};
      }
      if (command.find('/') == std::string::npos) {
        return {TaskReason::exec_not_found, 127,
                "command " + quoted(command) + " was not found in PATH (" + path + ")"};
      }
      return {TaskReason::exec_not_found, 127,
              "command " + quoted(command) + " was not found: " + std::strerror(error)};
    case EACCES:
    case EPERM:
    case EISDIR:
    case ETXTBSY:
    case ELIBBAD:
    case ELOOP:
      return {TaskReason::exec_not_executable, 126,
              "command " + quoted(command) + " is not executable: " + std::strerror(error)};
    case ENOEXEC:
      return {TaskReason::exec_not_executable, 126,
              "command " + quoted(command) + " is not executable: it is no program for this machine, nor a script that "
                                             "begins with #!"};
    case E2BIG:
      return {TaskReason::spawn_failed, 126,
              "command " + quoted(command) + " can't be executed: its arguments and environment are too long"};
    default:
      return {TaskReason::spawn_failed, 126,
              "command " + quoted(command) + " can't be executed: " + std::strerror(error)};
  }
}

}  // namespace

StartFailure describe_start_failure(const TaskStart& task, const RankStart& rank, SpawnStep step, int error,
                                    const std::string& path) {
  const std::string words = std::strerror(error);
  const std::string of_rank = "rank " + std::to_string(rank.rank);
  switch (step) {
    case SpawnStep::directory:
      return {TaskReason::bad_directory, 1,
              "working directory " + quoted(task.working_directory) + " can't be entered: " + words};
    case SpawnStep::input:
      return {TaskReason::bad_output, 1, "input file " + quoted(task.stdin_path) + " can't be opened: " + words};
    case SpawnStep::output:
      return {TaskReason::bad_output, 1, "output file " + quoted(rank.stdout_path) + " can't be opened: " + words};
    case SpawnStep::error_output:
      return {TaskReason::bad_output, 1, "error file " + quoted(rank.stderr_path) + " can't be opened: " + words};
    case SpawnStep::resolve:
    case SpawnStep::exec: return command_failure(task, step, error, path);
    case SpawnStep::user:
      return {TaskReason::spawn_failed, 1,
              of_rank + " can't become user " + std::to_string(task.uid) + ", group " + std::to_string(task.gid) + ": " +
                  words};
    case SpawnStep::group: return {TaskReason::spawn_failed, 1, of_rank + " can't enter its control group: " + words};
    case SpawnStep::affinity: return {TaskReason::spawn_failed, 1, of_rank + " can't be bound to its cpus: " + words};
    case SpawnStep::limits: return {TaskReason::spawn_failed, 1, of_rank + " can't set its limits: " + words};
    case SpawnStep::log: return {TaskReason::spawn_failed, 1, "the node's run log can't be written: " + words};
    case SpawnStep::session: return {TaskReason::spawn_failed, 1, of_rank + " can't begin a session: " + words};
    case SpawnStep::ready:
    case SpawnStep::started: break;
  }
  return {TaskReason::spawn_failed, 1, of_rank + " can't be created: " + words};
}

}  // namespace muster::node

// Why a rank could not be started: from the step that failed and its errno to the typed reason and
// one sentence that names the thing. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "node/exec/launcher_messages.hpp"

namespace muster::node {

// The steps of a rank's process between fork and exec, in order, and what it reports on the way.
enum class SpawnStep : std::uint8_t {
  ready = 0,    // all but the exec is done; waits at the gate
  started = 1,  // wrote STARTED by itself, execs next
  session,      // this and all below: failed at that step
  group,
  affinity,
  limits,
  user,
  directory,
  input,
  output,
  error_output,
  resolve,
  log,
  exec,
};

struct StartFailure {
  TaskReason reason{};
  std::int32_t exit_code{};  // as a shell would say: 127 not found, 126 not executable, else 1
  std::string text;
};

// `path` is the PATH that was searched.
[[nodiscard]] StartFailure describe_start_failure(const TaskStart& task, const RankStart& rank, SpawnStep step,
                                                  int errno_value, const std::string& path);

}  // namespace muster::node

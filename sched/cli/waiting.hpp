// Waiting for jobs to end, with progress. One thread.
#pragma once

#include <optional>
#include <vector>

#include "sched/cli/session.hpp"

namespace muster::cli {

struct WaitOptions {
  bool quiet{};
  std::optional<Duration> at_most{};
};

// The worst of the jobs' exit codes; kUnknown when at_most has passed or the scheduler stayed away for longer than
// --timeout; kInterrupted after Ctrl-C.
[[nodiscard]] int wait_for_jobs(Session& session, const std::vector<std::uint64_t>& jobs, const WaitOptions& options);

}  // namespace muster::cli

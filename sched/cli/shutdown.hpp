// Ending a local cluster. One thread.
#pragma once

#include <string>
#include <vector>

#include "sched/cli/cluster.hpp"

namespace muster::cli {

struct StopOptions {
  Duration grace = Duration::from_seconds(10);
};

struct StopReport {
  std::uint32_t ended{};                  // daemons
  std::vector<std::string> killed;        // what did not go when asked: "n1 (pid 123)"
  std::vector<std::string> left;          // and what is still there
};

// SIGTERM to the gang, then the nodes (which end their tasks), then the master; SIGKILL to what is left; then it looks for
// processes of the cluster that nobody recorded. Records that nothing runs.
[[nodiscard]] Result<StopReport> stop_cluster(const ClusterPlace& place, ClusterRecord& record, const StopOptions& options);

}  // namespace muster::cli

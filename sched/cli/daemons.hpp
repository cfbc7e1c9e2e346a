// The daemons of a local cluster: their programs, their command lines, starting and ending them. One thread.
#pragma once

#include <string>
#include <vector>

#include "sched/cli/cluster.hpp"
#include "wire/base/result.hpp"

namespace muster::cli {

// muster-master and the like: in ../libexec/muster beside bin/, or in the build tree's folders.
// Errc::not_found naming where it was looked for.
[[nodiscard]] Result<std::string> find_program(const std::string& name, const std::string& own_path);
// Pure: where find_program looks, best first.
[[nodiscard]] std::vector<std::string> program_candidates(const std::string& name, const std::string& own_path);

// Master, gang and nodes with their command lines, not started. Nodes lie side by side on the machine's cpus, as far
// as they go. `fresh`: nothing has ever run in this folder.
[[nodiscard]] Result<std::vector<DaemonRecord>> plan_daemons(const ClusterPlace& place, const ClusterRecord& options,
                                                             std::uint32_t machine_cpus, bool fresh);

// Starts it in a session of its own; its standard error goes to log/NAME.err.
[[nodiscard]] Result<ProcessIdentity> start_daemon(const ClusterPlace& place, const DaemonRecord& daemon);
// The last line it wrote to its standard error.
[[nodiscard]] std::string last_words(const ClusterPlace& place, const DaemonRecord& daemon);
// What the last line of its log says, if that is an error; else "".
[[nodiscard]] std::string last_error(const ClusterPlace& place, const std::string& daemon);

// A process that belongs to the cluster in `dir`, by its command line: daemons and launchers.
struct ClusterProcess {
  ProcessIdentity process;
  std::string program;    // "muster-node"
};
[[nodiscard]] std::vector<ClusterProcess> processes_of_cluster(const std::string& dir);
// Children, their children, and so on.
[[nodiscard]] std::vector<ProcessIdentity> descendants_of(const ProcessIdentity& process);

// Sends the signal if it is still the same process.
void signal_process(const ProcessIdentity& process, int signal);
// True when all have ended before the deadline. Reaps children of ours.
[[nodiscard]] bool wait_ended(const std::vector<ProcessIdentity>& processes, Instant deadline);

}  // namespace muster::cli

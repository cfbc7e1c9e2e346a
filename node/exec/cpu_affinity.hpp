// Which of the machine's cpus a thread may run on.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace muster::node {

// Of one thread; 0 = the calling one. REQUIRES: cpus is not empty. 0 or errno.
[[nodiscard]] int set_affinity(pid_t thread, const std::vector<std::uint32_t>& cpus);
// Of every thread of the process, and of those that are born meanwhile. 0 or the errno of the last failure.
[[nodiscard]] int set_process_affinity(pid_t pid, const std::vector<std::uint32_t>& cpus);
// Where the calling thread may run, ascending.
[[nodiscard]] std::vector<std::uint32_t> own_cpus();

}  // namespace muster::node

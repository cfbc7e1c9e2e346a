// From clone to exec: the process of one rank. The child does its whole set-up itself, so that a slow
// file system holds up only its own task.
//
//   clone ─► session, death signal, groups, affinity, limits, user, directory, stdio, command found
//     ├─ gated (several ranks, or parked): report ready ─► wait at the gate ─► 'G' exec │ else exit
//     └─ alone: append STARTED to the run log ─► exec
//
// Until its exec a child holds the launcher's lock file open: who gets the lock knows that no child
// of a dead launcher can still append to the log or exec.
#pragma once

#include <sys/types.h>

#include <span>

#include "node/exec/rank_setup.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

// A child with a copy of our memory, which reports through settings.report_fd. Returns its pid at once.
// io: the kernel refused.
[[nodiscard]] Result<pid_t> fork_rank(RankSetup& setup);

// A child that shares our memory, for ranks that are alone. Returns when it has executed or failed, with
// setup.report filled if setup.reported; only the calling thread waits. `stack` is the child's. The pid, or -errno.
[[nodiscard]] pid_t share_rank(RankSetup& setup, std::span<std::byte> stack);
// False where fork_rank must do: sanitizers watch memory that such a child would share, and entering a group
// by clone is written for one kind of processor.
[[nodiscard]] bool can_share(const RankSetup& setup);
[[nodiscard]] bool can_ever_share();

}  // namespace muster::node

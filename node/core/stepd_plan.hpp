// stepd_plan: from a launch to the step daemon that serves it on this node: one process, which reads a StepdPlan and starts
// the task's ranks itself. Pure.
#pragma once

#include "node/core/spawn_plan.hpp"

namespace muster::node {

// REQUIRES launch_fault() is empty and the spec's kind is not Ranks. agent_note is left empty.
[[nodiscard]] TaskStart plan_stepd(const SpawnNode& node, const SpawnLaunch& launch);

// Of the cpus (ascending); group numbers are dense.
[[nodiscard]] Topology topology_of(const Topology& whole, std::span<const std::uint32_t> cpus);

// A task's directory holds sockets, whose names may have 107 characters: so long may the directory of all of them be.
inline constexpr std::size_t kJobsDirectoryMax = 107 - 14 - 40;

}  // namespace muster::node

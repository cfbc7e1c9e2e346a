// The environment of a batch script and of a step's ranks: what programs written for Slurm look for, and our own
// MUSTER_* names brought up to the step. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "node/step/rank_binding.hpp"
#include "node/step/rank_layout.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

// "NAME=value" lines; a name stands once.
using EnvironmentLines = std::vector<std::string>;

// What every process of the job on this node sees: the plan's MUSTER_* and Slurm's names; a batch script sees this and
// nothing more (it is rank 0 of the job).
[[nodiscard]] EnvironmentLines job_environment(const fb::TaskSpecT& job, const fb::StepdPlanT& plan);

struct StepFacts {
  const fb::TaskSpecT& job;
  const fb::StepdPlanT& plan;
  const fb::StepSpecT& step;   // with what it inherits
  std::uint32_t number{};
  const StepLayout& layout;
};
// What all ranks of a step on this node see beyond job_environment(); these win.
[[nodiscard]] EnvironmentLines step_environment(const StepFacts& facts);

// What one rank sees beyond both; `local` counts this node's ranks. REQUIRES that the layout uses this member.
// OMP_NUM_THREADS and OMP_PLACES are set when cpus per task were asked for and `user` (what the rank has from its user:
// lines of the job and the step) says nothing about OpenMP.
[[nodiscard]] EnvironmentLines rank_environment(const StepFacts& facts, std::uint32_t local, const RankBinding& binding,
                                                const EnvironmentLines& user);

// `base` with `over`'s variables in the place of its own; a name stands once, the last one wins.
[[nodiscard]] EnvironmentLines overlay(EnvironmentLines base, const EnvironmentLines& over);

// What a user's environment has from an outer job is not passed on.
[[nodiscard]] EnvironmentLines without_task_variables(EnvironmentLines lines);

// The value of a variable, or nullptr.
[[nodiscard]] const char* value_in(const EnvironmentLines& lines, std::string_view name);

}  // namespace muster::node

// From options to the step that is run, or that a job's steps inherit from. Pure.
#pragma once

#include <string>
#include <vector>

#include "sched/cli/job_request.hpp"

namespace muster::cli {

// The whole step: what runs, where, with which files. Sizes are 0 where nothing was said.
// Errors name the option and its value. REQUIRES a command (check()).
[[nodiscard]] Result<fb::StepSpecT> make_step(const JobOptions& options, const Surroundings& here, std::vector<std::string>& warnings);

// Only what steps take from their job: cpus per task, bindings, MPI, devices and how they end.
[[nodiscard]] Result<fb::StepSpecT> make_inherited_step(const JobOptions& options, std::vector<std::string>& warnings);

// Does `options` say anything that only a step can do? Then a plain command is run as one.
[[nodiscard]] bool asks_for_step(const JobOptions& options);

// Devices per node or job as devices per task: --gres=gpu:2, --gpus-per-node, --gpus, --gpus-per-task. `spec` has its sizes.
[[nodiscard]] Status take_devices(const JobOptions& options, fb::JobSpecT& spec);

}  // namespace muster::cli

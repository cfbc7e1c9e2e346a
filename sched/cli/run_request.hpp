// From a command line's options to a step inside an allocation. Pure.
#pragma once

#include <string>
#include <vector>

#include "sched/cli/job_request.hpp"
#include "sched/cli/step_link.hpp"

namespace muster::cli {

// What was not asked for is left to the allocation. Errors name the option.
[[nodiscard]] Result<fb::StepSpecT> make_run_step(const JobOptions& options, const Surroundings& here);

// For a shell that uses an allocation: "NAME=value".
[[nodiscard]] std::vector<std::string> allocation_environment(const fb::JobRowT& row, const StepPlace& place);

}  // namespace muster::cli

// From a batch script and a command line's options to the job that is submitted. Pure.
#pragma once

#include <string>

#include "sched/cli/job_request.hpp"

namespace muster::cli {

struct BatchScript {
  std::string file;     // as written; stands in errors
  std::string content;
};

struct BatchRequest {
  JobRequest job;
  bool wait{};          // a directive says so
};

// `options` (whose command are the script's name and arguments) win over SBATCH_* and MUSTER_BATCH_* variables of `here`, and
// these over the script's directives. A bad value is named with the line of the script that it stands in.
[[nodiscard]] Result<BatchRequest> make_batch_request(const JobOptions& options, const BatchScript& script,
                                                      const Surroundings& here);

// "hostname" → a script of that one command.
[[nodiscard]] std::string wrapped(const std::string& command);

}  // namespace muster::cli

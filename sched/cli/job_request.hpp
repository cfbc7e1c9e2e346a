// From a command line's options to the job that is submitted. Pure: what the process knows about itself is given.
#pragma once

#include <string>
#include <vector>

#include "sched/cli/commands.hpp"
#include "wire/base/result.hpp"
#include "wire/schema/frame.hpp"

namespace muster::cli {

// The submitter's surroundings.
struct Surroundings {
  std::vector<std::string> environment;  // "NAME=value"
  std::string working_directory;
  std::string home;
  std::string shell;
  std::string user;
  std::string host;
  std::uint32_t uid{};
  std::uint32_t gid{};
};

struct JobRequest {
  fb::JobSpecT spec;
  std::vector<std::string> warnings;
};

// Ranks becomes Run when `options` say what only a step can do (step_request.hpp). Run: the step is in `spec.step`, its output
// goes to whoever is attached unless a file is named. Batch: the script itself is for the caller to add.
// Errors name the option and its value. REQUIRES a command, but for Allocation (check()).
[[nodiscard]] Result<JobRequest> make_job_request(const JobOptions& options, const Surroundings& here,
                                                  fb::TaskKind kind = fb::TaskKind::Ranks);

// --export's value → the environment that is sent.
[[nodiscard]] Result<std::vector<std::string>> select_environment(std::string_view choice, const Surroundings& here,
                                                                  std::vector<std::string>& warnings);

// The first line of `content` that is a directive ("#SBATCH …", "#MUSTER …", also "#PBS" and "#BSUB"), as written;
// "" if there is none. Only the lines before the first command count, as batch systems read them.
[[nodiscard]] std::string first_directive(std::string_view content);
// What the "#!" line says: "/bin/bash -e"; "sh" without one.
[[nodiscard]] std::string interpreter_of(std::string_view content);

}  // namespace muster::cli

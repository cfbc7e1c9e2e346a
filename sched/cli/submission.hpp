// Handing a job in: what submit and run share. One thread.
#pragma once

#include <string>

#include "sched/cli/job_request.hpp"
#include "sched/cli/session.hpp"

namespace muster::cli {

// The process's own environment, directory and user.
[[nodiscard]] Result<Surroundings> surroundings();

// Refuses what would not run as its writer meant it: batch scripts with directives, and a file of this directory
// that is not on PATH.
[[nodiscard]] Status check_program(const JobOptions& job, const std::string& subcommand);

// "1f2e…" → the two halves; a random key without one.
struct SubmitKey {
  std::uint64_t hi{};
  std::uint64_t lo{};
};
[[nodiscard]] Result<SubmitKey> submit_key(const std::optional<std::string>& text);
[[nodiscard]] std::string to_string(const SubmitKey& key);

// Prints warnings, and on a time-out how to go on.
[[nodiscard]] Result<fb::SubmittedT> hand_in(Session& session, JobRequest request, const SubmitKey& key,
                                             const std::string& subcommand);

}  // namespace muster::cli

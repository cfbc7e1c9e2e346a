// Handing a job in: what submit and run share. One thread.
#pragma once

#include <string>

#include "sched/cli/job_request.hpp"
#include "sched/cli/session.hpp"

namespace muster::cli {

// The process's own environment, directory and user.
[[nodiscard]] Result<Surroundings> surroundings();

// Refuses what would not run as its writer meant it: batch scripts with directives as programs, and a file of this
// directory that is not on PATH.
[[nodiscard]] Status check_program(const JobOptions& job, const std::string& subcommand);

// Is `word`, written without "--" before it, a file here rather than a program found on PATH?
[[nodiscard]] bool names_a_file(const std::string& word);

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

// hand_in(), then says the job's number, and waits for its end if asked to. The exit code.
struct QueueHow {
  std::string subcommand;
  std::optional<std::string> key;
  bool parsable{};
  bool wait{};
};
[[nodiscard]] int queue_job(Session& session, Result<JobRequest> request, const QueueHow& how);

}  // namespace muster::cli

// Jobs as text and as JSON (fields as in docs/cli.md). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "sched/cli/values.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::cli {

// One line per job; arrays are one line too.
[[nodiscard]] std::string render_queue(const std::vector<fb::JobRowT>& jobs, WallTime now);
// Everything about one job. `name` may pick elements of it.
[[nodiscard]] std::string render_job(const fb::JobRowT& job, const JobName& name, WallTime now);
[[nodiscard]] nlohmann::ordered_json json_of(const fb::JobRowT& job);

// "7", or "7_[1-100%5]" for an array.
[[nodiscard]] std::string job_id_text(const fb::JobRowT& job);
// "90 PENDING, 8 RUNNING, 2 COMPLETED": the states that occur, in their order.
[[nodiscard]] std::string counts_text(const fb::JobRowT& job);
// Elements in a state; in any ended state.
[[nodiscard]] std::uint64_t count_in(const fb::JobRowT& job, fb::JobState state);
[[nodiscard]] std::uint64_t count_ended(const fb::JobRowT& job);

// How a job ended, as an exit code: its own, 128 + signal, or 1 when it ended badly without either.
[[nodiscard]] int exit_code_of(const fb::JobRowT& job);
[[nodiscard]] int exit_code_of(const fb::JobElementT& element);
// "exit code 3", "SIGSEGV", "" for a good end.
[[nodiscard]] std::string ending_text(std::int32_t exit_code, int signal);

}  // namespace muster::cli

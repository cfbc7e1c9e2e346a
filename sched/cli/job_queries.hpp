// Questions about jobs, page by page. One thread.
#pragma once

#include <vector>

#include "sched/cli/session.hpp"

namespace muster::cli {

struct JobAnswer {
  std::vector<fb::JobRowT> jobs;
  std::vector<std::uint64_t> unknown;
  std::uint64_t total{};     // that match
  WallTime now;              // the gang's
  bool connected{true};
};

// `limit` rows at most (0 = all that match).
[[nodiscard]] Result<JobAnswer> fetch_jobs(Session& session, const fb::QueryJobsT& question, std::uint64_t limit,
                                           Instant deadline);
// One job, Errc::not_found with a sentence when there is none. With details: its spec, its places, and the elements
// from `elements_first` on, `elements_limit` at most.
struct Details {
  bool wanted{};
  std::uint32_t elements_first{};
  std::uint32_t elements_limit{};
};
[[nodiscard]] Result<fb::JobRowT> fetch_job(Session& session, std::uint64_t job, const Details& details, Instant deadline);
// The row as soon as its version is beyond `version`; the present one at the deadline.
[[nodiscard]] Result<fb::JobRowT> watch_job(Session& session, std::uint64_t job, std::uint64_t version, Instant deadline);

// "no job 7 in this cluster"
[[nodiscard]] Error unknown_job(std::uint64_t job);

}  // namespace muster::cli

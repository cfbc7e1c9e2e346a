// Policy: in which order pending jobs are tried, and when one that does not fit keeps others from passing it. Pure.
// One policy per file; the planner asks, and the answers may depend only on what is passed in.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string_view>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster::gang {

// What a policy may know of a pending job.
struct JobFacts {
  JobId job;
  std::uint32_t uid{};
  WallTime submitted;
  std::int32_t priority{};
  std::uint32_t overtaken{};   // starts of later jobs while this one did not fit
};

// Jobs are tried in ascending order of (key, id).
struct QueueKey {
  std::int64_t key{};
  JobId job;
  auto operator<=>(const QueueKey&) const = default;
};

class Policy {
 public:
  virtual ~Policy() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Asked when a job becomes pending.
  [[nodiscard]] virtual std::int64_t key(const JobFacts& job) const = 0;
  // Asked of the first job that does not fit: true, and offers are held for it, out of the reach of later jobs.
  [[nodiscard]] virtual bool holds(const JobFacts& job) const = 0;
  // How many pending jobs one pass tries.
  [[nodiscard]] virtual std::uint32_t tried_per_pass() const { return 1000; }
};

// "fifo". Errc::not_found lists the known ones.
[[nodiscard]] Result<std::unique_ptr<Policy>> make_policy(std::string_view name);

}  // namespace muster::gang

// OutputIndex: where the output of the jobs that ran here is, and which token opens it. Pure.
// One record per job (and try), not per array element: file names follow from the pattern. Bounded: the
// oldest jobs are forgotten first.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

struct JobOutput {
  FrameworkId framework;
  JobId job;
  std::uint64_t token_hi{};
  std::uint64_t token_lo{};
  std::string name;
  std::string user;
  std::uint32_t uid{};
  std::uint32_t gid{};
  std::string directory;
  std::string stdout_pattern;
  std::string stderr_pattern;  // "" = as stdout
  bool is_array{};
  std::uint32_t array_min{};
  std::uint32_t array_max{};
  std::uint32_t node_rank{};
  std::uint32_t first_rank{};
  std::uint32_t ranks{};
  bool operator==(const JobOutput&) const = default;
};

[[nodiscard]] JobOutput output_of(FrameworkId framework, const fb::TaskSpec& spec, const fb::LaunchEntry& entry);
[[nodiscard]] std::string encode_output(const JobOutput& output);
[[nodiscard]] Result<JobOutput> decode_output(std::string_view record);

class OutputIndex {
 public:
  explicit OutputIndex(std::size_t jobs_max = 20'000) : jobs_max_(jobs_max) {}

  // False when exactly this was known already: nothing needs to be recorded.
  bool put(const JobOutput& output);

  struct Query {
    JobId job;
    std::uint64_t token_hi{};
    std::uint64_t token_lo{};
    std::uint32_t index{};
    std::int32_t rank{-1};  // -1: the first rank here
    bool want_stderr{};
  };
  struct Found {
    FrameworkId framework;
    std::uint32_t uid{};
    std::uint32_t gid{};
    std::string path;
  };
  // Why a query is refused; the text names node `node_name`.
  [[nodiscard]] tl::expected<Found, Refusal> find(const Query& query, std::string_view node_name) const;
  [[nodiscard]] std::size_t size() const { return outputs_.size(); }

 private:
  using Key = std::pair<JobId, FrameworkId>;
  std::size_t jobs_max_;
  std::map<Key, JobOutput> outputs_;
  std::deque<Key> order_;  // oldest first
};

}  // namespace muster::node

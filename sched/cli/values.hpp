// The values that options and arguments take, in Slurm's forms. Pure.
// Errors: Errc::invalid_argument or Errc::out_of_range, naming the value and a form that is right.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::cli {

// "8": a whole number from min to max.
[[nodiscard]] Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max);

// "2" or "2-4".
struct NodeRange {
  std::uint32_t min{};
  std::uint32_t max{};
};
[[nodiscard]] Result<NodeRange> parse_node_range(std::string_view text);

// "1-10:2,20%5". Ranges come out ascending and disjoint, whatever order they were written in.
struct ArraySpec {
  std::vector<fb::IndexRange> ranges;
  std::uint32_t throttle{};  // 0 = none
  [[nodiscard]] std::uint64_t count() const;
};
inline constexpr std::uint64_t kArrayElementsMax = 10'000'000;
[[nodiscard]] Result<ArraySpec> parse_array(std::string_view text);
// The form that parse_array takes.
[[nodiscard]] std::string format_array(const std::vector<fb::IndexRange>& ranges, std::uint32_t throttle);

// "7", "7_3", "7_[2-9]" or "7_2-9": a job, or some elements of an array.
struct JobName {
  std::uint64_t job{};
  std::optional<std::uint32_t> first;  // absent: the whole job
  std::uint32_t last{};
  [[nodiscard]] bool is_element() const { return first.has_value() && *first == last; }
};
[[nodiscard]] Result<JobName> parse_job_name(std::string_view text);
[[nodiscard]] std::string format_job_name(const JobName& name);

// "10", "0.5", "10s", "500ms", "2m", "3h", "7d": seconds unless it says otherwise. From 0 to 100 years.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);
// The same from 1 ms to a day: how long to wait for an answer.
[[nodiscard]] Result<Duration> parse_timeout(std::string_view text);

// "KILL", "SIGKILL", "9" → 9.
[[nodiscard]] Result<int> parse_signal(std::string_view text);
// 9 → "SIGKILL"; "signal 77" for one without a name.
[[nodiscard]] std::string signal_name(int signal);

// "PENDING", "pd", "running"; a comma-separated list of them.
[[nodiscard]] Result<std::vector<fb::JobState>> parse_states(std::string_view text);
// "PENDING"…
[[nodiscard]] std::string_view state_name(fb::JobState state);
[[nodiscard]] constexpr bool is_ended(fb::JobState state) {
  return static_cast<std::uint8_t>(state) >= static_cast<std::uint8_t>(fb::JobState::Completed);
}

// "a,b,c" → {"a","b","c"}; empty parts are kept.
[[nodiscard]] std::vector<std::string> split(std::string_view text, char at);

}  // namespace muster::cli

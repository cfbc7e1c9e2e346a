// Taking the values of job options: what job_request.cpp and step_request.cpp share. Internal to sched/cli. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sched/cli/job_request.hpp"

namespace muster::cli {

// "--nodes: " before an error's text; an empty option leaves it as it is.
[[nodiscard]] inline tl::unexpected<Error> about(std::string_view option, const Error& error) {
  return fail(error.code, option.empty() ? error.text : std::string(option) + ": " + error.text);
}

// Parses `text` into `out` when it was given.
template <class Value, class Parse>
[[nodiscard]] Status take(const std::optional<std::string>& text, std::string_view option, Parse parse, Value& out) {
  if (!text) {
    return {};
  }
  auto value = parse(*text);
  if (!value) {
    return about(option, value.error());
  }
  out = static_cast<Value>(*value);
  return {};
}

[[nodiscard]] inline auto count_from(std::uint64_t min, std::uint64_t max) {
  return [min, max](std::string_view text) { return parse_count(text, min, max); };
}

// "0", "2", "500ms": how long to wait for processes.
[[nodiscard]] Result<std::uint64_t> parse_pause_ms(std::string_view text);

[[nodiscard]] Status take_files(const JobOptions& options, const Surroundings& here, fb::JobSpecT& spec);
// Ranks, nodes and the time limit of a step.
[[nodiscard]] Status take_step_sizes(const JobOptions& options, fb::StepSpecT& step);

}  // namespace muster::cli

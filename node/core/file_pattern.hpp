// File names of a task's output: what %j %A %a %x %N %n %t %u stand for. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "wire/base/ids.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

struct PatternValues {
  JobId job;
  bool is_array{};
  std::uint32_t index{};      // array element
  std::string_view job_name;
  std::string_view user;
  std::string_view node_name;
  std::uint32_t node_rank{};
  std::uint32_t rank{};
};

// Without the rank. The views point into `spec` and `node_name`.
[[nodiscard]] PatternValues pattern_values(std::string_view node_name, const fb::TaskSpec& spec, const fb::LaunchEntry& entry);

//   %j job id, in an array A_a    %A job id    %a array index (0 without an array)    %x job name ('/' becomes '_')
//   %N node name   %n node's place in the job   %t rank   %u user   %% a percent sign
// Digits after the percent sign pad numbers with zeros, as in Slurm: %4a → 0007 (at most 20).
// Other letters stay as they are.
[[nodiscard]] std::string expand_pattern(std::string_view pattern, const PatternValues& values);

// True when every rank has a file of its own (%t).
[[nodiscard]] bool names_rank(std::string_view pattern);

// `path` itself when it is absolute, else below `directory`.
[[nodiscard]] std::string absolute_path(std::string_view path, std::string_view directory);

// "muster-%j.out", or "muster-%A_%a.out" for an array.
[[nodiscard]] std::string_view default_output_pattern(bool is_array);

}  // namespace muster::node

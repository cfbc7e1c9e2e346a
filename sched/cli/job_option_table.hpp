// Every option that shapes a job or a step: one table for the command lines of submit, run and batch, and for the
// directive lines of batch scripts. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sched/cli/commands.hpp"

namespace muster::cli {

enum class Argument : std::uint8_t { none, required, optional };  // optional: only as --x=V or -xV

// Where an option may stand.
inline constexpr std::uint8_t kInSubmit = 1;
inline constexpr std::uint8_t kInRun = 2;
inline constexpr std::uint8_t kInBatch = 4;
inline constexpr std::uint8_t kInScript = 8;  // a directive line
inline constexpr std::uint8_t kInJobs = kInSubmit | kInBatch | kInScript;
inline constexpr std::uint8_t kEverywhere = kInJobs | kInRun;

struct JobOption {
  enum class Use : std::uint8_t { taken, ignored, refused };

  std::string_view name;        // long, without dashes
  char letter{};                // 0: none
  Argument argument{};
  std::uint8_t where{};
  Use use{};
  std::optional<std::string> JobOptions::*text{};  // of those taken: where the value goes,
  bool JobOptions::*flag{};                        // or that it was given
  std::string_view value_name;
  std::string_view group;
  std::string_view help;        // ignored: why it may be; refused: what to do instead ("": leave it out)
  std::string_view note;        // of those taken: one warning, because they have no effect yet

  [[nodiscard]] std::string written() const { return "--" + std::string(name); }
};

[[nodiscard]] std::span<const JobOption> job_options();

// By long name or single letter, among those that may stand at `where` (refused ones stand everywhere); nullptr if unknown.
[[nodiscard]] const JobOption* find_job_option(std::string_view name, std::uint8_t where);
[[nodiscard]] const JobOption* find_job_option(char letter, std::uint8_t where);
// The same, or the only ones that begin with `name` (getopt_long's rule).
[[nodiscard]] std::vector<const JobOption*> job_options_like(std::string_view name, std::uint8_t where);

// Puts a value (of an option that takes one) or a flag into `options`. Ignored ones are remembered for a warning.
void set_option(const JobOption& option, const std::string& value, JobOptions& options);
[[nodiscard]] bool is_set(const JobOption& option, const JobOptions& options);

// `over` where it says something, else `base`. Of --mem and --mem-per-cpu, and of --requeue and --no-requeue, one in `over`
// replaces either in `base`.
[[nodiscard]] JobOptions merged(JobOptions base, const JobOptions& over);

// One line each for options that have no effect (yet).
[[nodiscard]] std::vector<std::string> option_warnings(const JobOptions& options);

}  // namespace muster::cli

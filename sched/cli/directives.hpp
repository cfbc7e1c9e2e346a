// The directive lines of a batch script, read as sbatch reads them. Pure.
//
//   #SBATCH --time=1:00:00 -N4   # and a comment
//   #MUSTER --private-tmp
//
// A directive begins in a line's first column, and stands before the first line that is neither blank nor a comment. Its words
// are cut at blanks, outside of '…' and "…"; \ takes the next character as it is; # begins a comment. Options follow
// getopt_long: -N4, -N 4, --nodes=4, --nodes 4, and any unique beginning of a long name. #MUSTER lines win over #SBATCH
// lines; among alike the last one does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sched/cli/job_option_table.hpp"
#include "wire/base/result.hpp"

namespace muster::cli {

struct Directive {
  const JobOption* option{};  // of job_options()
  std::string value;
  std::uint32_t line{};       // from 1
};

struct Directives {
  std::vector<Directive> list;        // the ones that win come last
  std::vector<std::string> warnings;  // lines for other batch systems

  [[nodiscard]] JobOptions options() const;
  // The line that gave an option its value; 0 if none did.
  [[nodiscard]] std::uint32_t line_of(std::string_view option_name) const;
};

// `file` stands in errors: "job.sh:3: unknown option --nods; did you mean --nodes?". Errors: invalid_argument; unsupported for
// an option whose meaning muster can't give it.
[[nodiscard]] Result<Directives> read_directives(std::string_view script, std::string_view file);

// A script must be text that the system can start: not empty, no binary, "#!" first, and no DOS line ends.
[[nodiscard]] Status check_script(std::string_view script, std::string_view file);
[[nodiscard]] bool is_elf(std::string_view content);

// What SBATCH_* variables say (SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_ARRAY_INX, SBATCH_MEM_PER_NODE, …), then what
// MUSTER_BATCH_* variables say (MUSTER_BATCH_TIME, …): those win. Names that are no option's are left alone.
[[nodiscard]] JobOptions options_of_environment(const std::vector<std::string>& environment);

}  // namespace muster::cli

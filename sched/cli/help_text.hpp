// The words of `muster help`. Pure.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace muster::cli {

struct Subcommand;

extern const std::string_view kExitCodesHelp;

// What `muster` prints without arguments.
[[nodiscard]] std::string overview(const std::vector<std::unique_ptr<Subcommand>>& subcommands);

// "sbatch" → "submit"; "" for what is no word of Slurm.
[[nodiscard]] std::string instead_of_slurm(std::string_view word);

}  // namespace muster::cli

// The command line of `muster`: words in, a Command out. Pure.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sched/cli/commands.hpp"

namespace muster::cli {

struct Parsed {
  CommonOptions common;
  Command command;
};

// The line asks for no work: help, or an error with its words (without "muster: " in front).
struct Stop {
  int exit_code{};
  std::string text;
};

// `args` without the program's name.
[[nodiscard]] tl::expected<Parsed, Stop> parse_command_line(std::span<const std::string> args);

// The names of all subcommands, in the order help lists them.
[[nodiscard]] std::vector<std::string> subcommand_names();

}  // namespace muster::cli

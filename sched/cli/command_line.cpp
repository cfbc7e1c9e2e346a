#include "sched/cli/command_line.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "sched/cli/catalogue.hpp"
#include "sched/cli/exit_codes.hpp"
#include "sched/cli/help_text.hpp"
#include "sched/cli/job_option_table.hpp"
#include "wire/base/suggest.hpp"

namespace muster::cli {
namespace {

Stop usage_error(std::string text) { return {kUsage, std::move(text)}; }

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

std::string unknown_option(const Subcommand& sub, const std::string& written) {
  if (sub.takes_command) {
    const JobOption* const other = written.starts_with("--") ? find_job_option(written.substr(2), kEverywhere)
                                                             : find_job_option(written[1], kEverywhere);
    // Options of sbatch and srun that mean something muster can't do yet are refused by name: a job must not run as
    // something else than was asked for.
    if (other != nullptr && other->use == JobOption::Use::refused) {
      return sub.name + ": muster has no " + written + " yet; " + (other->help.empty() ? "leave it out" : std::string(other->help));
    }
    if (other != nullptr && written.starts_with("--")) {
      return sub.name + ": " + written + " is an option of muster " + (other->where == kInRun ? "run" : "batch") + ", not of muster " + sub.name;
    }
  }
  std::string text = sub.name + ": unknown option " + written;
  const std::string near = written.starts_with("--") ? nearest(written, option_names(*sub.app)) : "";
  return text + (near.empty() ? "; see: muster " + sub.name + " --help" : "; did you mean " + near + "?");
}

// The arguments of a subcommand, cut where its options end. CLI11 sees only what it knows, so that every error is ours.
struct Cut {
  std::vector<std::string> options;  // and positionals, unless the subcommand takes a command
  std::vector<std::string> command;
  bool bare{true};                   // no "--" stood before the command
};

bool takes_value(const CLI::Option* option) { return option->get_items_expected_max() > 0; }
bool needs_value(const CLI::Option* option) { return option->get_items_expected_min() > 0; }

tl::expected<Cut, Stop> cut_options(const Subcommand& sub, std::span<const std::string> args) {
  Cut cut;
  const auto missing_value = [&](const std::string& name, const CLI::Option* option) {
    return tl::unexpected(usage_error(sub.name + ": " + name + " needs a value: " + name + " " + option->get_type_name()));
  };
  std::size_t i = 0;
  for (; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") {
      ++i;
      cut.bare = false;
      break;
    }
    if (arg.size() < 2 || arg[0] != '-') {
      if (sub.takes_command) {
        break;
      }
      cut.options.push_back(arg);
      continue;
    }
    cut.options.push_back(arg);
    if (arg.starts_with("--")) {
      const auto equals = arg.find('=');
      const std::string name = arg.substr(0, equals);
      const CLI::Option* option = sub.app->get_option_no_throw(name);
      if (option == nullptr) {
        return tl::unexpected(usage_error(unknown_option(sub, name)));
      }
      if (!takes_value(option)) {
        if (equals != std::string::npos) {
          return tl::unexpected(usage_error(sub.name + ": " + name + " takes no value"));
        }
      } else if (equals == std::string::npos && needs_value(option)) {
        if (++i == args.size()) {
          return missing_value(name, option);
        }
        cut.options.back() += "=" + args[i];
      }
      continue;
    }
    for (std::size_t at = 1; at < arg.size(); ++at) {  // -fq, -n8
      const std::string name = std::string("-") + arg[at];
      const CLI::Option* option = sub.app->get_option_no_throw(name);
      if (option == nullptr) {
        return tl::unexpected(usage_error(unknown_option(sub, name)));
      }
      if (takes_value(option)) {
        if (at + 1 == arg.size() && needs_value(option)) {
          if (++i == args.size()) {
            return missing_value(name, option);
          }
          cut.options.push_back(args[i]);
        }
        break;
      }
    }
  }
  auto& rest = sub.takes_command ? cut.command : cut.options;
  rest.insert(rest.end(), args.begin() + static_cast<std::ptrdiff_t>(std::min(i, args.size())), args.end());
  return cut;
}

tl::expected<Parsed, Stop> parse_subcommand(Catalogue& catalogue, Subcommand& sub, std::span<const std::string> args) {
  auto cut = cut_options(sub, args);
  if (!cut) {
    return tl::unexpected(cut.error());
  }
  std::reverse(cut->options.begin(), cut->options.end());  // CLI11 takes them from the back
  try {
    sub.app->parse(cut->options);
  } catch (const CLI::CallForHelp&) {
    return tl::unexpected(Stop{kOk, tidy_help(sub.app->help())});
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(usage_error(sub.name + ": " + error.what() + "; see: muster " + sub.name + " --help"));
  }
  if (sub.takes_command) {
    const bool nothing = cut->command.empty() && sub.command_optional;
    if (!nothing && (cut->command.empty() || cut->command.front().empty())) {
      return tl::unexpected(usage_error(sub.name + ": no command; write: muster " + sub.name + " [OPTIONS] -- COMMAND [ARGS...]"));
    }
    *sub.trailing = cut->command;
    if (sub.bare != nullptr) {
      *sub.bare = cut->bare;
    }
  }
  auto common = catalogue.common();
  if (!common) {
    return tl::unexpected(usage_error(sub.name + ": " + common.error().text));
  }
  auto command = sub.finish();
  if (!command) {
    return tl::unexpected(usage_error(sub.name + ": " + command.error().text));
  }
  return Parsed{std::move(*common), std::move(*command)};
}

void fill(Catalogue& catalogue) {
  add_job_subcommands(catalogue);
  add_step_subcommands(catalogue);
  add_queue_subcommands(catalogue);
  add_cluster_subcommands(catalogue);
  add_bench_subcommand(catalogue);
  catalogue.add_common_options();
}

std::string unknown_subcommand(const Catalogue& catalogue, const std::string& word) {
  std::vector<std::string> names;
  for (const auto& sub : catalogue.all()) {
    names.push_back(sub->name);
  }
  const std::string slurm = instead_of_slurm(word);
  const std::string near = slurm.empty() ? nearest(word, names) : slurm;
  return "unknown command " + word + (near.empty() ? "; see: muster help" : "; did you mean muster " + near + "?");
}

tl::expected<Parsed, Stop> help_on(Catalogue& catalogue, std::span<const std::string> topics) {
  if (topics.empty()) {
    return tl::unexpected(Stop{kOk, overview(catalogue.all())});
  }
  if (topics[0] == "exit-codes") {
    return tl::unexpected(Stop{kOk, std::string(kExitCodesHelp)});
  }
  if (const Subcommand* sub = catalogue.find(topics[0])) {
    return tl::unexpected(Stop{kOk, tidy_help(sub->app->help())});
  }
  return tl::unexpected(usage_error(unknown_subcommand(catalogue, topics[0])));
}

}  // namespace

std::vector<std::string> subcommand_names() {
  Catalogue catalogue;
  fill(catalogue);
  std::vector<std::string> names;
  for (const auto& sub : catalogue.all()) {
    names.push_back(sub->name);
  }
  return names;
}

tl::expected<Parsed, Stop> parse_command_line(std::span<const std::string> args) {
  Catalogue catalogue;
  fill(catalogue);
  // Common options may stand before the subcommand: muster --dir D status.
  std::vector<std::string> words;
  std::size_t i = 0;
  for (; i < args.size() && args[i].starts_with("-"); ++i) {
    const std::string& arg = args[i];
    if (arg == "-h" || arg == "--help") {
      return help_on(catalogue, {});
    }
    if (arg == "-V" || arg == "--version") {
      return Parsed{{}, VersionCommand{}};
    }
    words.push_back(arg);
    if (arg == "--json" || arg.starts_with("--dir=") || arg.starts_with("--cluster=") || arg.starts_with("--timeout=")) {
      continue;
    }
    if (arg != "--dir" && arg != "--cluster" && arg != "--timeout") {
      const std::vector<std::string> known{"--dir", "--cluster", "--timeout", "--json", "--help", "--version"};
      const std::string near = nearest(arg, known);
      return tl::unexpected(usage_error("unknown option " + arg + " before the command" +
                                        (near.empty() ? "; see: muster help" : "; did you mean " + near + "?")));
    }
    if (++i == args.size()) {
      return tl::unexpected(usage_error(arg + " needs a value"));
    }
    words.push_back(args[i]);
  }
  if (i == args.size()) {
    return tl::unexpected(Stop{kUsage, overview(catalogue.all())});
  }
  const std::string name = args[i++];
  const std::span<const std::string> rest = args.subspan(i);
  if (name == "help") {
    return help_on(catalogue, rest);
  }
  Subcommand* sub = catalogue.find(name);
  if (sub == nullptr) {
    return tl::unexpected(usage_error(unknown_subcommand(catalogue, name)));
  }
  words.insert(words.end(), rest.begin(), rest.end());
  return parse_subcommand(catalogue, *sub, words);
}

}  // namespace muster::cli

// Catalogue: every subcommand with its options, as CLI11 apps, and how to make a Command of what was given.
// Internal to sched/cli. Pure.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sched/cli/commands.hpp"

namespace muster::cli {

struct Subcommand {
  std::string name;
  std::string group;        // heading in `muster help`
  std::string summary;
  bool json{};              // has --json
  bool takes_command{};     // what follows the options is a program and its arguments, untouched
  std::unique_ptr<CLI::App> app;
  std::function<Result<Command>()> finish;       // after app->parse()
  bool command_optional{};                       // it may be left out
  std::vector<std::string>* trailing{};          // where the program goes
  bool* bare{};                                  // set when no "--" stood before it
};

// The common options as CLI11 leaves them.
struct CommonDraft {
  std::optional<std::string> dir;
  std::optional<std::string> cluster;
  std::optional<std::string> timeout;
  bool json{};
};

class Catalogue {
 public:
  Catalogue();

  struct Words {
    std::string name;
    std::string group;
    std::string summary;
    std::string more;       // examples and exit codes, below the options
  };
  // A new subcommand; `json`: whether it has --json.
  Subcommand& add(const Words& words, bool json);
  // Gives the common options to all, after their own.
  void add_common_options();
  [[nodiscard]] Subcommand* find(const std::string& name);
  [[nodiscard]] const std::vector<std::unique_ptr<Subcommand>>& all() const { return all_; }
  [[nodiscard]] Result<CommonOptions> common() const;

 private:
  CommonDraft draft_;
  std::vector<std::unique_ptr<Subcommand>> all_;
};

void add_job_subcommands(Catalogue& catalogue);      // submit, batch, run
void add_step_subcommands(Catalogue& catalogue);     // alloc, attach, exec
void add_queue_subcommands(Catalogue& catalogue);    // queue, job, wait, cancel, hold, release, logs
void add_cluster_subcommands(Catalogue& catalogue);  // up, down, status, nodes, …
void add_bench_subcommand(Catalogue& catalogue);

// CLI11's help with long lines broken and no more than one blank line. Pure.
[[nodiscard]] std::string tidy_help(const std::string& help);

// An option whose text is kept as written: CLI11 checks nothing but that it is there.
template <class Target>
CLI::Option* add_text(CLI::App& app, const std::string& names, Target& target, const std::string& value_name,
                      const std::string& what) {
  return app.add_option_function<std::string>(
                names, [&target](const std::string& text) { target = text; }, what)
      ->type_name(value_name)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

// "7 7_3 9" as the positional JOB... of a subcommand.
[[nodiscard]] Result<std::vector<JobName>> parse_job_names(const std::vector<std::string>& texts);

}  // namespace muster::cli

// submit and run: the options that shape a job.
#include "sched/cli/catalogue.hpp"
#include "sched/cli/job_option_table.hpp"

namespace muster::cli {
namespace {

std::string names_of(const JobOption& option) {
  return (option.letter != 0 ? std::string("-") + option.letter + "," : "") + option.written();
}

// Every option of the table that may stand here. Those without effect are taken and not listed.
void add_table(CLI::App& app, JobOptions& job, std::uint8_t where) {
  for (const JobOption& option : job_options()) {
    if (option.use == JobOption::Use::refused || (option.where & where) == 0) {
      continue;
    }
    std::string help(option.help);
    if (option.name == "output") {
      help += where == kInRun ? "; default: it is shown here" : "; default muster-%j.out";
    }
    if (option.name == "input") {
      help += where == kInRun ? ": FILE, all (default: what comes here), none, or the number of the one that gets it" : "; default /dev/null";
    }
    const auto put = [&job, &option](const std::string& value) { set_option(option, value, job); };
    CLI::Option* added = nullptr;
    if (option.argument == Argument::none) {
      added = app.add_flag_function(names_of(option), [put](std::int64_t) { put(""); }, help);
    } else {
      added = app.add_option_function<std::string>(names_of(option), put, help)
                  ->type_name(std::string(option.value_name))
                  ->expected(option.argument == Argument::optional ? 0 : 1, 1)
                  ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
    added->group(std::string(option.group));
  }
}

constexpr const char* kSubmitMore =
    "Examples:\n"
    "  muster submit -- ./app input.dat              one task, one cpu\n"
    "  muster submit -n 8 -c 2 -t 30 -- ./app -v     eight tasks of two cpus, half an hour at most\n"
    "  muster submit -a 1-1000%50 -- ./step          an array: each sees its MUSTER_ARRAY_INDEX\n"
    "  muster submit job.sh                          without --, a script: as muster batch job.sh\n"
    "Exit codes: 0 queued (with --wait: the job's own), 2 bad option, 3 no cluster, 4 refused, 5 no answer in time.\n";

constexpr const char* kBatchMore =
    "The script runs once, on the first node of its allocation; muster run inside it starts steps on all of it.\n"
    "Options come from the command line, then from SBATCH_* and MUSTER_BATCH_* variables, then from lines such as\n"
    "  #SBATCH --ntasks=64 --time=1:00:00   # above the first command\n"
    "Examples:\n"
    "  muster batch job.sh input.dat\n"
    "  muster batch -N 2 --ntasks-per-node=4 job.sh      options of the command line win\n"
    "  muster batch -n 8 --wrap 'muster run ./app'\n"
    "Exit codes: 0 queued (with --wait: the job's own), 2 bad option, 3 no cluster, 4 refused, 5 no answer in time.\n";

constexpr const char* kRunMore =
    "Its standard output and error come here while it runs, and standard input goes to its ranks. Inside an allocation (a batch\n"
    "script, alloc) it is a step of it, else a job of its own. Ctrl-C interrupts the ranks; a second one within a second ends\n"
    "them, a third leaves them to end.\n"
    "Examples:\n"
    "  muster run hostname\n"
    "  muster run -n 8 -N 2 -- ./app\n"
    "Exit codes: the job's own (128 + signal for a signal); 2 bad option, 3 no cluster, 4 refused, 5 no answer in time,\n"
    "130 left by Ctrl-C.\n";

constexpr const char* kAllocMore =
    "A shell (or a command of yours) here, while the nodes are held: muster run in it starts steps there.\n"
    "Examples:\n"
    "  muster alloc -N 2 -t 60\n"
    "  muster alloc -n 8 -- ./drive-steps.sh\n"
    "Exit codes: the shell's own; 2 bad option, 3 no cluster, 4 refused, 5 no answer in time.\n";

}  // namespace

void add_job_subcommands(Catalogue& catalogue) {
  {
    auto draft = std::make_shared<SubmitCommand>();
    Subcommand& sub = catalogue.add({"submit", "Jobs", "queue a job, or an array of jobs", kSubmitMore}, true);
    CLI::App& app = *sub.app;
    add_table(app, draft->job, kInSubmit);
    app.add_flag("--parsable", draft->parsable, "print the job's number and nothing else")->group("Common");
    app.add_flag("-W,--wait", draft->wait, "wait until it has ended; exit with its code")->group("Common");
    app.add_option("COMMAND", draft->job.command, "the program and its arguments")->type_name("[ARGS...]");
    sub.takes_command = true;
    sub.trailing = &draft->job.command;
    sub.bare = &draft->bare;
    sub.finish = [draft]() -> Result<Command> { return *draft; };
  }
  {
    auto draft = std::make_shared<BatchCommand>();
    Subcommand& sub = catalogue.add({"batch", "Jobs", "queue a batch script, with its #SBATCH and #MUSTER lines", kBatchMore}, true);
    CLI::App& app = *sub.app;
    add_table(app, draft->job, kInBatch);
    add_text(app, "--wrap", draft->wrap, "COMMAND", "a shell command line instead of a script")
        ->group("What kind");
    app.add_flag("--parsable", draft->parsable, "print the job's number and nothing else")->group("Common");
    app.add_flag("-W,--wait", draft->wait, "wait until it has ended; exit with its code")->group("Common");
    app.add_option("SCRIPT", draft->job.command, "the script and its arguments; none, or -: standard input")->type_name("[ARGS...]");
    sub.takes_command = true;
    sub.command_optional = true;
    sub.trailing = &draft->job.command;
    sub.finish = [draft]() -> Result<Command> {
      if (draft->wrap && !draft->job.command.empty()) {
        return fail(Errc::invalid_argument, "--wrap and a script exclude each other");
      }
      return *draft;
    };
  }
  {
    auto draft = std::make_shared<RunCommand>();
    Subcommand& sub = catalogue.add({"run", "Jobs", "run a job and show its output here", kRunMore}, false);
    CLI::App& app = *sub.app;
    add_table(app, draft->job, kInRun);
    app.add_flag("-q,--quiet", draft->quiet, "say nothing of our own but errors");
    app.add_option("COMMAND", draft->job.command, "the program and its arguments")->type_name("[ARGS...]");
    sub.takes_command = true;
    sub.trailing = &draft->job.command;
    sub.finish = [draft]() -> Result<Command> { return *draft; };
  }
  {
    auto draft = std::make_shared<AllocCommand>();
    Subcommand& sub = catalogue.add({"alloc", "Jobs", "a shell that has an allocation", kAllocMore}, false);
    CLI::App& app = *sub.app;
    add_table(app, draft->job, kInRun);
    app.add_flag("-q,--quiet", draft->quiet, "say nothing of our own but errors");
    app.add_option("COMMAND", draft->job.command, "a program and its arguments; default: your shell")->type_name("[ARGS...]");
    sub.takes_command = true;
    sub.command_optional = true;
    sub.trailing = &draft->job.command;
    sub.finish = [draft]() -> Result<Command> { return *draft; };
  }
}

}  // namespace muster::cli

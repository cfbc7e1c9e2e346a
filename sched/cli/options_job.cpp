// submit and run: the options that shape a job.
#include "sched/cli/catalogue.hpp"

namespace muster::cli {
namespace {

void add_size_options(CLI::App& app, JobOptions& job) {
  add_text(app, "-n,--ntasks", job.ntasks, "N", "tasks (ranks): processes of the command, started together; default 1, "
                                                "or one per node with -N")
      ->group("How much");
  add_text(app, "-N,--nodes", job.nodes, "N|MIN-MAX", "nodes to spread over; default: as few as fit")->group("How much");
  add_text(app, "-c,--cpus-per-task", job.cpus_per_task, "CPUS", "cpus of each task, such as 4 or 0.5; default 1")
      ->group("How much");
  add_text(app, "--ntasks-per-node", job.ntasks_per_node, "N", "at most so many tasks on one node")->group("How much");
  add_text(app, "--mem", job.mem, "SIZE", "memory on each node: 4G, 512M; a bare number is megabytes; default: in "
                                          "proportion to the cpus")
      ->group("How much");
  add_text(app, "--mem-per-cpu", job.mem_per_cpu, "SIZE", "memory for each cpu, instead of --mem")->group("How much");
  add_text(app, "--gpus-per-task", job.gpus_per_task, "N", "gpus of each task; default 0")->group("How much");
  add_text(app, "--tmp", job.tmp, "SIZE", "disk on each node; default none asked")->group("How much");
  add_text(app, "-t,--time", job.time, "TIME", "time limit: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS; 0 or "
                                               "UNLIMITED: none; default none")
      ->group("How much");
}

void add_file_options(CLI::App& app, JobOptions& job, bool run) {
  add_text(app, "-D,--chdir", job.chdir, "DIR", "working directory; default: this one")->group("Files and surroundings");
  add_text(app, "-i,--input", job.input, "FILE", "standard input of every task; default /dev/null")
      ->group("Files and surroundings");
  add_text(app, "-o,--output", job.output, "PATTERN",
           run ? "keep the output in this file too; default: it is only shown here"
               : "output file: %j job (A_a in an array), %A array, %a index, %x name, %N node, %n node's rank, %t rank, %u "
                 "user; default muster-%j.out")
      ->group("Files and surroundings");
  add_text(app, "-e,--error", job.error, "PATTERN", "file for standard error; default: the same as the output")
      ->group("Files and surroundings");
  add_text(app, "--open-mode", job.open_mode, "append|truncate", "what happens to existing output files; default truncate")
      ->group("Files and surroundings");
  add_text(app, "--export", job.environment, "ALL|NONE|VARS",
           "environment: ALL of it (default), NONE but PATH, HOME, USER, LOGNAME and SHELL, or those and a list such as "
           "ALL,A=1 or PATH,B=2")
      ->group("Files and surroundings");
}

void add_kind_options(CLI::App& app, JobOptions& job) {
  add_text(app, "-J,--job-name", job.name, "NAME", "name; default: the command's")->group("What kind");
  add_text(app, "-a,--array", job.array, "RANGES",
           "an array of alike jobs: 1-100, 1-9:2, 1,5,7; %50 at the end: at most 50 at once")
      ->group("What kind");
  app.add_flag("--requeue", job.requeue, "run it again when its node is lost; default: it ends as NODE_FAIL or LOST")
      ->group("What kind");
  app.add_flag("-H,--hold", job.hold, "queue it held, until muster release")->group("What kind");
  add_text(app, "--kill-grace", job.kill_grace, "SECONDS", "from SIGTERM to SIGKILL at its end; default 5")
      ->group("What kind");
  add_text(app, "--comment", job.comment, "TEXT", "kept with the job")->group("What kind");
  add_text(app, "--key", job.key, "KEY", "submit key of 1 to 32 hex digits: the same key is the same job, however often it "
                                         "is sent; default random")
      ->group("What kind");
}

constexpr const char* kSubmitMore =
    "Examples:\n"
    "  muster submit ./app input.dat                 one task, one cpu\n"
    "  muster submit -n 8 -c 2 -t 30 -- ./app -v     eight tasks of two cpus, half an hour at most\n"
    "  muster submit -a 1-1000%50 -- ./step          an array: each sees its MUSTER_ARRAY_INDEX\n"
    "Exit codes: 0 queued (with --wait: the job's own), 2 bad option, 3 no cluster, 4 refused, 5 no answer in time.\n";

constexpr const char* kRunMore =
    "Its standard output and error come here while it runs. Ctrl-C cancels the job; a second Ctrl-C leaves it.\n"
    "Examples:\n"
    "  muster run hostname\n"
    "  muster run -n 8 -N 2 -- ./app\n"
    "Exit codes: the job's own (128 + signal for a signal); 2 bad option, 3 no cluster, 4 refused, 5 no answer in time,\n"
    "130 left by Ctrl-C.\n";

}  // namespace

void add_job_subcommands(Catalogue& catalogue) {
  {
    auto draft = std::make_shared<SubmitCommand>();
    Subcommand& sub = catalogue.add({"submit", "Jobs", "queue a job, or an array of jobs", kSubmitMore}, true);
    CLI::App& app = *sub.app;
    add_size_options(app, draft->job);
    add_kind_options(app, draft->job);
    add_file_options(app, draft->job, false);
    app.add_flag("--parsable", draft->parsable, "print the job's number and nothing else");
    app.add_flag("-W,--wait", draft->wait, "wait until it has ended; exit with its code");
    app.add_option("COMMAND", draft->job.command, "the program and its arguments")->type_name("[ARGS...]");
    sub.takes_command = true;
    sub.trailing = &draft->job.command;
    sub.finish = [draft]() -> Result<Command> { return *draft; };
  }
  {
    auto draft = std::make_shared<RunCommand>();
    Subcommand& sub = catalogue.add({"run", "Jobs", "run a job and show its output here", kRunMore}, false);
    CLI::App& app = *sub.app;
    add_size_options(app, draft->job);
    add_kind_options(app, draft->job);
    add_file_options(app, draft->job, true);
    app.add_flag("-q,--quiet", draft->quiet, "say nothing of our own but errors");
    app.add_option("COMMAND", draft->job.command, "the program and its arguments")->type_name("[ARGS...]");
    sub.takes_command = true;
    sub.trailing = &draft->job.command;
    sub.finish = [draft]() -> Result<Command> { return *draft; };
  }
}

}  // namespace muster::cli

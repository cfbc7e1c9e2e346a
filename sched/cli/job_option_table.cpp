#include "sched/cli/job_option_table.hpp"

#include <algorithm>
#include <array>

namespace muster::cli {
namespace {

using Use = JobOption::Use;

constexpr std::array<JobOption, 118> kOptions{{
    {"ntasks", 'n', Argument::required, kEverywhere, Use::taken, &JobOptions::ntasks, nullptr, "N", "How much",
     "tasks (ranks): processes, started together; default 1, or one per node with -N", ""},
    {"nodes", 'N', Argument::required, kEverywhere, Use::taken, &JobOptions::nodes, nullptr, "N|MIN-MAX", "How much",
     "nodes to spread over; default: as few as fit", ""},
    {"cpus-per-task", 'c', Argument::required, kEverywhere, Use::taken, &JobOptions::cpus_per_task, nullptr, "CPUS", "How much",
     "cpus of each task, such as 4 or 0.5; default 1", ""},
    {"ntasks-per-node", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::ntasks_per_node, nullptr, "N", "How much",
     "at most so many tasks on one node", ""},
    {"tasks-per-node", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::ntasks_per_node, nullptr, "N", "",
     "the same as --ntasks-per-node", ""},
    {"mem", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::mem, nullptr, "SIZE", "How much",
     "memory on each node: 4G, 512M; a bare number is megabytes; 0: all of it; default: in proportion to the cpus", ""},
    {"mem-per-cpu", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::mem_per_cpu, nullptr, "SIZE", "How much",
     "memory for each cpu, instead of --mem", ""},
    {"gpus-per-task", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::gpus_per_task, nullptr, "N", "How much",
     "gpus of each task; default 0", ""},
    {"gpus-per-node", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::gpus_per_node, nullptr, "N", "How much",
     "gpus on each node, shared out among its tasks", ""},
    {"gpus", 'G', Argument::required, kEverywhere, Use::taken, &JobOptions::gpus, nullptr, "N", "How much",
     "gpus of all tasks together", ""},
    {"gres", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::gres, nullptr, "LIST", "How much",
     "devices on each node, as gpu:2", ""},
    {"tmp", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::tmp, nullptr, "SIZE", "How much",
     "disk on each node; default none asked", ""},
    {"time", 't', Argument::required, kEverywhere, Use::taken, &JobOptions::time, nullptr, "TIME", "How much",
     "time limit: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS; 0 or UNLIMITED: none; default none", ""},
    {"exclusive", 0, Argument::optional, kEverywhere, Use::taken, &JobOptions::exclusive, nullptr, "", "How much",
     "nodes of its own, whatever they have left", ""},
    {"overlap", 0, Argument::none, kInRun, Use::taken, nullptr, &JobOptions::overlap, "", "How much",
     "inside an allocation: share cpus with its other steps", ""},
    {"distribution", 'm', Argument::required, kEverywhere, Use::taken, &JobOptions::distribution, nullptr, "KIND", "Ranks and cpus",
     "how ranks are dealt to nodes: block (default), cyclic or plane=N; then to sockets: block:cyclic", ""},
    {"cpu-bind", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::cpu_bind, nullptr, "KIND", "Ranks and cpus",
     "core (default), socket, numa, rank, none or map:0,2,4", ""},
    {"mem-bind", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::mem_bind, nullptr, "KIND", "Ranks and cpus",
     "local: memory of the NUMA nodes of a rank's cpus; none", ""},
    {"hint", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::hint, nullptr, "HINT", "Ranks and cpus",
     "nomultithread: one hardware thread of each core; multithread", ""},
    {"threads-per-core", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::threads_per_core, nullptr, "N", "Ranks and cpus",
     "use at most so many hardware threads of a core", ""},
    {"ntasks-per-socket", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::ntasks_per_socket, nullptr, "N", "Ranks and cpus",
     "deal neighbours in rank to different sockets", ""},
    {"mpi", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::mpi, nullptr, "KIND", "Ranks and cpus",
     "pmix, pmi1 or none; default: pmix and pmi1 are both offered", ""},
    {"report-bindings", 0, Argument::none, kInRun, Use::taken, nullptr, &JobOptions::report_bindings, "", "Ranks and cpus",
     "say which rank got which cpus", ""},
    {"nodelist", 'w', Argument::required, kInRun, Use::taken, &JobOptions::nodelist, nullptr, "NODES", "Ranks and cpus",
     "inside an allocation: only these of its nodes, as n1,n3 or n[1-4]", ""},
    {"job-name", 'J', Argument::required, kEverywhere, Use::taken, &JobOptions::name, nullptr, "NAME", "What kind",
     "name; default: the command's", ""},
    {"array", 'a', Argument::required, kEverywhere, Use::taken, &JobOptions::array, nullptr, "RANGES", "What kind",
     "an array of alike jobs: 1-100, 1-9:2, 1,5,7; %50 at the end: at most 50 at once", ""},
    {"requeue", 0, Argument::none, kEverywhere, Use::taken, nullptr, &JobOptions::requeue, "", "What kind",
     "run it again when its node is lost; default: it ends as NODE_FAIL or LOST", ""},
    {"no-requeue", 0, Argument::none, kEverywhere, Use::taken, nullptr, &JobOptions::no_requeue, "", "What kind",
     "the default: it is not run again", ""},
    {"hold", 'H', Argument::none, kEverywhere, Use::taken, nullptr, &JobOptions::hold, "", "What kind",
     "queue it held, until muster release", ""},
    {"private-tmp", 0, Argument::none, kEverywhere, Use::taken, nullptr, &JobOptions::private_tmp, "", "What kind",
     "/tmp and /var/tmp are the job's own (refused: not built yet)", ""},
    {"kill-grace", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::kill_grace, nullptr, "SECONDS", "What kind",
     "from SIGTERM to SIGKILL at its end; default 5", ""},
    {"comment", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::comment, nullptr, "TEXT", "What kind",
     "kept with the job", ""},
    {"key", 0, Argument::required, kInSubmit | kInRun | kInBatch, Use::taken, &JobOptions::key, nullptr, "KEY", "What kind",
     "submit key of 1 to 32 hex digits: the same key is the same job, however often it is sent; default random", ""},
    {"chdir", 'D', Argument::required, kEverywhere, Use::taken, &JobOptions::chdir, nullptr, "DIR", "Files and surroundings",
     "working directory; default: this one", ""},
    {"input", 'i', Argument::required, kEverywhere, Use::taken, &JobOptions::input, nullptr, "FILE", "Files and surroundings",
     "standard input of every task", ""},
    {"output", 'o', Argument::required, kEverywhere, Use::taken, &JobOptions::output, nullptr, "PATTERN", "Files and surroundings",
     "output file: %j job (A_a in an array), %A array, %a index, %x name, %N node, %n node's rank, %t rank, %u user", ""},
    {"error", 'e', Argument::required, kEverywhere, Use::taken, &JobOptions::error, nullptr, "PATTERN", "Files and surroundings",
     "file for standard error; default: the same as the output", ""},
    {"open-mode", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::open_mode, nullptr, "append|truncate", "Files and surroundings",
     "what happens to existing output files; default truncate", ""},
    {"export", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::environment, nullptr, "ALL|NONE|VARS", "Files and surroundings",
     "environment: ALL of it (default), NONE but PATH, HOME, USER, LOGNAME and SHELL, or those and a list such as ALL,A=1 or PATH,B=2", ""},
    {"label", 'l', Argument::none, kInRun, Use::taken, nullptr, &JobOptions::label, "", "While it runs",
     "begin every line with its rank's number", ""},
    {"pty", 0, Argument::none, kInRun, Use::taken, nullptr, &JobOptions::pty, "", "While it runs",
     "give rank 0 a terminal", ""},
    {"kill-on-bad-exit", 'K', Argument::optional, kEverywhere, Use::taken, &JobOptions::kill_on_bad_exit, nullptr, "0|1", "While it runs",
     "end a step when one of its ranks ends badly", ""},
    {"kill-wait", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::kill_wait, nullptr, "SECONDS", "While it runs",
     "from SIGTERM to SIGKILL for a step's ranks; default: --kill-grace", ""},
    {"wait", 'W', Argument::required, kInRun, Use::taken, &JobOptions::wait_after_first, nullptr, "SECONDS", "While it runs",
     "how long the other ranks may go on after the first has ended; default: for ever", ""},
    {"wait", 'W', Argument::none, kInScript, Use::taken, nullptr, &JobOptions::wait, "", "",
     "stay until the job has ended", ""},
    {"partition", 'p', Argument::required, kEverywhere, Use::taken, &JobOptions::partition, nullptr, "NAME", "Kept, without effect yet",
     "partition", "is kept with the job and has no effect yet"},
    {"account", 'A', Argument::required, kEverywhere, Use::taken, &JobOptions::account, nullptr, "NAME", "Kept, without effect yet",
     "whose share", "is kept with the job and has no effect yet"},
    {"qos", 'q', Argument::required, kInJobs, Use::taken, &JobOptions::qos, nullptr, "NAME", "Kept, without effect yet",
     "quality of service", "is kept with the job and has no effect yet"},
    {"reservation", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::reservation, nullptr, "NAME", "Kept, without effect yet",
     "reservation", "is kept with the job and has no effect yet"},
    {"mail-type", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::mail_type, nullptr, "EVENTS", "Kept, without effect yet",
     "when to write a mail", "is kept with the job and has no effect yet"},
    {"mail-user", 0, Argument::required, kEverywhere, Use::taken, &JobOptions::mail_user, nullptr, "ADDRESS", "Kept, without effect yet",
     "to whom", "is kept with the job and has no effect yet"},
    {"qos", 0, Argument::required, kInRun, Use::taken, &JobOptions::qos, nullptr, "NAME", "Kept, without effect yet",
     "quality of service", "is kept with the job and has no effect yet"},
    {"acctg-freq", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "usage is sampled as the node is set", ""},
    {"clusters", 'M', Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "the job goes to the cluster that the command speaks to", ""},
    {"cluster-constraint", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "the job goes to the cluster that the command speaks to", ""},
    {"contiguous", 0, Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are chosen as they come free", ""},
    {"core-spec", 'S', Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "cpus for the system are a setting of the node", ""},
    {"cores-per-socket", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are not chosen by their sockets", ""},
    {"cpu-freq", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "frequencies are left as they are", ""},
    {"delay-boot", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are always up", ""},
    {"extra", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nothing reads it", ""},
    {"extra-node-info", 'B', Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are not chosen by their sockets", ""},
    {"get-user-env", 0, Argument::optional, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "the environment is the submitter's", ""},
    {"gpu-bind", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "ranks get the nearest gpus", ""},
    {"gpu-freq", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "frequencies are left as they are", ""},
    {"ignore-pbs", 0, Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "#PBS lines are never read", ""},
    {"kill-on-invalid-dep", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "there are no dependencies", ""},
    {"mcs-label", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "there are no such labels", ""},
    {"mincpus", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "say --cpus-per-task and --ntasks-per-node", ""},
    {"network", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "there is nothing to choose", ""},
    {"nice", 0, Argument::optional, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "jobs run in the order of their submission", ""},
    {"no-kill", 'k', Argument::optional, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "a lost node ends the job", ""},
    {"ntasks-per-core", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "every task has its own cpus", ""},
    {"overcommit", 'O', Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "every task has its own cpus", ""},
    {"oversubscribe", 's', Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "cpus are never shared; nodes always may be", ""},
    {"parsable", 0, Argument::none, kInScript, Use::ignored, nullptr, nullptr, "", "",
     "it is an option of the command line", ""},
    {"power", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "there is nothing to choose", ""},
    {"priority", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "jobs run in the order of their submission", ""},
    {"profile", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "usage is always sampled", ""},
    {"propagate", 0, Argument::optional, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "limits are the node's", ""},
    {"quiet", 'Q', Argument::none, kInScript, Use::ignored, nullptr, nullptr, "", "",
     "it is an option of the command line", ""},
    {"reboot", 0, Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are not rebooted", ""},
    {"sockets-per-node", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are not chosen by their sockets", ""},
    {"spread-job", 0, Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "say --nodes", ""},
    {"switches", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nodes are chosen as they come free", ""},
    {"thread-spec", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "cpus for the system are a setting of the node", ""},
    {"time-min", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "the limit is --time", ""},
    {"tres-bind", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "ranks get the nearest gpus", ""},
    {"tres-per-task", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "use --cpus-per-task and --gpus-per-task", ""},
    {"unbuffered", 'u', Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "output is never held back", ""},
    {"use-min-nodes", 0, Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "as few nodes as fit is the default", ""},
    {"verbose", 'v', Argument::none, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "there is nothing more to say", ""},
    {"wait-all-nodes", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "all nodes are always ready", ""},
    {"wckey", 0, Argument::required, kEverywhere, Use::ignored, nullptr, nullptr, "", "",
     "nothing reads it", ""},
    {"batch", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"bb", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"bbf", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"begin", 'b', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "submit it held, and release it then", ""},
    {"constraint", 'C', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"container", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"cpus-per-gpu", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "use --cpus-per-task", ""},
    {"deadline", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"dependency", 'd', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"exclude", 'x', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"export-file", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "use --export", ""},
    {"gid", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "submit as that group", ""},
    {"gpus-per-socket", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "use --gpus-per-node", ""},
    {"het-group", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"licenses", 'L', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"mem-per-gpu", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "use --mem", ""},
    {"multi-prog", 0, Argument::none, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"nodefile", 'F', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"signal", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "see --kill-grace", ""},
    {"test-only", 0, Argument::none, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"uid", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "submit as that user", ""},
    {"wrap", 0, Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "use muster batch --wrap '…'", ""},
    {"x11", 0, Argument::optional, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
    {"nodelist", 'w', Argument::required, 0, Use::refused, nullptr, nullptr, "", "",
     "", ""},
}};

bool stands(const JobOption& option, std::uint8_t where) { return option.use == Use::refused || (option.where & where) != 0; }

}  // namespace

std::span<const JobOption> job_options() { return kOptions; }

const JobOption* find_job_option(std::string_view name, std::uint8_t where) {
  const auto* const found =
      std::find_if(kOptions.begin(), kOptions.end(), [&](const JobOption& o) { return o.name == name && stands(o, where); });
  return found == kOptions.end() ? nullptr : found;
}

const JobOption* find_job_option(char letter, std::uint8_t where) {
  const auto* const found = std::find_if(kOptions.begin(), kOptions.end(), [&](const JobOption& o) {
    return o.letter != 0 && o.letter == letter && stands(o, where);
  });
  return found == kOptions.end() ? nullptr : found;
}

std::vector<const JobOption*> job_options_like(std::string_view name, std::uint8_t where) {
  if (const JobOption* exact = find_job_option(name, where)) {
    return {exact};
  }
  std::vector<const JobOption*> like;
  for (const JobOption& option : kOptions) {
    const bool known = std::any_of(like.begin(), like.end(), [&](const JobOption* o) { return o->name == option.name; });
    if (!known && stands(option, where) && option.name.starts_with(name)) {
      like.push_back(&option);
    }
  }
  return like;
}

void set_option(const JobOption& option, const std::string& value, JobOptions& options) {
  if (option.use == Use::ignored) {
    if (std::find(options.ignored.begin(), options.ignored.end(), option.name) == options.ignored.end()) {
      options.ignored.emplace_back(option.name);
    }
  } else if (option.text != nullptr) {
    options.*option.text = value;
  } else if (option.flag != nullptr) {
    options.*option.flag = true;
    if (option.flag == &JobOptions::requeue) {
      options.no_requeue = false;
    } else if (option.flag == &JobOptions::no_requeue) {
      options.requeue = false;
    }
  }
}

bool is_set(const JobOption& option, const JobOptions& options) {
  return option.text != nullptr ? (options.*option.text).has_value() : option.flag != nullptr && options.*option.flag;
}

JobOptions merged(JobOptions base, const JobOptions& over) {
  if (over.mem || over.mem_per_cpu) {
    base.mem.reset();
    base.mem_per_cpu.reset();
  }
  for (const JobOption& option : kOptions) {
    if (is_set(option, over)) {
      set_option(option, option.text != nullptr ? *(over.*option.text) : "", base);
    }
  }
  for (const std::string& name : over.ignored) {
    if (std::find(base.ignored.begin(), base.ignored.end(), name) == base.ignored.end()) {
      base.ignored.push_back(name);
    }
  }
  if (!over.command.empty()) {
    base.command = over.command;
  }
  return base;
}

std::vector<std::string> option_warnings(const JobOptions& options) {
  std::vector<std::string> warnings;
  std::vector<std::string_view> noted;  // an option may have a row for some commands and another for others
  for (const JobOption& option : kOptions) {
    const bool ignored = option.use == Use::ignored &&
                         std::find(options.ignored.begin(), options.ignored.end(), option.name) != options.ignored.end();
    if (ignored) {
      warnings.push_back(option.written() + " has no effect: " + std::string(option.help));
    } else if (!option.note.empty() && is_set(option, options) &&
               std::find(noted.begin(), noted.end(), option.name) == noted.end()) {
      warnings.push_back(option.written() + " " + std::string(option.note));
      noted.push_back(option.name);
    }
  }
  return warnings;
}

}  // namespace muster::cli

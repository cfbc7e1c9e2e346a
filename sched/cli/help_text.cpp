#include "sched/cli/help_text.hpp"

#include <array>
#include <utility>

#include "sched/cli/catalogue.hpp"

namespace muster::cli {

const std::string_view kExitCodesHelp =
    "Exit codes of muster:\n"
    "    0  done\n"
    "    1  it could not be done, or a job ended badly without a code of its own\n"
    "    2  bad command line: nothing was sent\n"
    "    3  no cluster here, or it can't be reached: nothing was done\n"
    "    4  the cluster refused: can never fit, unknown job or node, not allowed\n"
    "    5  no answer by the deadline (--timeout, 10 s): the outcome is unknown\n"
    "  130  left by Ctrl-C\n"
    "run, wait and submit --wait exit with the job's own code: its exit code, 128 + signal when a signal ended it,\n"
    "1 when it ended badly without either. An error of muster's own always has a line on standard error that\n"
    "begins with \"muster: \".\n";

std::string overview(const std::vector<std::unique_ptr<Subcommand>>& subcommands) {
  std::string text =
      "muster: a batch scheduler for clusters, and for one machine.\n"
      "\n"
      "Usage: muster COMMAND [OPTIONS] [ARGS...]\n";
  for (const char* group : {"Cluster", "Jobs"}) {
    text += std::string("\n") + group + ":\n";
    for (const auto& sub : subcommands) {
      if (sub->group == group) {
        text += "  " + sub->name + std::string(sub->name.size() < 11 ? 12 - sub->name.size() : 1, ' ') + sub->summary + "\n";
      }
    }
  }
  text +=
      "\n"
      "Help on one command: muster help COMMAND. Exit codes: muster help exit-codes.\n"
      "The cluster is the one of --dir or --cluster, else $MUSTER_DIR, else $MUSTER_CLUSTER, else the one in ~/.muster,\n"
      "else the one that /etc/muster/cluster.toml names.\n"
      "\n"
      "First steps:\n"
      "  muster up                          a cluster on this machine\n"
      "  muster run -n 2 -- hostname        two tasks, output here\n"
      "  muster batch job.sh                a batch script, with its #SBATCH lines\n"
      "  muster submit -- ./app             a program as a job\n"
      "  muster queue                       what waits and runs\n";
  return text;
}

std::string instead_of_slurm(std::string_view word) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kWords{{
      {"sbatch", "batch"}, {"srun", "run"}, {"squeue", "queue"}, {"scancel", "cancel"}, {"sinfo", "nodes"},
      {"sacct", "queue --all"}, {"scontrol", "job"}, {"kill", "cancel"}, {"ps", "queue"}, {"start", "up"},
      {"stop", "down"}, {"sattach", "logs -f"},
  }};
  for (const auto& [theirs, ours] : kWords) {
    if (theirs == word) {
      return std::string(ours);
    }
  }
  return "";
}

}  // namespace muster::cli

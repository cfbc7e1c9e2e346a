// alloc, attach, exec.
#include "sched/cli/catalogue.hpp"

namespace muster::cli {
namespace {

void add_attach(Catalogue& catalogue) {
  struct Draft {
    AttachCommand command;
    std::string job;
    std::optional<std::string> step;
  };
  auto draft = std::make_shared<Draft>();
  Subcommand& sub = catalogue.add({"attach", "Jobs", "show a running step's output from now on",
                                   "Ctrl-C leaves; the step goes on.\n"
                                   "Examples:\n  muster attach 7\n  muster attach 7 --step 2 --label\n"
                                   "Exit codes: the step's own; 2 bad option, 3 no cluster, 4 unknown job or nothing to attach "
                                   "to, 5 no answer in time, 130 left by Ctrl-C.\n"},
                                  false);
  sub.app->add_option("JOB", draft->job, "a running job: 7; of an array: 7_3")->required();
  add_text(*sub.app, "--step", draft->step, "N", "this step; default: the one that was started last");
  sub.app->add_flag("-l,--label", draft->command.label, "the rank in front of every line");
  sub.app->add_flag("-i,--input", draft->command.input, "send standard input to the step");
  sub.finish = [draft]() -> Result<Command> {
    auto job = parse_job_name(draft->job);
    if (!job) {
      return tl::unexpected(job.error());
    }
    draft->command.job = *job;
    if (draft->step) {
      auto step = parse_count(*draft->step, 0, 4'000'000'000U);
      if (!step) {
        return fail(step.error().code, "--step: " + step.error().text);
      }
      draft->command.step = static_cast<std::uint32_t>(*step);
    }
    return draft->command;
  };
}

void add_exec(Catalogue& catalogue) {
  auto draft = std::make_shared<std::vector<std::string>>();
  Subcommand& sub = catalogue.add({"exec", "Jobs", "run a command line on a node of this allocation, as ssh would",
                                   "For mpirun and others that want a remote shell; works in scripts and shells that have an "
                                   "allocation.\n"
                                   "Examples:\n  muster exec n2 uptime\n  muster exec n2 'cd /tmp && ls | wc -l'\n"
                                   "Exit codes: the command's own; 2 no allocation, 4 not a node of it.\n"},
                                  false);
  sub.app->add_option("COMMAND", *draft, "the node, and the words of the command line")->type_name("NODE [WORDS...]");
  sub.takes_command = true;
  sub.trailing = draft.get();
  sub.finish = [draft]() -> Result<Command> {
    if (draft->size() < 2) {
      return fail(Errc::invalid_argument, "write the node and a command: muster exec n2 uptime");
    }
    return ExecCommand{draft->front(), {draft->begin() + 1, draft->end()}};
  };
}

}  // namespace

void add_step_subcommands(Catalogue& catalogue) {
  add_attach(catalogue);
  add_exec(catalogue);
}

}  // namespace muster::cli

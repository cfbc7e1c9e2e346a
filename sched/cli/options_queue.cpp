// queue, job, wait, cancel, hold, release, logs.
#include "sched/cli/catalogue.hpp"

namespace muster::cli {
namespace {

constexpr const char* kJobWords = "a job: 7; of an array: 7, 7_3 or 7_[2-9]";
constexpr const char* kActionCodes =
    "Exit codes: 0 done, 2 bad option, 3 no cluster, 4 refused (unknown job, not yours), 5 no answer in time.\n";

struct QueueDraft {
  QueueCommand command;
  std::vector<std::string> jobs;
  std::optional<std::string> job_list;
  std::optional<std::string> states;
  std::optional<std::string> limit;
};

void add_queue(Catalogue& catalogue) {
  auto draft = std::make_shared<QueueDraft>();
  Subcommand& sub = catalogue.add({"queue", "Jobs", "list jobs: unfinished ones unless asked for others",
                                   "An array is one line; its REASON counts its elements by state.\n"
                                   "Examples:\n"
                                   "  muster queue\n"
                                   "  muster queue --all --json\n"
                                   "  muster queue -t failed,timeout -u alice\n"
                                   "Exit codes: 0 listed, 2 bad option, 3 no cluster, 4 unknown job, 5 no answer in time.\n"},
                                  true);
  CLI::App& app = *sub.app;
  app.add_option("JOB", draft->jobs, kJobWords);
  app.add_flag("-A,--all", draft->command.all, "ended jobs too");
  add_text(app, "-j,--jobs", draft->job_list, "LIST", "only these jobs, with commas between");
  add_text(app, "-t,--states", draft->states, "LIST",
           "only jobs in these states: pending, running, completing, completed, failed, cancelled, timeout, "
           "out_of_memory, node_fail, lost, or all");
  add_text(app, "-u,--user", draft->command.user, "USER", "only this user's");
  add_text(app, "-n,--name", draft->command.name, "NAME", "only jobs of this name");
  add_text(app, "--limit", draft->limit, "N", "at most so many lines; 0: all; default 1000");
  sub.finish = [draft]() -> Result<Command> {
    std::vector<std::string> names = draft->jobs;
    if (draft->job_list) {
      for (const std::string& part : split(*draft->job_list, ',')) {
        names.push_back(part);
      }
    }
    auto jobs = parse_job_names(names);
    if (!jobs) {
      return tl::unexpected(jobs.error());
    }
    draft->command.jobs = std::move(*jobs);
    if (draft->states) {
      auto states = parse_states(*draft->states);
      if (!states) {
        return fail(states.error().code, "--states: " + states.error().text);
      }
      draft->command.states = std::move(*states);
      draft->command.all = draft->command.all || draft->command.states.empty();
    }
    if (draft->limit) {
      auto limit = parse_count(*draft->limit, 0, 1'000'000'000);
      if (!limit) {
        return fail(limit.error().code, "--limit: " + limit.error().text);
      }
      draft->command.limit = *limit;
    }
    return draft->command;
  };
}

struct JobsDraft {
  std::vector<std::string> jobs;
  std::optional<std::string> elements;
  std::optional<std::string> at_most;
  std::optional<std::string> signal;
  bool steps{};
  CancelCommand cancel;
  WaitCommand wait;
};

void add_job(Catalogue& catalogue) {
  auto draft = std::make_shared<JobsDraft>();
  Subcommand& sub = catalogue.add({"job", "Jobs", "show everything about a job",
                                   "Examples:\n  muster job 7\n  muster job 7_3\n  muster job 7 --json\n  muster job 7 --steps\n"
                                   "Exit codes: 0 shown, 2 bad option, 3 no cluster, 4 unknown job, 5 no answer in time.\n"},
                                  true);
  sub.app->add_option("JOB", draft->jobs, kJobWords)->required();
  add_text(*sub.app, "--elements", draft->elements, "N", "show at most so many elements of an array; default 20");
  sub.app->add_flag("--steps", draft->steps, "the steps that ran in it, and what each of them took");
  sub.finish = [draft]() -> Result<Command> {
    auto jobs = parse_job_names(draft->jobs);
    if (!jobs) {
      return tl::unexpected(jobs.error());
    }
    JobCommand command{.jobs = std::move(*jobs)};
    command.steps = draft->steps;
    if (draft->elements) {
      auto elements = parse_count(*draft->elements, 0, kArrayElementsMax);
      if (!elements) {
        return fail(elements.error().code, "--elements: " + elements.error().text);
      }
      command.elements = *elements;
    }
    return command;
  };
}

void add_wait(Catalogue& catalogue) {
  auto draft = std::make_shared<JobsDraft>();
  Subcommand& sub =
      catalogue.add({"wait", "Jobs", "wait until jobs have ended, showing progress",
                     "On a terminal a bar, elsewhere a line per change. Without JOB: all your unfinished jobs.\n"
                     "Examples:\n  muster wait 7\n  muster wait 7 8 --at-most 10m\n"
                     "Exit codes: the worst of the jobs' own (128 + signal for a signal, 1 for one that ended badly "
                     "without a\ncode); 2 bad option, 3 no cluster, 4 unknown job, 5 --at-most has passed or no answer "
                     "in time,\n130 left by Ctrl-C.\n"},
                    false);
  sub.app->add_option("JOB", draft->jobs, kJobWords);
  add_text(*sub.app, "--at-most", draft->at_most, "TIME", "give up after 90, 30s or 10m (jobs go on); default never");
  sub.app->add_flag("-q,--quiet", draft->wait.quiet, "show no progress");
  sub.finish = [draft]() -> Result<Command> {
    auto jobs = parse_job_names(draft->jobs);
    if (!jobs) {
      return tl::unexpected(jobs.error());
    }
    draft->wait.jobs = std::move(*jobs);
    if (draft->at_most) {
      auto at_most = parse_timeout(*draft->at_most);
      if (!at_most) {
        return fail(at_most.error().code, "--at-most: " + at_most.error().text);
      }
      draft->wait.at_most = *at_most;
    }
    return draft->wait;
  };
}

void add_cancel(Catalogue& catalogue) {
  auto draft = std::make_shared<JobsDraft>();
  Subcommand& sub = catalogue.add({"cancel", "Jobs", "end jobs, or send them a signal",
                                   std::string("Examples:\n  muster cancel 7\n  muster cancel 7_[10-20]\n"
                                               "  muster cancel --all\n  muster cancel -s USR1 7\n") +
                                       kActionCodes},
                                  true);
  sub.app->add_option("JOB", draft->jobs, kJobWords);
  sub.app->add_flag("--all", draft->cancel.all, "all my unfinished jobs");
  add_text(*sub.app, "-n,--name", draft->cancel.name, "NAME", "only jobs of this name");
  add_text(*sub.app, "-s,--signal", draft->signal, "SIGNAL", "send this signal and do nothing else: USR1, SIGHUP, 10");
  sub.finish = [draft]() -> Result<Command> {
    auto jobs = parse_job_names(draft->jobs);
    if (!jobs) {
      return tl::unexpected(jobs.error());
    }
    draft->cancel.jobs = std::move(*jobs);
    if (draft->cancel.jobs.empty() && !draft->cancel.all && draft->cancel.name.empty()) {
      return fail(Errc::invalid_argument, "name a job, or --all, or --name NAME");
    }
    if (!draft->cancel.jobs.empty() && draft->cancel.all) {
      return fail(Errc::invalid_argument, "--all and job numbers exclude each other");
    }
    if (draft->signal) {
      auto signal = parse_signal(*draft->signal);
      if (!signal) {
        return fail(signal.error().code, "--signal: " + signal.error().text);
      }
      draft->cancel.signal = *signal;
    }
    return draft->cancel;
  };
}

void add_hold(Catalogue& catalogue, bool release) {
  auto draft = std::make_shared<JobsDraft>();
  const std::string name = release ? "release" : "hold";
  Subcommand& sub = catalogue.add({name, "Jobs", release ? "let held jobs start" : "keep pending jobs from starting",
                                   "Examples:\n  muster " + name + " 7\n" + kActionCodes},
                                  true);
  sub.app->add_option("JOB", draft->jobs, kJobWords)->required();
  sub.finish = [draft, release]() -> Result<Command> {
    auto jobs = parse_job_names(draft->jobs);
    if (!jobs) {
      return tl::unexpected(jobs.error());
    }
    return HoldCommand{.jobs = std::move(*jobs), .release = release};
  };
}

struct LogsDraft {
  LogsCommand command;
  std::string job;
  std::optional<std::string> rank;
};

void add_logs(Catalogue& catalogue) {
  auto draft = std::make_shared<LogsDraft>();
  Subcommand& sub = catalogue.add({"logs", "Jobs", "show a job's output, from whichever node has it",
                                   "Examples:\n  muster logs 7\n  muster logs -f 7\n  muster logs 7_3 --error\n"
                                   "Exit codes: 0 shown, 2 bad option, 3 no cluster, 4 unknown job or no output, 5 no "
                                   "answer in time.\n"},
                                  false);
  sub.app->add_option("JOB", draft->job, "a job: 7; of an array: 7_3")->required();
  sub.app->add_flag("-f,--follow", draft->command.follow, "go on until the job has ended");
  sub.app->add_flag("-e,--error", draft->command.error_stream, "its standard error, where that has a file of its own");
  add_text(*sub.app, "--rank", draft->rank, "N", "the file of this rank, where ranks have files of their own (%t)");
  add_text(*sub.app, "--node", draft->command.node, "NAME", "only what this node has");
  sub.finish = [draft]() -> Result<Command> {
    auto job = parse_job_name(draft->job);
    if (!job) {
      return tl::unexpected(job.error());
    }
    draft->command.job = *job;
    if (draft->rank) {
      auto rank = parse_count(*draft->rank, 0, 10'000'000);
      if (!rank) {
        return fail(rank.error().code, "--rank: " + rank.error().text);
      }
      draft->command.rank = static_cast<std::uint32_t>(*rank);
    }
    return draft->command;
  };
}

}  // namespace

Result<std::vector<JobName>> parse_job_names(const std::vector<std::string>& texts) {
  std::vector<JobName> names;
  for (const std::string& text : texts) {
    auto name = parse_job_name(text);
    if (!name) {
      return tl::unexpected(name.error());
    }
    names.push_back(*name);
  }
  return names;
}

void add_queue_subcommands(Catalogue& catalogue) {
  add_queue(catalogue);
  add_job(catalogue);
  add_wait(catalogue);
  add_cancel(catalogue);
  add_hold(catalogue, false);
  add_hold(catalogue, true);
  add_logs(catalogue);
}

}  // namespace muster::cli

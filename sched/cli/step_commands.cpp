// alloc, attach, exec, and run inside an allocation.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/run_request.hpp"
#include "sched/cli/step_view.hpp"
#include "sched/cli/submission.hpp"

namespace muster::cli {
namespace {

Result<SignalFd> view_signals() { return SignalFd::open({SIGINT, SIGTERM, SIGHUP, SIGWINCH}); }

// What a step's end means to whoever waits for it.
int tell_end(const Result<StepEnd>& end, bool quiet) {
  if (!end) {
    return end.error().code == Errc::conflict ? kInterrupted : complain(end.error());
  }
  if (end->state != fb::StepState::Completed && !end->text.empty() && !quiet) {
    complain("step " + std::to_string(end->step) + ": " + end->text);
  }
  return end->exit_code;
}

}  // namespace

int run_in_allocation(Context& context, const StepPlace& place, const RunCommand& command) {
  auto here = surroundings();
  if (!here) {
    return complain(here.error());
  }
  auto spec = make_run_step(command.job, *here);
  if (!spec) {
    complain("run: " + spec.error().text);
    return kUsage;
  }
  auto signals = view_signals();
  auto link = signals ? StepLink::open(context, place, mono_now() + Duration::from_seconds(10))
                      : Result<StepLink>(tl::unexpected(signals.error()));
  if (!link) {
    return complain(link.error());
  }
  const bool terminal = spec->pty && ::isatty(STDIN_FILENO) == 1;
  StepView view(*link, *signals,
                {.label = command.job.label,
                 .input = spec->stdin_path.empty() && spec->stdin_rank != -2,
                 .terminal = terminal,
                 .bindings = spec->report_bindings,
                 .quiet = command.quiet});
  return tell_end(view.start(*std::move(spec), mono_now() + Duration::from_seconds(20)), command.quiet);
}

int exec(const CommonOptions& /*common*/, const ExecCommand& command) {
  auto place = place_from_environment();
  if (!place) {
    return complain(place.error());
  }
  if (!*place) {
    complain("exec: this is no allocation (MUSTER_STEP_SOCKET is not set); start a script with muster batch, or a shell with "
             "muster alloc");
    return kUsage;
  }
  auto here = surroundings();
  auto signals = view_signals();
  if (!here || !signals) {
    return complain(here ? signals.error() : here.error());
  }
  Context context;
  auto link = StepLink::open(context, **place, mono_now() + Duration::from_seconds(10));
  if (!link) {
    return complain(link.error());
  }
  // As remote shells do: the words make one line, which a shell reads.
  std::string line;
  for (const std::string& word : command.command) {
    line += (line.empty() ? "" : " ") + word;
  }
  fb::StepSpecT spec;
  spec.name = "exec";
  spec.argv = {"/bin/sh", "-c", line};
  spec.ntasks = 1;
  spec.node_list = {command.node};
  spec.overlap = true;
  spec.cpu_bind = "none";
  spec.mpi = "none";
  spec.working_directory = here->working_directory;
  StepView view(*link, *signals, {.input = true, .quiet = true});
  auto end = view.start(std::move(spec), mono_now() + Duration::from_seconds(20));
  return end ? end->exit_code : tell_end(end, true);
}

int attach(Session& session, const AttachCommand& command) {
  auto signals = view_signals();
  if (!signals) {
    return complain(signals.error());
  }
  const std::uint32_t index = command.job.first.value_or(0);
  auto row = fetch_job(session, command.job.job, {.wanted = true, .elements_first = index, .elements_limit = 1}, session.deadline());
  if (!row) {
    return complain(row.error());
  }
  if (row->state != fb::JobState::Running) {
    complain("job " + format_job_name(command.job) + " is " + std::string(state_name(row->state)) +
             "; only a running one can be attached to. Its output: muster logs " + format_job_name(command.job));
    return kRefused;
  }
  auto place = find_stepd(session, *row, index, session.deadline());
  if (!place && place.error().code == Errc::not_found) {
    complain("job " + format_job_name(command.job) + " has no steps to attach to. Its output: muster logs -f " +
             format_job_name(command.job));
    return kRefused;
  }
  auto link = place ? StepLink::open(session.context(), *place, session.fresh_deadline()) : Result<StepLink>(tl::unexpected(place.error()));
  if (!link) {
    return complain(link.error());
  }
  StepView view(*link, *signals, {.label = command.label, .input = command.input, .detach = true});
  return tell_end(view.attach(command.step, session.fresh_deadline()), false);
}

namespace {

// The user's shell (or command) with the allocation in its environment.
int run_shell(const std::vector<std::string>& words, const std::vector<std::string>& environment, StepLink& link,
              const SignalFd& signals, std::uint64_t job) {
  const pid_t pid = ::fork();
  if (pid < 0) {
    return complain(Error{Errc::io, "the shell can't be started"});
  }
  if (pid == 0) {
    unblock_all_signals();
    for (const std::string& line : environment) {
      ::putenv(const_cast<char*>(line.c_str()));
    }
    std::vector<char*> argv;
    for (const std::string& word : words) {
      argv.push_back(const_cast<char*>(word.c_str()));
    }
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    complain("alloc: '" + words.front() + "' can't be started");
    ::_exit(127);
  }
  Poller poller;
  poller.add(link.dealer(), 1);
  poller.add_fd(signals.fd(), 2);
  Instant beat = mono_now();
  bool told = false;
  for (;;) {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    while (link.receive() != nullptr) {
    }
    if (link.is_lost() && !told) {
      told = true;
      complain("job " + std::to_string(job) + " has ended, and its allocation with it");
      ::kill(pid, SIGHUP);
    }
    while (auto signal = signals.next()) {
      if (*signal == SIGTERM || *signal == SIGHUP) {
        ::kill(pid, *signal);
      }
    }
    if (mono_now() >= beat) {
      beat = mono_now() + Duration::from_seconds(5);
      flatbuffers::FlatBufferBuilder builder;
      link.send(finish_frame(builder, FrameHead{}, fb::CreateHeartbeat(builder)));
    }
    static_cast<void>(poller.wait(beat));
  }
}

}  // namespace

int alloc(Session& session, const AllocCommand& command) {
  auto here = surroundings();
  auto key = submit_key(command.job.key);
  if (!here || !key) {
    return complain(here ? key.error() : here.error());
  }
  JobOptions options = command.job;
  std::vector<std::string> words = options.command;
  if (words.empty()) {
    const char* const shell = std::getenv("SHELL");
    words = {shell != nullptr && *shell != '\0' ? shell : here->shell};
    options.command = {"alloc"};
  }
  auto request = make_job_request(options, *here, fb::TaskKind::Allocation);
  if (!request) {
    complain("alloc: " + request.error().text);
    return kUsage;
  }
  request->spec.argv.clear();
  auto signals = SignalFd::open({SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGQUIT});
  if (!signals) {
    return complain(signals.error());
  }
  auto submitted = hand_in(session, *std::move(request), *key, "alloc");
  if (!submitted) {
    return complain(submitted.error());
  }
  const std::string job = std::to_string(submitted->job);
  auto awaited = await_stepd(session, submitted->job, *signals, command.quiet);
  const fb::JobRowT& row = awaited.row;
  auto& place = awaited.place;
  if (awaited.interrupted) {
    cancel_job(session, submitted->job);
    return kInterrupted;
  }
  if (!place && is_ended(row.state)) {
    complain("job " + job + " ended before it could be used: " + row.reason);
    return kFailed;
  }
  auto link = place ? StepLink::open(session.context(), *place, session.fresh_deadline()) : Result<StepLink>(tl::unexpected(place.error()));
  if (!link) {
    cancel_job(session, submitted->job);
    return complain(link.error());
  }
  fb::AttachStepT hold;
  hold.request = link->next_request();
  hold.step = kNoStep;
  link->send(pack_frame<fb::AttachStep>({}, hold));
  if (auto held = link->answer(hold.request, session.fresh_deadline()); !held) {
    return complain(held.error());
  }
  if (!command.quiet) {
    std::string nodes;
    for (const auto& element : row.elements) {
      for (const std::string& node : element->nodes) {
        nodes += (nodes.empty() ? "" : ",") + node;
      }
    }
    complain("job " + job + " has node" + (nodes.find(',') == std::string::npos ? " " : "s ") + nodes + "; it ends with this shell");
  }
  const int exit_code = run_shell(words, allocation_environment(row, *place), *link, *signals, submitted->job);
  fb::FinishJobT finish;
  finish.request = link->next_request();
  finish.exit_code = 0;
  link->send(pack_frame<fb::FinishJob>({}, finish));
  static_cast<void>(link->answer(finish.request, session.fresh_deadline()));
  return exit_code;
}

}  // namespace muster::cli

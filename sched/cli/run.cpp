// run: a job whose ranks' output comes here and whose input is ours.
#include <unistd.h>

#include <csignal>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/progress.hpp"
#include "sched/cli/render_jobs.hpp"
#include "sched/cli/step_view.hpp"
#include "sched/cli/submission.hpp"

namespace muster::cli {
namespace {

// The job's end as the scheduler has it on record; the last row seen when it does not come.
fb::JobRowT await_end(Session& session, std::uint64_t job, const SignalFd& signals) {
  fb::JobRowT last;
  std::uint64_t version = 0;
  Instant silent_since = mono_now();
  bool cancelled = false;
  for (;;) {
    auto row = watch_job(session, job, version, mono_now() + Duration::from_ms(500));
    if (row) {
      silent_since = mono_now();
      version = row->version;
      last = *std::move(row);
      if (is_ended(last.state)) {
        return last;
      }
    } else if (mono_now() - silent_since >= session.common().timeout) {
      return last;
    }
    while (signals.next()) {
      if (cancelled) {
        complain("left job " + std::to_string(job) + "; look: muster job " + std::to_string(job) + session.place().hint());
        return last;
      }
      cancelled = true;
      complain("cancelling job " + std::to_string(job) + " (Ctrl-C again leaves it)");
      cancel_job(session, job);
    }
  }
}

}  // namespace

void cancel_job(Session& session, std::uint64_t job) {
  fb::CancelT question;
  auto range = std::make_unique<fb::JobRangeT>();
  range->job = job;
  question.jobs.push_back(std::move(range));
  auto gang = session.gang();
  auto done = gang ? (*gang)->ask<fb::Done, fb::Cancel>(std::move(question), session.fresh_deadline())
                   : Result<fb::DoneT>(tl::unexpected(gang.error()));
  if (!done && done.error().code != Errc::timed_out) {
    complain(done.error().text);
  }
}

int run(Session& session, const RunCommand& command) {
  if (command.job.array) {
    return run_array(session, command);
  }
  if (auto status = check_program(command.job, "run"); !status) {
    return complain(status.error());
  }
  auto here = surroundings();
  auto key = submit_key(command.job.key);
  if (!here || !key) {
    return complain(here ? key.error() : here.error());
  }
  auto request = make_job_request(command.job, *here, fb::TaskKind::Run);
  if (!request) {
    complain("run: " + request.error().text);
    return kUsage;
  }
  const fb::StepSpecT step = *request->spec.step;
  auto signals = SignalFd::open({SIGINT, SIGTERM, SIGHUP, SIGWINCH});
  auto gang = session.gang();
  if (!signals || !gang) {
    return complain(signals ? gang.error() : signals.error());
  }
  auto submitted = hand_in(session, *std::move(request), *key, "run");
  if (!submitted) {
    return complain(submitted.error());
  }
  (*gang)->interrupt_on(signals->fd());
  if (!command.quiet && ::isatty(STDERR_FILENO) == 1) {
    complain("job " + std::to_string(submitted->job));
  }
  auto awaited = await_stepd(session, submitted->job, *signals, command.quiet);
  if (awaited.interrupted) {
    complain("cancelling job " + std::to_string(submitted->job));
    cancel_job(session, submitted->job);
  }
  if (awaited.place) {
    auto link = StepLink::open(session.context(), *awaited.place, session.fresh_deadline());
    if (link) {
      StepView view(*link, *signals,
                    {.label = command.job.label,
                     .input = step.stdin_path.empty() && step.stdin_rank != -2,
                     .terminal = step.pty && ::isatty(STDIN_FILENO) == 1,
                     .bindings = step.report_bindings,
                     .quiet = command.quiet});
      auto end = view.attach(0U, mono_now() + Duration::from_seconds(20));
      if (!end && end.error().code == Errc::conflict) {
        complain("left job " + std::to_string(submitted->job) + " while it ends; look: muster job " +
                 std::to_string(submitted->job) + session.place().hint());
        return kInterrupted;
      }
      if (!end && end.error().code != Errc::unreachable && end.error().code != Errc::not_found) {
        complain(end.error().text);
      }
    } else if (link.error().code != Errc::unreachable) {
      complain(link.error().text);
    }
  } else if (!awaited.interrupted && !is_ended(awaited.row.state)) {
    if (awaited.place.error().code != Errc::unsupported && awaited.place.error().code != Errc::refused) {
      complain(awaited.place.error().text + "; job " + std::to_string(submitted->job) + " may go on: muster job " +
               std::to_string(submitted->job) + session.place().hint());
      return exit_code_of(awaited.place.error().code);
    }
    if (!command.quiet) {
      complain(awaited.place.error().text);
    }
  }
  const fb::JobRowT row = await_end(session, submitted->job, *signals);
  if (!is_ended(row.state)) {
    return kUnknown;
  }
  if (row.state != fb::JobState::Completed) {
    complain(ending_line(row));
  }
  return exit_code_of(row);
}

}  // namespace muster::cli

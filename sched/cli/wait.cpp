#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/progress.hpp"
#include "sched/cli/render_jobs.hpp"
#include "sched/cli/submission.hpp"
#include "sched/cli/waiting.hpp"
#include "wire/daemon/signals.hpp"

namespace muster::cli {
namespace {

constexpr Duration kBarInterval = Duration::from_ms(200);
constexpr Duration kLineInterval = Duration::from_seconds(5);  // between lines while only numbers change

// Where progress goes: a bar that is drawn over, or lines. One thread.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(bool quiet) : quiet_(quiet), terminal_(!quiet && ::isatty(STDERR_FILENO) == 1) {}

  void show(const Progress& progress, Instant now) {
    if (quiet_) {
      return;
    }
    if (terminal_) {
      winsize size{};
      const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
      const std::string bar = progress_bar(progress, now - begun_, known ? size.ws_col - 1U : 79U);
      std::fprintf(stderr, "\r%s\x1b[K", bar.c_str());
      std::fflush(stderr);
      drawn_ = true;
      return;
    }
    if (progress == last_ || (shown_ && progress.ended < progress.total && now - shown_at_ < kLineInterval)) {
      return;
    }
    std::fprintf(stderr, "%s\n", progress_line(progress).c_str());
    last_ = progress;
    shown_ = true;
    shown_at_ = now;
  }
  // Before other text is written.
  void clear() {
    if (drawn_) {
      std::fputs("\r\x1b[K", stderr);
      std::fflush(stderr);
      drawn_ = false;
    }
  }

 private:
  bool quiet_;
  bool terminal_;
  bool drawn_{};
  bool shown_{};
  Progress last_;
  Instant begun_ = mono_now();
  Instant shown_at_{};
};

// The states of `jobs`, in their order.
Result<std::vector<fb::JobRowT>> look(Session& session, const std::vector<std::uint64_t>& jobs, Instant deadline) {
  std::vector<fb::JobRowT> rows;
  constexpr std::size_t kAtOnce = 1000;
  for (std::size_t i = 0; i < jobs.size(); i += kAtOnce) {
    fb::QueryJobsT question;
    question.jobs.assign(jobs.begin() + static_cast<std::ptrdiff_t>(i),
                         jobs.begin() + static_cast<std::ptrdiff_t>(std::min(jobs.size(), i + kAtOnce)));
    auto answer = fetch_jobs(session, question, 0, deadline);
    if (!answer) {
      return tl::unexpected(answer.error());
    }
    if (!answer->unknown.empty()) {
      return tl::unexpected(unknown_job(answer->unknown.front()));
    }
    std::move(answer->jobs.begin(), answer->jobs.end(), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace

int wait_for_jobs(Session& session, const std::vector<std::uint64_t>& jobs, const WaitOptions& options) {
  auto signals = SignalFd::open({SIGINT, SIGTERM});
  auto gang = session.gang();
  if (!signals || !gang) {
    return complain(signals ? gang.error() : signals.error());
  }
  (*gang)->interrupt_on(signals->fd());
  ProgressDisplay display(options.quiet);
  const Instant end = options.at_most ? mono_now() + *options.at_most : Instant::never();
  for (;;) {
    auto rows = look(session, jobs, session.fresh_deadline());
    if (signals->next()) {
      display.clear();
      complain("no longer waiting; the jobs go on");
      return kInterrupted;
    }
    if (!rows) {
      display.clear();
      return complain(rows.error());
    }
    const Instant now = mono_now();
    display.show(progress_of(*rows), now);
    const auto open = std::find_if(rows->begin(), rows->end(), [](const auto& row) { return !is_ended(row.state); });
    if (open == rows->end()) {
      display.clear();
      int worst = kOk;
      for (const auto& row : *rows) {
        if (!options.quiet) {
          say(ending_line(row) + "\n");
        }
        worst = std::max(worst, exit_code_of(row));
      }
      return worst;
    }
    if (now >= end) {
      display.clear();
      complain("not ended within " + span_text(*options.at_most) + ": " + progress_line(progress_of(*rows)));
      return kUnknown;
    }
    // Sleeps until the first unfinished job changes; an array changes all the time, so at least a moment.
    const Instant next = std::min(end, now + kBarInterval);
    const auto changed = watch_job(session, open->job, open->version, next);
    if (!changed && changed.error().code == Errc::not_found) {
      display.clear();
      return complain(changed.error());
    }
    if (open->is_array || !changed) {
      wait_readable(signals->fd(), std::min(next, mono_now() + kBarInterval));
    }
  }
}

int wait(Session& session, const WaitCommand& command) {
  std::vector<std::uint64_t> jobs;
  for (const JobName& name : command.jobs) {
    if (name.first) {
      complain("wait: " + format_job_name(name) + ": waiting for elements is not possible yet; wait for job " +
               std::to_string(name.job));
      return kUsage;
    }
    if (std::find(jobs.begin(), jobs.end(), name.job) == jobs.end()) {
      jobs.push_back(name.job);
    }
  }
  if (jobs.empty()) {
    fb::QueryJobsT question;
    question.states = {fb::JobState::Pending, fb::JobState::Running, fb::JobState::Completing};
    if (auto here = surroundings()) {
      question.user = here->user;
    }
    auto answer = fetch_jobs(session, question, 0, session.deadline());
    if (!answer) {
      return complain(answer.error());
    }
    for (const auto& job : answer->jobs) {
      jobs.push_back(job.job);
    }
    if (jobs.empty()) {
      say("no unfinished jobs\n");
      return kOk;
    }
  }
  return wait_for_jobs(session, jobs, {.quiet = command.quiet, .at_most = command.at_most});
}

}  // namespace muster::cli

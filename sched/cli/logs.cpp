#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/log_reader.hpp"
#include "sched/cli/render_jobs.hpp"
#include "wire/daemon/signals.hpp"

namespace muster::cli {
namespace {

constexpr Duration kPoll = Duration::from_ms(100);

// The job once it has output somewhere; with `follow`, waits for its start.
Result<fb::JobRowT> find_output(Session& session, const LogsCommand& command, int signal_fd) {
  const std::uint32_t index = command.job.first.value_or(0);
  for (;;) {
    auto job = fetch_job(session, command.job.job, {.wanted = true, .elements_first = index, .elements_limit = 1},
                         session.fresh_deadline());
    if (!job) {
      return job;
    }
    if (job->is_array && !command.job.first) {
      return fail(Errc::invalid_argument, "job " + std::to_string(job->job) + " is an array; name an element of it: muster logs " +
                                              std::to_string(job->job) + "_1");
    }
    if (job->is_array && (job->elements.empty() || job->elements.front()->index != index)) {
      return fail(Errc::not_found, "job " + std::to_string(job->job) + " has no element " + format_job_name(command.job));
    }
    if (!job->is_array && command.job.first) {
      return fail(Errc::not_found, "job " + std::to_string(job->job) + " is no array; write: muster logs " +
                                       std::to_string(job->job));
    }
    if (!log_sources(*job, index, fb::LogStream::Out).empty()) {
      return job;
    }
    const auto& state = job->elements.empty() ? job->state : job->elements.front()->state;
    if (is_ended(state) || !command.follow) {
      return fail(Errc::not_found, "job " + format_job_name(command.job) + " has no output" +
                                       (is_ended(state) ? ": it is " : " yet: it is ") + std::string(state_name(state)) +
                                       (is_ended(state) ? "" : "; to wait for it: muster logs -f " + format_job_name(command.job)));
    }
    (void)watch_job(session, job->job, job->version, mono_now() + Duration::from_ms(500));
    wait_readable(signal_fd, mono_now() + Duration::from_ms(50));
  }
}

}  // namespace

int logs(Session& session, const LogsCommand& command) {
  if (command.job.first && !command.job.is_element()) {
    complain("logs: name one element, such as " + std::to_string(command.job.job) + "_" + std::to_string(*command.job.first));
    return kUsage;
  }
  auto job = find_output(session, command, -1);
  if (!job) {
    return complain(job.error());
  }
  const std::uint32_t index = command.job.first.value_or(0);
  const auto stream = command.error_stream ? fb::LogStream::Err : fb::LogStream::Out;
  std::vector<LogReader> readers;
  for (LogSource& source : log_sources(*job, index, stream)) {
    if (!command.node.empty() && source.node != command.node) {
      continue;
    }
    source.rank = command.rank ? static_cast<std::int32_t>(*command.rank) : -1;
    readers.emplace_back(std::move(source));
  }
  if (readers.empty()) {
    return complain(Error{Errc::not_found, "job " + format_job_name(command.job) + " has nothing on node " + command.node});
  }
  // Whole files one after the other; when following, whatever comes from any of them.
  bool any = false;
  std::optional<Error> trouble;
  std::vector<bool> done(readers.size(), false);
  while (std::find(done.begin(), done.end(), false) != done.end()) {
    bool idle = true;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      while (!done[i]) {
        auto piece = readers[i].next(session, session.fresh_deadline());
        if (!piece && piece.error().code == Errc::unsupported) {
          return complain(piece.error());  // it has no output, on none of its nodes
        }
        if (!piece) {
          trouble = piece.error();
          done[i] = true;
          break;
        }
        for (std::size_t k = 0; k < i && !done[i]; ++k) {
          done[i] = is_same_file(readers[k], readers[i]);
        }
        if (done[i]) {
          break;
        }
        any = true;
        idle = idle && piece->data.empty();
        if (!write_all(STDOUT_FILENO, piece->data)) {
          return kFailed;
        }
        done[i] = piece->at_end && (piece->ended || !command.follow);
        if (piece->at_end) {
          break;
        }
      }
    }
    if (idle) {
      wait_readable(-1, mono_now() + kPoll);
    }
  }
  // A rank's file is on one of the nodes: the others' refusals say nothing.
  if (trouble && !(any && command.rank)) {
    return complain(*trouble);
  }
  return kOk;
}

}  // namespace muster::cli

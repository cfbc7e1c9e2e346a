#include "sched/cli/job_queries.hpp"

#include <algorithm>

namespace muster::cli {
namespace {

constexpr std::uint32_t kPage = 1000;

void take_rows(fb::JobListT& list, JobAnswer& answer) {
  for (auto& row : list.jobs) {
    answer.jobs.push_back(std::move(*row));
  }
  answer.unknown.insert(answer.unknown.end(), list.unknown.begin(), list.unknown.end());
  answer.total = list.total;
  answer.now = WallTime::from_ns(list.now_ns);
  answer.connected = list.connected;
}

}  // namespace

Error unknown_job(std::uint64_t job) {
  return {Errc::not_found, "no job " + std::to_string(job) + " in this cluster; list them: muster queue --all"};
}

Result<JobAnswer> fetch_jobs(Session& session, const fb::QueryJobsT& question, std::uint64_t limit, Instant deadline) {
  auto gang = session.gang();
  if (!gang) {
    return tl::unexpected(gang.error());
  }
  JobAnswer answer;
  std::uint64_t after = question.after_job;
  for (;;) {
    fb::QueryJobsT page(question);
    page.after_job = after;
    page.limit = limit == 0 ? kPage : static_cast<std::uint32_t>(std::min<std::uint64_t>(kPage, limit - answer.jobs.size()));
    auto list = (*gang)->ask<fb::JobList, fb::QueryJobs>(std::move(page), deadline);
    if (!list) {
      return tl::unexpected(list.error());
    }
    const bool first = after == question.after_job;
    const std::uint64_t total = first ? list->total : answer.total;
    const auto unknown = answer.unknown;
    take_rows(*list, answer);
    answer.total = total;
    if (!first) {
      answer.unknown = unknown;
    }
    if (!list->more || list->jobs.empty() || (limit != 0 && answer.jobs.size() >= limit)) {
      return answer;
    }
    after = answer.jobs.back().job;
  }
}

Result<fb::JobRowT> fetch_job(Session& session, std::uint64_t job, const Details& details, Instant deadline) {
  fb::QueryJobsT question;
  question.jobs = {job};
  question.details = details.wanted;
  question.elements_first = details.elements_first;
  question.elements_limit = details.elements_limit;
  auto answer = fetch_jobs(session, question, 1, deadline);
  if (!answer) {
    return tl::unexpected(answer.error());
  }
  if (answer->jobs.empty()) {
    return tl::unexpected(unknown_job(job));
  }
  return std::move(answer->jobs.front());
}

Result<fb::JobRowT> watch_job(Session& session, std::uint64_t job, std::uint64_t version, Instant deadline) {
  auto gang = session.gang();
  if (!gang) {
    return tl::unexpected(gang.error());
  }
  fb::WatchT question;
  question.job = job;
  question.version = version;
  // The daemon answers a tenth of a second before the deadline that it is told.
  question.deadline_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>((deadline - mono_now()).ms(), 0, 60'000) + 100);
  auto list = (*gang)->ask<fb::JobList, fb::Watch>(std::move(question), deadline + Duration::from_seconds(1));
  if (!list) {
    return tl::unexpected(list.error());
  }
  if (list->jobs.empty()) {
    return tl::unexpected(unknown_job(job));
  }
  return std::move(*list->jobs.front());
}

}  // namespace muster::cli

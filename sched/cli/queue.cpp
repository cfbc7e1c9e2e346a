// queue and job: questions to the batch scheduler.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/render_jobs.hpp"
#include "sched/cli/table.hpp"

namespace muster::cli {
namespace {

// Index ranges are part of an array's spec, which only details carry: asked for when the arrays are few.
constexpr std::size_t kArraysExplained = 20;

void add_ranges(Session& session, std::vector<fb::JobRowT>& jobs, Instant deadline) {
  std::size_t explained = 0;
  for (auto& job : jobs) {
    if (job.is_array && !job.spec && explained++ < kArraysExplained) {
      auto detailed = fetch_job(session, job.job, {.wanted = true}, deadline);
      if (detailed && detailed->spec) {
        job.spec = std::move(detailed->spec);
      }
    }
  }
}

}  // namespace

int queue(Session& session, const QueueCommand& command) {
  fb::QueryJobsT question;
  for (const JobName& name : command.jobs) {
    question.jobs.push_back(name.job);
  }
  question.states = command.states;
  if (command.states.empty() && !command.all && command.jobs.empty()) {
    question.states = {fb::JobState::Pending, fb::JobState::Running, fb::JobState::Completing};
  }
  question.name = command.name;
  question.user = command.user;
  auto answer = fetch_jobs(session, question, command.limit, session.deadline());
  if (!answer) {
    return complain(answer.error());
  }
  if (session.common().json) {
    nlohmann::ordered_json json;
    json["jobs"] = nlohmann::ordered_json::array();
    for (const auto& job : answer->jobs) {
      json["jobs"].push_back(json_of(job));
    }
    json["total"] = answer->total;
    json["connected"] = answer->connected;
    json["now_ms"] = answer->now.ns() / 1'000'000;
    say(json.dump(2) + "\n");
  } else {
    add_ranges(session, answer->jobs, session.deadline());
    say(render_queue(answer->jobs, answer->now));
  }
  if (!session.common().json && answer->jobs.size() < answer->total) {
    complain("these are " + std::to_string(answer->jobs.size()) + " of " + std::to_string(answer->total) +
             " jobs; for all of them: --limit 0");
  }
  if (!answer->connected) {
    complain("the batch scheduler has no connection to the master just now: nothing new starts until it has");
  }
  for (const std::uint64_t job : answer->unknown) {
    complain(unknown_job(job).text);
  }
  return answer->unknown.empty() ? kOk : kRefused;
}

int show_jobs(Session& session, const JobCommand& command) {
  if (command.steps) {
    return show_steps(session, command);
  }
  int exit_code = kOk;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text;
  for (const JobName& name : command.jobs) {
    Details details{.wanted = true};
    details.elements_first = name.first.value_or(0);
    details.elements_limit = static_cast<std::uint32_t>(
        name.first ? std::min<std::uint64_t>(std::uint64_t{name.last} - *name.first + 1, 100'000) : command.elements);
    auto job = fetch_job(session, name.job, details, session.deadline());
    if (!job) {
      exit_code = complain(job.error());
      continue;
    }
    if (name.first && (job->elements.empty() || job->elements.front()->index > name.last)) {
      exit_code = complain(Error{Errc::not_found, "job " + std::to_string(name.job) + " has no element " +
                                                      format_job_name(name)});
      continue;
    }
    if (name.first) {
      std::erase_if(job->elements, [&](const auto& e) { return e->index < *name.first || e->index > name.last; });
    }
    if (session.common().json) {
      all.push_back(json_of(*job));
      continue;
    }
    text += (text.empty() ? "" : "\n") + render_job(*job, name, SystemClock{}.now().wall);
    if (job->is_array && !name.first && job->elements.size() < job->elements_total && command.elements != 0) {
      text += "… " + counted(job->elements_total - job->elements.size(), "more element") + ": muster job " +
              std::to_string(name.job) + " --elements N\n";
    }
  }
  if (session.common().json) {
    const nlohmann::ordered_json json = {{"jobs", all}};
    text = json.dump(2) + "\n";
  }
  say(text);
  return exit_code;
}

}  // namespace muster::cli

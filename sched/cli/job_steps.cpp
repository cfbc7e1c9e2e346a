// job --steps: from the report of an ended job, or from the step daemon of a running one.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "sched/cli/actions.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/render_steps.hpp"
#include "sched/cli/step_link.hpp"

namespace muster::cli {
namespace {

Result<JobSteps> ask_daemon(Session& session, const fb::JobRowT& job, const std::string& id, std::uint32_t index) {
  const auto place = find_stepd(session, job, index, session.deadline());
  if (!place) {
    return tl::unexpected(place.error());
  }
  auto link = StepLink::open(session.context(), *place, session.deadline());
  if (!link) {
    return tl::unexpected(link.error());
  }
  fb::QueryStepsT question;
  question.request = link->next_request();
  question.deadline_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(1, (session.deadline() - mono_now()).ms()));
  link->send(pack_frame<fb::QuerySteps>({}, question));
  const auto bytes = link->answer(question.request, session.deadline());
  if (!bytes) {
    return tl::unexpected(bytes.error());
  }
  const auto* list = fb::GetFrame(bytes->data())->body_as_StepList();
  if (list == nullptr) {
    return fail(Errc::malformed, "job " + id + ": its step daemon answers with something else than its steps");
  }
  const std::unique_ptr<fb::StepListT> read(list->UnPack());
  JobSteps steps;
  steps.id = id;
  steps.steps = std::move(read->steps);
  steps.total = static_cast<std::uint32_t>(steps.steps.size()) + (read->more ? 1U : 0U);
  return steps;
}

Result<JobSteps> steps_of(Session& session, const fb::JobRowT& job, const fb::JobElementT& element, const std::string& id) {
  if (!element.report.empty()) {
    return steps_in(id, element.report);
  }
  if (job.spec && job.spec->kind == fb::TaskKind::Ranks) {
    return fail(Errc::not_found, "job " + id + " has no steps: its nodes start its ranks themselves; show it with: muster job " + id);
  }
  if (element.state == fb::JobState::Pending) {
    return fail(Errc::not_found, "job " + id + " has no steps yet: it is PENDING");
  }
  if (is_ended(element.state)) {
    return fail(Errc::not_found, "job " + id + " has left no steps: it is " + std::string(state_name(element.state)) +
                                     (element.reason.empty() ? "" : " (" + element.reason + ")"));
  }
  return ask_daemon(session, job, id, element.index);
}

}  // namespace

int show_steps(Session& session, const JobCommand& command) {
  int exit_code = kOk;
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text;
  for (const JobName& name : command.jobs) {
    Details details{.wanted = true};
    details.elements_first = name.first.value_or(0);
    details.elements_limit = static_cast<std::uint32_t>(
        name.first ? std::min<std::uint64_t>(std::uint64_t{name.last} - *name.first + 1, 100'000) : command.elements);
    const auto job = fetch_job(session, name.job, details, session.deadline());
    if (!job) {
      exit_code = complain(job.error());
      continue;
    }
    bool any = false;
    for (const auto& element : job->elements) {
      if (name.first && (element->index < *name.first || element->index > name.last)) {
        continue;
      }
      any = true;
      const std::string id = std::to_string(name.job) + (job->is_array ? "_" + std::to_string(element->index) : "");
      auto steps = steps_of(session, *job, *element, id);
      if (!steps) {
        exit_code = complain(steps.error());
      } else if (session.common().json) {
        all.push_back(json_of(*steps));
      } else {
        text += (text.empty() ? "" : "\n") + render_steps(*steps, SystemClock{}.now().wall);
      }
    }
    if (!any) {
      exit_code = complain(Error{Errc::not_found, "job " + std::to_string(name.job) + " has no element " + format_job_name(name)});
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

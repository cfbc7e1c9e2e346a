#include "sched/cli/render_steps.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "sched/cli/render_jobs.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::uint32_t kBatchStep = 0xffffffff;  // StepRow.step of the batch script

std::string step_text(const fb::StepRowT& step) {
  return step.step == kBatchStep ? "batch" : std::to_string(step.step);
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

bool has_ended(const fb::StepRowT& step) { return step.state >= fb::StepState::Completed; }

std::string elapsed_text(const fb::StepRowT& step, WallTime now) {
  if (step.started_ns <= 0) {
    return "";
  }
  const std::int64_t until = step.ended_ns > 0 ? step.ended_ns : now.ns();
  return format_elapsed(Duration::from_ns(std::max<std::int64_t>(0, until - step.started_ns)));
}

ordered_json wall_ms(std::int64_t ns) { return ns <= 0 ? ordered_json(nullptr) : ordered_json(ns / 1'000'000); }

}  // namespace

Result<JobSteps> steps_in(const std::string& id, const std::vector<std::uint8_t>& report) {
  flatbuffers::Verifier verifier(report.data(), report.size());
  if (!verifier.VerifyBuffer<fb::StepReport>(nullptr)) {
    return fail(Errc::malformed, "job " + id + ": the report of its step daemon does not verify");
  }
  const std::unique_ptr<fb::StepReportT> read(flatbuffers::GetRoot<fb::StepReport>(report.data())->UnPack());
  JobSteps job;
  job.id = id;
  job.text = read->text;
  job.total = std::max(read->steps_total, static_cast<std::uint32_t>(read->steps.size()));
  job.steps = std::move(read->steps);
  return job;
}

std::string render_steps(const JobSteps& job, WallTime now) {
  using Align = TextTable::Align;
  TextTable table({{"STEP"}, {"NAME"}, {"STATE"}, {"TASKS", Align::right}, {"NODES", Align::right},
                   {"CPUS", Align::right}, {"START"}, {"ELAPSED", Align::right}, {"EXIT", Align::right},
                   {"MAXRSS", Align::right}, {"CPUTIME", Align::right}, {"REASON"}});
  for (const auto& step : job.steps) {
    const std::string exit = !has_ended(*step)   ? ""
                             : step->signal != 0 ? ending_text(step->exit_code, step->signal)
                                                 : std::to_string(step->exit_code);
    table.add({job.id + "." + step_text(*step), step->name, upper(fb::EnumNameStepState(step->state)),
               std::to_string(step->ntasks), std::to_string(step->nodes), std::to_string(step->cpus),
               format_wall(WallTime::from_ns(step->started_ns)), elapsed_text(*step, now), exit,
               step->memory_peak_bytes == 0 ? "" : format_bytes_short(step->memory_peak_bytes),
               step->cpu_time_us == 0 ? "" : format_elapsed(Duration::from_us(static_cast<std::int64_t>(step->cpu_time_us))),
               step->text});
  }
  std::string text = table.empty() ? "Job " + job.id + " has had no steps.\n" : table.to_string();
  if (job.total > job.steps.size()) {
    text += "… " + counted(job.total - job.steps.size(), "earlier step") + " left out\n";
  }
  return text + (job.text.empty() ? "" : printable(job.text) + "\n");
}

nlohmann::ordered_json json_of(const JobSteps& job) {
  ordered_json steps = ordered_json::array();
  for (const auto& step : job.steps) {
    ordered_json one;
    one["id"] = job.id + "." + step_text(*step);
    one["step"] = step->step == kBatchStep ? ordered_json("batch") : ordered_json(step->step);
    one["name"] = step->name;
    one["state"] = upper(fb::EnumNameStepState(step->state));
    one["ntasks"] = step->ntasks;
    one["nodes"] = step->nodes;
    one["cpus"] = step->cpus;
    one["started_ms"] = wall_ms(step->started_ns);
    one["ended_ms"] = wall_ms(step->ended_ns);
    one["exit_code"] = has_ended(*step) ? ordered_json(step->exit_code) : ordered_json(nullptr);
    one["signal"] = has_ended(*step) ? ordered_json(static_cast<int>(step->signal)) : ordered_json(nullptr);
    one["memory_peak_bytes"] = step->memory_peak_bytes;
    one["cpu_time_us"] = step->cpu_time_us;
    one["reason"] = step->text;
    steps.push_back(std::move(one));
  }
  ordered_json json;
  json["id"] = job.id;
  json["reason"] = job.text;
  json["steps_total"] = job.total;
  json["steps"] = std::move(steps);
  return json;
}

}  // namespace muster::cli

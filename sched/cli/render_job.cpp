#include <algorithm>

#include "sched/cli/render_jobs.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

// "  name          value\n"
void put(std::string& text, const std::string& name, const std::string& value) {
  if (!value.empty()) {
    text += "  " + name + std::string(name.size() < 13 ? 14 - name.size() : 1, ' ') + printable(value) + "\n";
  }
}

std::string times_text(std::int64_t started_ns, std::int64_t ended_ns, WallTime now) {
  const std::int64_t until = ended_ns > 0 ? ended_ns : now.ns();
  return started_ns <= 0 ? "" : format_elapsed(Duration::from_ns(std::max<std::int64_t>(0, until - started_ns)));
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string text;
  for (const auto& part : parts) {
    text += (text.empty() ? "" : between) + part;
  }
  return text;
}

// "n1 (cpus 0-3), n2 (cpus 0-3)"
std::string places_text(const fb::JobElementT& element) {
  std::string text;
  for (std::size_t i = 0; i < element.nodes.size(); ++i) {
    text += (text.empty() ? "" : ", ") + element.nodes[i];
    if (i < element.cpus.size() && !element.cpus[i].empty()) {
      text += " (cpus " + element.cpus[i] + ")";
    }
  }
  return text;
}

void put_spec(std::string& text, const fb::JobRowT& job, const fb::JobSpecT& spec) {
  put(text, "command", shell_words(spec.argv));
  put(text, "directory", spec.working_directory);
  std::string size = counted(spec.ntasks, "task") + ", " + format_cpus(spec.cpus_per_task_milli) + " cpu" +
                     (spec.cpus_per_task_milli == 1000 ? "" : "s") + " each";
  if (spec.nodes_min != 0) {
    size += ", on " + std::to_string(spec.nodes_min) +
            (spec.nodes_max != spec.nodes_min ? "-" + std::to_string(spec.nodes_max) : "") + " node" +
            (spec.nodes_max == 1 ? "" : "s");
  }
  put(text, "size", size);
  put(text, "memory", job.memory_bytes == 0 ? "" : format_bytes_short(job.memory_bytes));
  put(text, "time limit", format_time_limit(Duration::from_ms(static_cast<std::int64_t>(spec.time_limit_ms))));
  put(text, "input", spec.stdin_path);
  put(text, "output", spec.stdout_path.empty() ? (job.is_array ? "muster-%A_%a.out" : "muster-%j.out") : spec.stdout_path);
  put(text, "error", spec.stderr_path);
  put(text, "requeue", spec.requeue ? "yes" : "no");
  put(text, "comment", spec.comment);
}

void put_element(std::string& text, const fb::JobElementT& element) {
  put(text, "nodes", places_text(element));
  put(text, "tries", element.try_number > 1 ? std::to_string(element.try_number) : "");
  if (element.cpu_time_us != 0) {
    put(text, "cpu time", format_elapsed(Duration::from_us(static_cast<std::int64_t>(element.cpu_time_us))));
  }
  put(text, "peak memory", element.memory_peak_bytes == 0 ? "" : format_bytes_short(element.memory_peak_bytes));
}

std::string elements_table(const fb::JobRowT& job, const JobName& name, WallTime now) {
  using Align = TextTable::Align;
  TextTable table({{"ELEMENT"}, {"STATE"}, {"TIME", Align::right}, {"NODES"}, {"REASON"}});
  for (const auto& element : job.elements) {
    if (name.first && (element->index < *name.first || element->index > name.last)) {
      continue;
    }
    std::string reason = element->reason;
    if (reason.empty() && is_ended(element->state)) {
      reason = ending_text(element->exit_code, element->signal);
    }
    table.add({std::to_string(job.job) + "_" + std::to_string(element->index), std::string(state_name(element->state)),
               times_text(element->started_ns, element->ended_ns, now), joined(element->nodes, ","), reason});
  }
  return table.empty() ? "" : "\n" + table.to_string();
}

}  // namespace

std::string render_job(const fb::JobRowT& job, const JobName& name, WallTime now) {
  std::string text = "Job " + format_job_name(name) + " '" + printable(job.name) + "' of " + printable(job.user) + ": " +
                     std::string(state_name(job.state)) + (job.held && !is_ended(job.state) ? ", held" : "") + "\n";
  put(text, "reason", job.reason);
  if (is_ended(job.state)) {
    put(text, "result", ending_text(job.exit_code, job.signal).empty() && job.state == fb::JobState::Completed
                            ? "exit code 0"
                            : ending_text(job.exit_code, job.signal));
  }
  if (job.spec) {
    put_spec(text, job, *job.spec);
  }
  if (job.is_array) {
    const std::string ranges =
        job.spec ? format_array(job.spec->array, job.spec->array_throttle) : counted(job.elements_total, "element");
    put(text, "array", ranges + ": " + counts_text(job));
  }
  put(text, "submitted", format_wall(WallTime::from_ns(job.submitted_ns)));
  put(text, "started", job.started_ns > 0 ? format_wall(WallTime::from_ns(job.started_ns)) : "");
  if (is_ended(job.state)) {
    put(text, "ended", format_wall(WallTime::from_ns(job.ended_ns)));
  }
  put(text, "time", times_text(job.started_ns, is_ended(job.state) ? job.ended_ns : 0, now));
  if (!job.is_array && job.elements.size() == 1) {
    put_element(text, *job.elements.front());
  }
  if (job.is_array) {
    text += elements_table(job, name, now);
  }
  return text;
}

}  // namespace muster::cli

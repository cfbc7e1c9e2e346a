#include <algorithm>

#include "sched/cli/render_jobs.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

Duration elapsed(std::int64_t started_ns, std::int64_t ended_ns, WallTime now) {
  if (started_ns <= 0) {
    return {};
  }
  return Duration::from_ns(std::max<std::int64_t>(0, (ended_ns > 0 ? ended_ns : now.ns()) - started_ns));
}

// What the last column says: why it waits, how it failed, how far an array is.
std::string remark(const fb::JobRowT& job) {
  std::string text = job.is_array ? counts_text(job) : "";
  std::string reason = job.reason.empty() && job.held && !is_ended(job.state) ? "held" : job.reason;
  if (reason.empty() && is_ended(job.state)) {
    reason = ending_text(job.exit_code, job.signal);
  }
  if (!reason.empty()) {
    text += (text.empty() ? "" : "; ") + reason;
  }
  return text;
}

}  // namespace

std::string job_id_text(const fb::JobRowT& job) {
  if (!job.is_array) {
    return std::to_string(job.job);
  }
  std::string ranges = std::to_string(job.elements_total) + " elements";
  if (job.spec && !job.spec->array.empty()) {
    ranges = format_array(job.spec->array, job.spec->array_throttle);
    constexpr std::size_t kWidthMax = 40;
    if (ranges.size() > kWidthMax) {
      ranges.resize(kWidthMax - 1);
      ranges += "…";
    }
  }
  return std::to_string(job.job) + "_[" + ranges + "]";
}

std::uint64_t count_in(const fb::JobRowT& job, fb::JobState state) {
  std::uint64_t count = 0;
  for (const auto& entry : job.counts) {
    count += entry.state() == state ? entry.count() : 0;
  }
  return count;
}

std::uint64_t count_ended(const fb::JobRowT& job) {
  std::uint64_t count = 0;
  for (const auto& entry : job.counts) {
    count += is_ended(entry.state()) ? entry.count() : 0;
  }
  return count;
}

std::string counts_text(const fb::JobRowT& job) {
  std::string text;
  for (const fb::JobState state : fb::EnumValuesJobState()) {
    if (const std::uint64_t count = count_in(job, state); count != 0) {
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(state_name(state));
    }
  }
  return text;
}

std::string ending_text(std::int32_t exit_code, int signal) {
  if (signal != 0) {
    return signal_name(signal);
  }
  return exit_code == 0 ? "" : "exit code " + std::to_string(exit_code);
}

namespace {

int exit_code_from(fb::JobState state, std::int32_t exit_code, int signal) {
  if (signal != 0) {
    return 128 + signal;
  }
  if (exit_code != 0) {
    return exit_code & 0xff;
  }
  return state == fb::JobState::Completed ? 0 : 1;
}

}  // namespace

int exit_code_of(const fb::JobRowT& job) { return exit_code_from(job.state, job.exit_code, job.signal); }
int exit_code_of(const fb::JobElementT& element) {
  return exit_code_from(element.state, element.exit_code, element.signal);
}

std::string render_queue(const std::vector<fb::JobRowT>& jobs, WallTime now) {
  using Align = TextTable::Align;
  TextTable table({{"JOBID"}, {"NAME"}, {"USER"}, {"STATE"}, {"TIME", Align::right}, {"NODES", Align::right},
                   {"NTASKS", Align::right}, {"REASON"}});
  for (const auto& job : jobs) {
    table.add({job_id_text(job), job.name, job.user, std::string(state_name(job.state)),
               format_elapsed(elapsed(job.started_ns, is_ended(job.state) ? job.ended_ns : 0, now)),
               job.nodes_wanted == 0 ? "-" : std::to_string(job.nodes_wanted), std::to_string(job.ntasks), remark(job)});
  }
  return table.to_string();
}

}  // namespace muster::cli

#include "sched/cli/progress.hpp"

#include <algorithm>

#include "sched/cli/render_jobs.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {

Progress progress_of(const std::vector<fb::JobRowT>& jobs) {
  Progress progress;
  for (const auto& job : jobs) {
    const std::uint64_t total = std::max<std::uint64_t>(1, job.elements_total);
    progress.total += total;
    if (!job.is_array || job.counts.empty()) {  // the job's own state says it all
      const bool ended = is_ended(job.state);
      progress.ended += ended ? total : 0;
      progress.failed += ended && job.state != fb::JobState::Completed ? total : 0;
      progress.running += job.state == fb::JobState::Running || job.state == fb::JobState::Completing ? 1 : 0;
      progress.pending += job.state == fb::JobState::Pending ? total : 0;
      continue;
    }
    progress.ended += count_ended(job);
    progress.failed += count_ended(job) - count_in(job, fb::JobState::Completed);
    progress.running += count_in(job, fb::JobState::Running) + count_in(job, fb::JobState::Completing);
    progress.pending += count_in(job, fb::JobState::Pending);
  }
  return progress;
}

std::string progress_bar(const Progress& progress, Duration elapsed, std::size_t columns) {
  std::string words = " " + std::to_string(progress.ended) + "/" + std::to_string(progress.total) + "  " +
                      std::to_string(progress.running) + " running";
  if (progress.failed != 0) {
    words += ", " + std::to_string(progress.failed) + " failed";
  }
  if (progress.ended != 0 && progress.ended < progress.total && elapsed >= Duration::from_seconds(2)) {
    const double left =
        elapsed.seconds() * static_cast<double>(progress.total - progress.ended) / static_cast<double>(progress.ended);
    words += ", about " + format_elapsed(Duration::from_ns(static_cast<std::int64_t>(std::min(left, 1e8) * 1e9))) + " left";
  } else {
    words += ", " + format_elapsed(elapsed);
  }
  constexpr std::size_t kBarMin = 5;
  constexpr std::size_t kBarMax = 40;
  if (words.size() + kBarMin + 3 > columns) {
    return words.substr(1, columns > 1 ? columns - 1 : 0);
  }
  const std::size_t width = std::min(kBarMax, columns - words.size() - 3);
  const auto filled = static_cast<std::size_t>(
      progress.total == 0 ? 0.0 : static_cast<double>(width) * static_cast<double>(progress.ended) / static_cast<double>(progress.total));
  return "[" + std::string(std::min(filled, width), '#') + std::string(width - std::min(filled, width), '.') + "]" + words;
}

std::string progress_line(const Progress& progress) {
  std::string text = std::to_string(progress.ended) + " of " + std::to_string(progress.total) + " ended, " +
                     std::to_string(progress.running) + " running, " + std::to_string(progress.pending) + " pending";
  if (progress.failed != 0) {
    text += ", " + std::to_string(progress.failed) + " failed";
  }
  return text;
}

std::string ending_line(const fb::JobRowT& job) {
  if (job.is_array) {
    return "job " + std::to_string(job.job) + ": " + counted(job.elements_total, "element") + ": " + counts_text(job);
  }
  std::string text = "job " + std::to_string(job.job) + ": " + std::string(state_name(job.state));
  std::string why = job.reason;
  const std::string ending = ending_text(job.exit_code, job.signal);
  if (why.empty() || (!ending.empty() && why.find(ending) == std::string::npos && job.state == fb::JobState::Failed)) {
    why = ending + (ending.empty() || why.empty() ? "" : "; ") + why;
  }
  return job.state == fb::JobState::Completed || why.empty() ? text : text + " (" + printable(why) + ")";
}

}  // namespace muster::cli

// What the step daemons of an allocation leave behind: kept with the attempt, and shown to whoever asks.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr std::size_t kKeptBytesMax = std::size_t{128} << 20U;

}  // namespace

// It comes from the job's user: nothing in it is believed before it verifies.
void GangCore::Impl::take_report(const Place& place, const client::TaskUpdate& update, MemberEnd& end) {
  if (update.report.empty() || update.report.size() > kReportMax || !place.job->allocation) {
    return;
  }
  const FrameBytes aligned(update.report.begin(), update.report.end());
  flatbuffers::Verifier verifier(aligned.data(), aligned.size(), FrameLimits{}.depth_max, FrameLimits{}.tables_max);
  if (!verifier.VerifyBuffer<fb::StepReport>(nullptr)) {
    return;
  }
  const auto& report = *flatbuffers::GetRoot<fb::StepReport>(aligned.data());
  end.cancelled = update.state == TaskState::finished && report.cancelled();
  if (place.member == 0) {
    place.live->record.report = update.report;
  }
}

void GangCore::Impl::keep_report(Job& job, std::uint32_t ordinal) {
  const std::size_t bytes = job.details.at(ordinal).report.size();
  if (bytes == 0) {
    return;
  }
  kept_reports.push_back({job.id, ordinal, bytes});
  kept_report_bytes += bytes;
  while (kept_report_bytes > kKeptBytesMax) {
    const KeptReport oldest = kept_reports.front();
    kept_reports.pop_front();
    kept_report_bytes -= oldest.bytes;
    if (Job* of = queue.find(oldest.job)) {
      std::string().swap(of->details.at(oldest.ordinal).report);
    }
  }
}

}  // namespace muster::gang

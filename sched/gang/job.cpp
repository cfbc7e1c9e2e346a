#include "sched/gang/job.hpp"

#include <algorithm>

namespace muster::gang {
namespace {

// Texts and node lists per job are bounded: an array whose every element fails differently must not fill the memory.
constexpr std::size_t kTextsMax = 1000;
constexpr std::size_t kNodeListsMax = 10'000;

}  // namespace

Job::Job(JobRecord r, Now now)
    : record(std::move(r)),
      id(record.job),
      uid(spec().uid()),
      array(spec().array() != nullptr),
      allocation(spec().kind() != fb::TaskKind::Ranks),
      shape(shape_of(spec())),
      elements(indexes_of(spec())),
      throttle_(spec().array_throttle()),
      // Versions go on growing over restarts: they start at the clock's microseconds and grow by ones.
      version(static_cast<std::uint64_t>(std::max<std::int64_t>(now.wall.ns(), 0)) / 1000 + 1) {}

JobFacts Job::facts() const {
  return {.job = id, .uid = uid, .submitted = record.submitted, .priority = spec().priority(), .overtaken = overtaken};
}

std::uint32_t Job::startable() const {
  if (record.held || record.cancelled || done || elements.running() >= throttle()) {
    return 0;
  }
  return std::min(elements.pending(), throttle() - elements.running());
}

std::uint16_t Job::place_of_text(const std::string& text) {
  if (text.empty()) {
    return EndRecord::kNone;
  }
  if (const auto known = text_places.find(text); known != text_places.end()) {
    return known->second;
  }
  if (texts.size() >= kTextsMax) {
    return EndRecord::kNone;
  }
  const auto place = static_cast<std::uint16_t>(texts.size());
  texts.push_back(text);
  text_places.emplace(text, place);
  return place;
}

std::uint16_t Job::place_of_nodes(const std::vector<std::string>& nodes) {
  if (const auto known = node_list_places.find(nodes); known != node_list_places.end()) {
    return known->second;
  }
  if (nodes.empty() || node_lists.size() >= kNodeListsMax) {
    return EndRecord::kNone;
  }
  const auto place = static_cast<std::uint16_t>(node_lists.size());
  node_lists.push_back(nodes);
  node_list_places.emplace(nodes, place);
  return place;
}

void drop_script(Job& job) {
  if (job.spec().script() == nullptr) {
    return;
  }
  const std::unique_ptr<fb::JobSpecT> spec(job.spec().UnPack());
  spec->script = std::vector<std::uint8_t>();
  job.record.spec = pack_job_spec(*spec);
}

EndRecord end_record_of(Job& job, const AttemptRecord& attempt) {
  EndRecord end;
  end.ended_ns = attempt.ended.ns();
  if (attempt.started.ns() != 0) {
    const std::int64_t ms = (attempt.ended.ns() - attempt.started.ns()) / 1'000'000;
    end.duration_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 0, EndRecord::kNeverStarted - 1));
  }
  end.exit_code = static_cast<std::int16_t>(std::clamp(attempt.exit_code, -32768, 32767));
  end.signal = static_cast<std::uint8_t>(attempt.signal);
  end.state = attempt.state;
  end.try_number = static_cast<std::uint16_t>(attempt.try_number);
  end.reason = job.place_of_text(attempt.reason);
  end.nodes = job.place_of_nodes(attempt.nodes);
  return end;
}

JobState state_of(const Job& job) {
  const bool ending = job.record.cancelled && job.elements.running() > 0;
  if (job.running() > 0 || ending) {
    const bool one = job.elements.size() == 1;
    const bool completing =
        job.record.cancelled || (one && !job.live.empty() &&
                                 (job.live.begin()->second.record.cancelled || job.live.begin()->second.failing ||
                                  !job.live.begin()->second.ends.empty()));
    return completing ? JobState::Completing : JobState::Running;
  }
  if (job.waiting() > 0) {
    return JobState::Pending;
  }
  if (job.done && job.final_state != JobState::Pending) {
    return job.final_state;
  }
  // Ended: what a user must hear of first.
  for (const JobState state : {JobState::Failed, JobState::Timeout, JobState::OutOfMemory, JobState::NodeFail,
                               JobState::Lost, JobState::Cancelled}) {
    if (job.elements.ended(state) > 0) {
      return state;
    }
  }
  return JobState::Completed;
}

}  // namespace muster::gang

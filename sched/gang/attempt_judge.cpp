#include "sched/gang/attempt_judge.hpp"

#include <algorithm>

#include "wire/base/check.hpp"

namespace muster::gang {
namespace {

// Ended because of another member's trouble, not of its own.
[[nodiscard]] bool is_consequence(const MemberEnd& end) {
  return end.reason == TaskReason::gang_failed || end.reason == TaskReason::released ||
         end.reason == TaskReason::kill_requested;
}

[[nodiscard]] bool is_clusters_fault(const MemberEnd& end) {
  switch (end.state) {
    case TaskState::lost:
    case TaskState::not_started:
      return true;
    case TaskState::killed:
      return end.reason == TaskReason::fenced || end.reason == TaskReason::drained ||
             end.reason == TaskReason::node_lost || end.reason == TaskReason::node_rebooted ||
             end.reason == TaskReason::gang_failed || end.reason == TaskReason::launcher_died;
    default:
      return false;
  }
}

[[nodiscard]] JobState state_for(const MemberEnd& end) {
  switch (end.state) {
    case TaskState::timed_out: return JobState::Timeout;
    case TaskState::out_of_memory: return JobState::OutOfMemory;
    case TaskState::start_failed: return JobState::Failed;
    case TaskState::not_started: return JobState::NodeFail;
    case TaskState::lost:
      return end.reason == TaskReason::node_lost || end.reason == TaskReason::node_rebooted ||
                     end.reason == TaskReason::fenced
                 ? JobState::NodeFail
                 : JobState::Lost;
    case TaskState::killed: return is_clusters_fault(end) ? JobState::NodeFail : JobState::Cancelled;
    default: return JobState::Failed;
  }
}

[[nodiscard]] std::int32_t exit_code_for(const MemberEnd& end) {
  if (end.state == TaskState::start_failed && end.exit_code == 0) {
    return end.reason == TaskReason::exec_not_found ? 127 : end.reason == TaskReason::exec_not_executable ? 126 : 1;
  }
  return end.exit_code;
}

[[nodiscard]] const MemberEnd& worst(std::span<const MemberEnd> ends) {
  return *std::max_element(ends.begin(), ends.end(), [](const MemberEnd& a, const MemberEnd& b) {
    return std::pair(a.signal != 0, a.exit_code) < std::pair(b.signal != 0, b.exit_code);
  });
}

}  // namespace

bool is_trouble(const MemberEnd& end, bool allocation) {
  return end.state != TaskState::finished || (allocation && (end.exit_code != 0 || end.signal != 0));
}

std::string sentence_of(const MemberEnd& end, std::span<const std::string> nodes) {
  std::string text;
  if (end.state == TaskState::finished) {
    if (!end.text.empty() && (end.signal != 0 || end.exit_code != 0)) {
      return end.text;  // whoever wrote it knew where it happened
    }
    if (end.signal != 0) {
      text = "killed by signal " + std::to_string(end.signal);
    } else if (end.exit_code != 0) {
      text = "exit code " + std::to_string(end.exit_code);
    }
  } else if (!end.text.empty()) {
    text = end.text;
  } else if (end.reason != TaskReason::none) {
    text = to_string(end.reason);
  } else {
    text = to_string(end.state);
  }
  if (!text.empty() && end.member < nodes.size() && (nodes.size() > 1 || end.state != TaskState::finished)) {
    text = nodes[end.member] + ": " + text;
  }
  return text;
}

Verdict judge(const AttemptFacts& facts) {
  check(!facts.ends.empty(), "judge: an attempt without members");
  Verdict verdict;
  const auto not_started = [](const MemberEnd& e) { return e.state == TaskState::not_started; };
  verdict.never_ran =
      std::all_of(facts.ends.begin(), facts.ends.end(), [](const MemberEnd& e) { return proves_not_started(e.state); });
  const auto troubles = [&](const MemberEnd& e) { return is_trouble(e, facts.allocation); };
  const bool troubled = std::any_of(facts.ends.begin(), facts.ends.end(), troubles);
  const auto said_cancelled = std::find_if(facts.ends.begin(), facts.ends.end(), [](const MemberEnd& e) { return e.cancelled; });
  if (said_cancelled != facts.ends.end()) {
    verdict.state = JobState::Cancelled;
    verdict.reason = said_cancelled->text.empty() ? "cancelled by its user" : said_cancelled->text;
    verdict.exit_code = said_cancelled->exit_code;
    verdict.signal = said_cancelled->signal;
    return verdict;
  }
  if (!troubled) {
    const MemberEnd& end = worst(facts.ends);
    verdict.exit_code = end.exit_code;
    verdict.signal = end.signal;
    verdict.state = end.exit_code == 0 && end.signal == 0 ? JobState::Completed : JobState::Failed;
    verdict.reason = sentence_of(end, facts.nodes);
    return verdict;
  }
  // The first end that is a cause and not a consequence; consequences only when there is nothing else.
  const auto is_cause = [&](const MemberEnd& e) { return troubles(e) && !is_consequence(e); };
  auto cause = std::find_if(facts.ends.begin(), facts.ends.end(), is_cause);
  if (cause == facts.ends.end()) {
    cause = std::find_if(facts.ends.begin(), facts.ends.end(), troubles);
  } else if (cause->state == TaskState::finished) {
    // A step daemon that missed another was faster than whoever knows what became of that one.
    const auto fault = std::find_if(cause, facts.ends.end(), [&](const MemberEnd& e) { return is_cause(e) && is_clusters_fault(e); });
    cause = fault == facts.ends.end() ? cause : fault;
  }
  if (facts.cancelled) {
    verdict.state = JobState::Cancelled;
    verdict.reason = verdict.never_ran ? "cancelled before it started" : "cancelled by its user";
    verdict.exit_code = cause->exit_code;
    verdict.signal = cause->signal;
    return verdict;
  }
  if (std::all_of(facts.ends.begin(), facts.ends.end(), not_started)) {
    verdict.again = true;
    verdict.state = JobState::Pending;
    verdict.reason = sentence_of(*cause, facts.nodes);
    return verdict;
  }
  verdict.state = state_for(*cause);
  verdict.reason = sentence_of(*cause, facts.nodes);
  verdict.exit_code = exit_code_for(*cause);
  verdict.signal = cause->signal;
  bool fault = is_clusters_fault(*cause);
  if (!facts.our_reason.empty() && is_consequence(*cause)) {
    verdict.state = JobState::NodeFail;
    verdict.reason = facts.our_reason;
    fault = true;
  }
  verdict.again = fault && facts.requeue;
  return verdict;
}

}  // namespace muster::gang

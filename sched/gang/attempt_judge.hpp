// How an attempt ended, from how its members did. Pure.
//
//   all not started             → retry: nothing has run, a new try follows without penalty
//   all ended by themselves     → COMPLETED, or FAILED with the worst exit code; of an allocation with the first that
//                                 is not 0, and in the words of its step daemon
//   cancelled by its user       → CANCELLED, also when only the step daemon heard of it
//   else the first trouble says → FAILED (could not start) · TIMEOUT · OUT_OF_MEMORY · NODE_FAIL · LOST · CANCELLED;
//                                 those that are the cluster's fault are retried when the job says --requeue
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sched/gang/store.hpp"

namespace muster::gang {

struct Verdict {
  bool again{};             // the element is pending again
  bool never_ran{};         // no rank executed anything
  JobState state{};         // the attempt's; Pending when it never ran and goes again
  std::string reason;
  std::int32_t exit_code{};
  std::int32_t signal{};
};

struct AttemptFacts {
  std::span<const MemberEnd> ends;           // of all members, in the order they ended
  std::span<const std::string> nodes;        // by member
  bool cancelled{};
  bool requeue{};
  std::string_view our_reason;               // why we ended it ourselves; "" if we did not
  bool allocation{};                         // of step daemons: none of them ends badly by itself alone
};

[[nodiscard]] Verdict judge(const AttemptFacts& facts);

// A member's end that can't be the last word on a gang: the other members have to be ended too.
[[nodiscard]] bool is_trouble(const MemberEnd& end, bool allocation);

// "exit code 3", "killed by signal 9 (SIGKILL)", "n2: command not found: foo"
[[nodiscard]] std::string sentence_of(const MemberEnd& end, std::span<const std::string> nodes);

}  // namespace muster::gang

// Job: one submission and everything about it in memory. Pure; owned by the core's JobQueue.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sched/gang/array_state.hpp"
#include "sched/gang/gang_shape.hpp"
#include "sched/gang/job_spec.hpp"
#include "sched/gang/policies/policy.hpp"
#include "sched/gang/store.hpp"

namespace muster::gang {

// One node's share of a live attempt.
struct Member {
  TaskState state{TaskState::launching};
  std::uint64_t killed_in_life{};   // the life of the master's link in which its kill left; 0 = none
  std::uint64_t recalled_in_life{}; // and its recall
};

// An attempt whose end is not decided.
struct LiveTry {
  AttemptRecord record;
  std::vector<Member> members;
  std::vector<MemberEnd> ends;      // in the order they ended
  std::uint32_t running{};          // members that have reported running
  bool failing{};                   // the others are being ended
  bool queued{};                    // waits on its node for another attempt to end
  std::string our_reason;           // why we end it ourselves
  std::vector<std::string> cpus;    // by member, as bound
};

struct Job {
  Job(JobRecord r, Now now);

  [[nodiscard]] const fb::JobSpec& spec() const { return spec_in(record.spec); }
  [[nodiscard]] bool is_array() const { return array; }
  [[nodiscard]] JobFacts facts() const;
  // Elements that may run at the same time.
  [[nodiscard]] std::uint32_t throttle() const { return throttle_ == 0 ? elements.size() : throttle_; }
  [[nodiscard]] std::uint32_t running() const { return elements.running() - queued; }
  [[nodiscard]] std::uint32_t waiting() const { return elements.pending() + queued; }
  [[nodiscard]] std::uint32_t startable() const;   // pending elements that held, cancelled and throttle leave
  // Places in the job's tables; EndRecord::kNone when they are full.
  [[nodiscard]] std::uint16_t place_of_text(const std::string& text);
  [[nodiscard]] std::uint16_t place_of_nodes(const std::vector<std::string>& nodes);

  JobRecord record;
  JobId id;
  std::uint32_t uid{};
  bool array{};
  bool allocation{};                 // its nodes run step daemons, not ranks
  GangShape shape;
  ArrayState elements;
  std::uint32_t throttle_{};

  std::map<std::uint32_t, LiveTry> live;                 // by ordinal
  std::uint32_t queued{};                                // of live: wait in line, shown as pending
  std::map<std::uint32_t, AttemptRecord> details;        // of some ended elements: see kDetailsKept
  static constexpr std::size_t kDetailsKept = 256;
  std::vector<std::string> texts;                        // of EndRecord::reason
  std::map<std::string, std::uint16_t> text_places;
  std::vector<std::vector<std::string>> node_lists;      // of EndRecord::nodes
  std::map<std::vector<std::string>, std::uint16_t> node_list_places;

  std::uint64_t version{};
  bool done{};
  JobState final_state{};            // once done
  WallTime first_started;
  WallTime last_ended;
  std::int32_t worst_exit{};
  std::int32_t worst_signal{};
  std::string first_failure;         // of the first element that failed
  std::string never_fits;            // why, while no node could ever hold it
  std::uint32_t overtaken{};
  std::uint32_t failed_starts{};     // in a row, without anything running in between
  Instant failed_at;
  Instant not_before;                // after failed starts
  Instant asked_at = Instant::never();// when the master was first asked for room for it
  std::map<std::uint32_t, std::uint32_t> never_ran;  // tries that are proven never to have run, by ordinal; few
  // What users call a try: those that never ran are none.
  [[nodiscard]] std::uint32_t try_of_user(std::uint32_t ordinal, std::uint32_t try_number) const {
    const auto found = never_ran.find(ordinal);
    return try_number - (found == never_ran.end() ? 0 : found->second);
  }
  std::string last_failed_start;
};

// The state a job has as a whole: see docs/words.md.
[[nodiscard]] JobState state_of(const Job& job);
// An ended job needs no script, which may be large: the store has it.
void drop_script(Job& job);
// What its ArrayState keeps of an ended attempt.
[[nodiscard]] EndRecord end_record_of(Job& job, const AttemptRecord& attempt);

}  // namespace muster::gang

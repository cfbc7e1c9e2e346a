// The gang's durable records, as values, and the store's interface. The core decides what to write; a batch is
// one transaction; nothing that depends on a batch leaves the core before the batch is committed.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"

namespace muster::gang {

// As fb::JobState.
using JobState = fb::JobState;

// A job (or array: one record).
struct JobRecord {
  JobId job;
  std::uint64_t key_hi{};
  std::uint64_t key_lo{};
  FrameBytes spec;             // fb::JobSpec, serialised
  WallTime submitted;
  std::uint64_t token_hi{};
  std::uint64_t token_lo{};
  bool held{};
  bool cancelled{};            // no further element starts
};

// One node's share of an attempt of an element.
struct MemberRecord {
  AttemptId attempt;
  std::string node;
  TaskState state{};
  std::uint64_t acked_seq{};
};

// How one member of a gang over several nodes ended, kept until the whole attempt has: its update is acknowledged
// long before the last member's.
struct MemberEnd {
  std::uint32_t member{};
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::int32_t signal{};
  std::string text;
  bool cancelled{};          // its step daemon says that the user ended it
  bool operator==(const MemberEnd&) const = default;
};

inline constexpr std::size_t kReportMax = 256 * 1024;

// An attempt of one element: committed before its Accept leaves.
struct AttemptRecord {
  JobId job;
  std::uint32_t index{};
  std::uint32_t try_number{};
  std::vector<std::string> nodes;     // by member
  std::vector<std::uint32_t> ranks;   // by member
  std::vector<std::uint32_t> boots;   // by member: the node's boot number when it was planned; 0 = not known
  JobState state{};                   // Running while live
  std::string reason;
  std::int32_t exit_code{};
  std::int32_t signal{};
  WallTime launched;
  WallTime started;
  WallTime ended;
  std::uint64_t cpu_time_us{};
  Bytes memory_peak_bytes{};
  std::string cpus;
  bool cancelled{};                   // its user asked for its end
  bool requeued{};                    // ended, but its element is pending again with a later try
  std::string report;                 // StepReport of the first member's step daemon; verified; at most kReportMax
  std::vector<MemberEnd> ends;        // in the order they ended; only of gangs, only while live
};

namespace op {
struct PutJob { JobRecord job; };
struct PutAttempt { AttemptRecord attempt; };  // insert or replace by (job, index, try_number)
struct SetHeld { JobId job; bool held{}; };
struct SetCancelled { JobId job; };
// Elements that ended without ever having an attempt (cancelled while pending), as a range.
struct EndElements { JobId job; std::uint32_t first{}; std::uint32_t last{}; JobState state{}; std::string reason; WallTime ended; };
struct EndJob { JobId job; JobState state{}; WallTime ended; };
struct SetMeta { std::string key; std::string value; };
}  // namespace op
using StoreOp = std::variant<op::PutJob, op::PutAttempt, op::SetHeld, op::SetCancelled, op::EndElements, op::EndJob,
                             op::SetMeta>;

struct StoreBatch {
  std::uint64_t number{};  // 1, 2, … in commit order
  std::vector<StoreOp> ops;
};

struct LoadedJob {
  JobRecord job;
  JobState state{};                        // Pending unless ended
  WallTime ended;
  std::vector<AttemptRecord> attempts;     // by (index, try)
  std::vector<op::EndElements> ended_elements;
};

struct LoadedState {
  std::uint64_t next_job{1};
  std::vector<LoadedJob> jobs;             // by id; ended ones too, up to the retention
  std::vector<std::pair<std::string, std::string>> meta;
};

}  // namespace muster::gang

// Gang: the tasks of one accept that start together on several nodes. Pure.
//
//   preparing ─ all Prepared ─► going ─ all running (or ended by themselves) ─► (over: ordinary tasks)
//       │                         └─ one can't be confirmed running in time, or did not start ─► killing
//       └─ one ended, killed, or silence ─► releasing        releasing, killing: over when all have ended
#pragma once

#include <cstdint>
#include <vector>

#include "master/table/ids.hpp"
#include "wire/base/time.hpp"

namespace muster::master {

enum class GangPhase : std::uint8_t { preparing, going, releasing, killing };

struct Gang {
  GangPhase phase{GangPhase::preparing};
  FrameworkIndex framework{kNoFramework};
  std::vector<TaskIndex> members;
  std::uint32_t live{};   // members that have not ended: only these still point here
  std::uint32_t ready{};  // of the live: prepared, or running
  Instant deadline;       // of preparing, then of going
};

}  // namespace muster::master

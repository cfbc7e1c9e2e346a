// What a run is made of: its size, what goes wrong in it, and how it ended.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "master/core/master_core.hpp"
#include "node/core/node_core.hpp"
#include "sched/gang/gang_core.hpp"
#include "wire/base/result.hpp"

namespace muster::sim {

// What may go wrong, and how often. Rates are per minute of virtual time, over the whole cluster.
struct Profile {
  std::string name;
  // Frames
  bool may_be_unordered{};             // this run may lose, repeat and reorder single frames
  std::uint64_t loss_ppm{};
  std::uint64_t duplicate_ppm{};
  std::uint64_t reorder_ppm{};
  std::uint64_t corrupt_ppm{};
  std::uint32_t partitions{};
  std::uint32_t resets{};              // of connections
  // Processes
  std::uint32_t master_crashes{};
  std::uint32_t gang_crashes{};
  std::uint32_t agent_crashes{};
  std::uint32_t launcher_crashes{};
  std::uint32_t rival_crashes{};
  std::uint32_t failovers{};           // a new master while the old one lives on for a while
  std::uint64_t crash_in_flush_ppm{};  // after some outputs of a step were carried out
  // Machines
  std::uint32_t node_power_losses{};
  std::uint32_t gang_power_losses{};
  std::uint32_t drains{};
};
[[nodiscard]] Result<Profile> profile_named(std::string_view name);
[[nodiscard]] const std::vector<std::string>& profile_names();

struct Defects {
  master::MasterDefects master;
  node::NodeDefects node;
  gang::GangDefects gang;
};
// "master.skip_epoch_check" and so on.
[[nodiscard]] Result<Defects> defect_named(std::string_view name);
[[nodiscard]] const std::vector<std::string>& defect_names();

struct Options {
  std::uint32_t nodes{};               // 0: drawn from the seed
  std::uint32_t jobs{};                // 0: drawn from the seed
  std::string profile = "all";
  Defects defects;
  bool trace{};                        // print every event
  std::size_t lines_kept{};            // of the trace, for the outcome
};

struct Outcome {
  bool ok{};
  std::string invariant;
  std::string text;
  Instant at;
  std::uint64_t hash{};
  std::vector<std::string> last_events;
  // What the run was like
  std::uint64_t steps{};
  std::uint64_t frames{};
  std::uint64_t jobs{};
  std::uint64_t tasks_execed{};
  std::uint64_t tasks_in_line{};       // of those, launched behind others
  std::uint64_t crashes{};
};

// Runs one seed to its end: the faults, then the calm in which all must converge.
[[nodiscard]] Outcome run_seed(std::uint64_t seed, const Options& options);
// The seed that this thread is running; for messages of a dying process.
[[nodiscard]] std::uint64_t running_seed();

}  // namespace muster::sim

// Which cpus for which task. One cpu is one processing unit (a hardware thread).
//
//   whole cpus (cpus_milli a multiple of 1000): exclusively the task's. Siblings of one core and cores
//     of one L3 go together: the best-fitting L3, else the best-fitting NUMA node, else package, else anything.
//   fractions (anything else, so 0.5 and 2.5): the task shares the pool with all other such tasks.
//     The pool has at least as many cpus as the sum of its tasks' shares. It grows when needed and gives
//     cpus back only to a whole grant that needs them, or when its last task leaves.
//   zero: no cpus, not bound.
//
// A grant succeeds whenever whole + fractions ≤ capacity: fragmentation costs locality, never room.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/units.hpp"
#include "wire/model/topology.hpp"

namespace muster::node {

// Attempts are unique within their framework only.
struct CpuKey {
  FrameworkId framework;
  AttemptId attempt;
  constexpr auto operator<=>(const CpuKey&) const = default;
};

struct CpuRequest {
  MilliCpus cpus_milli{};           // of the whole task
  std::uint32_t ranks{1};           // 0 = no processes yet
  MilliCpus cpus_per_rank_milli{};  // 0 = share the task's cpus out evenly
};

struct CpuGrant {
  std::vector<std::uint32_t> cpus;  // all of the task, ascending; empty for a task of zero cpus
  bool shared{};                    // the cpus are the pool's, not the task's own
  // One list per rank. Distinct when cpus_per_rank_milli is whole cpus and the task's cpus are its own (or
  // cpus_per_rank_milli is 0 and there are enough of them); else every rank gets all of `cpus`.
  std::vector<std::vector<std::uint32_t>> ranks;
  // The pool gained or lost cpus by this grant: bind pool_members() to pool_cpus() anew. Not doing so is
  // harmless after a gain, and after a loss lets pool tasks run on cpus that are now somebody's own.
  bool pool_changed{};
  bool operator==(const CpuGrant&) const = default;
};

// Pure: no thread, no clock, no machine. The same calls give the same cpus.
class CpuMap {
 public:
  // REQUIRES validate(topology).
  explicit CpuMap(const Topology& topology);

  // Errors: exhausted ("cpus: wants 4, has 3"), already_exists (key), invalid_argument (ranks need more
  // than the task has). On error nothing has changed.
  [[nodiscard]] Result<CpuGrant> grant(const CpuKey& key, const CpuRequest& request);
  // A task that already runs on these cpus, after a restart. Pool tasks may name cpus that have
  // become somebody's own since; they are left out. Adopting cpus of the pool for a whole task moves the pool.
  // Errors: as grant, and conflict when a cpu is unknown, taken, or the number is not cpus_milli / 1000.
  [[nodiscard]] Result<CpuGrant> adopt(const CpuKey& key, const CpuRequest& request, std::span<const std::uint32_t> cpus);
  // Unknown keys are ignored and return false.
  bool release(const CpuKey& key);

  [[nodiscard]] std::uint32_t capacity_cpus() const { return static_cast<std::uint32_t>(cpus_.size()); }
  // What is neither whole-granted nor counted in the pool's shares.
  [[nodiscard]] MilliCpus free_milli() const;
  [[nodiscard]] MilliCpus pool_milli() const { return pool_milli_; }             // sum of the pool tasks' shares
  [[nodiscard]] std::vector<std::uint32_t> pool_cpus() const;                    // ascending
  [[nodiscard]] std::vector<CpuKey> pool_members() const;                        // ascending
  [[nodiscard]] std::vector<std::uint32_t> cpus_of(const CpuKey& key) const;     // {} if unknown; pool tasks: the pool
  [[nodiscard]] std::size_t size() const { return held_.size(); }                // tasks known
  bool operator==(const CpuMap&) const = default;

 private:
  enum class Use : std::uint8_t { free, own, pool };
  struct Held {
    MilliCpus cpus_milli{};
    std::vector<std::uint32_t> own;  // positions; empty for pool tasks
    bool operator==(const Held&) const = default;
  };
  // The free cpus of each group of one kind.
  struct Level {
    std::vector<std::uint32_t> group_of;  // by position
    std::vector<std::uint32_t> free;      // by group
    bool operator==(const Level&) const = default;
  };
  enum : std::size_t { kPackage, kNuma, kL3, kCore, kLevels };

  // How well a number of cpus fits an L3; smaller is better.
  struct Fit {
    std::uint32_t cores;  // touched
    std::uint32_t waste;  // free siblings left behind on the last core
    std::uint32_t free;   // free cpus of the L3
    std::uint32_t l3;
    auto operator<=>(const Fit&) const = default;
  };

  [[nodiscard]] std::uint32_t pool_needs(MilliCpus milli) const { return milli / 1000 + (milli % 1000 != 0 ? 1 : 0); }
  [[nodiscard]] Status check_request(const CpuKey& key, const CpuRequest& request) const;
  [[nodiscard]] CpuGrant describe(const CpuRequest& request, std::span<const std::uint32_t> positions, bool shared) const;
  [[nodiscard]] std::vector<std::uint32_t> choose(std::uint32_t wanted) const;
  [[nodiscard]] Fit fit(std::uint32_t l3, std::uint32_t wanted) const;
  [[nodiscard]] std::uint32_t choose_for_pool() const;
  void pick(std::vector<std::uint32_t> candidates, std::uint32_t wanted, std::size_t level,
            std::vector<std::uint32_t>& out) const;
  void set_use(std::uint32_t position, Use use);
  bool grow_pool(std::uint32_t cpus);    // to at least so many; true if it grew
  void shrink_pool(std::uint32_t cpus);  // to exactly so many, last come first
  [[nodiscard]] std::uint32_t position_of(std::uint32_t cpu) const;  // capacity_cpus() if unknown

  std::vector<std::uint32_t> cpus_;                    // by position: the cpu's number
  std::map<std::uint32_t, std::uint32_t> positions_;   // and back
  std::vector<Use> use_;                               // by position
  Level levels_[kLevels];
  std::vector<std::vector<std::uint32_t>> l3_cores_;   // cores of each L3
  std::uint32_t free_{};                               // cpus in Use::free
  std::vector<std::uint32_t> pool_;                    // positions, in the order they came
  MilliCpus pool_milli_{};
  std::map<CpuKey, Held> held_;
};

}  // namespace muster::node

// Lines: which one-node attempts of ours wait on their node for which others to end, as the master has them. Pure.
//
//   first (launched on an offer, or its turn has come) ◄─ queued ◄─ queued
//
// Attempts of an earlier process of ours are in no line: nobody knows who follows them, so nothing new does.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/units.hpp"
#include "wire/model/resources.hpp"

namespace muster::gang {

// Who may follow whom: the same user and exactly the same resources.
struct LineKind {
  std::uint32_t uid{};
  MilliCpus cpus_milli{};
  std::uint32_t gpus{};
  Bytes memory_bytes{};
  Bytes disk_bytes{};
  auto operator<=>(const LineKind&) const = default;
};
[[nodiscard]] LineKind line_kind(std::uint32_t uid, const Resources& need);

class Lines {
 public:
  static constexpr std::size_t kQueuedMax = 2;  // behind the first: what one round trip may overlook

  struct Tail {
    AttemptId attempt;
    std::string node;
  };

  // An attempt that starts at once.
  void open(const AttemptId& first, const LineKind& kind, const std::string& node);
  // REQUIRES: `tail` is the last of a line.
  void append(const AttemptId& tail, const AttemptId& attempt);
  // It has ended. The attempt whose turn it is now, if there is one.
  std::optional<AttemptId> remove(const AttemptId& attempt);
  // The ends of the lines of this kind with `queued` behind their first, in the order of their opening.
  [[nodiscard]] std::vector<Tail> tails(const LineKind& kind, std::size_t queued) const;
  [[nodiscard]] bool holds(const AttemptId& attempt) const { return by_attempt_.contains(attempt); }
  [[nodiscard]] std::size_t size() const { return lines_.size(); }

 private:
  struct Line {
    LineKind kind;
    std::string node;
    std::vector<AttemptId> attempts;  // the first one, then the queued
  };
  std::map<std::uint64_t, Line> lines_;
  std::map<LineKind, std::set<std::pair<std::size_t, std::uint64_t>>> by_kind_;  // with so many queued
  std::unordered_map<AttemptId, std::uint64_t> by_attempt_;  // looked up, never iterated
  std::uint64_t next_{1};
};

}  // namespace muster::gang

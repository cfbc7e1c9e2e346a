// Which ranks of a step run on which member of its allocation. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

// One node of the allocation.
struct LayoutMember {
  std::string node;
  std::uint32_t cpus{};       // the allocation's, whole cpus
  std::uint32_t free_cpus{};  // of them, what no other step uses
  std::uint32_t ranks{};      // the job's ranks here, as it was submitted
};

struct LayoutAsk {
  std::vector<LayoutMember> members;
  std::uint32_t ntasks{};           // 0: the job's on the nodes used, or ntasks_per_node on each
  std::uint32_t nodes_min{};        // 0: as many as there are, and ranks for
  std::uint32_t nodes_max{};        // 0: no bound
  std::vector<std::string> node_list;  // only these; empty: all
  std::uint32_t ntasks_per_node{};  // at most; 0: no bound
  std::uint32_t cpus_per_task{};    // 0: the ranks need no cpus of their own (they share, or have fractions)
  std::string distribution;         // "" (as "block"), "block", "cyclic", "plane=4"; ":block" or ":cyclic" may follow
  bool overlap{};                   // cpus that other steps use count as free
};

struct StepLayout {
  struct Part {
    std::uint32_t member{};
    std::vector<std::uint32_t> ranks;  // ascending, at least one
    bool operator==(const Part&) const = default;
  };
  std::uint32_t ntasks{};
  std::vector<Part> parts;  // ascending by member

  [[nodiscard]] const Part* part_of(std::uint32_t member) const;
  [[nodiscard]] std::vector<std::uint32_t> counts() const;  // ranks of each part
  bool operator==(const StepLayout&) const = default;
};

// A step that asks for as many ranks as the job has gets them where the job has them. Otherwise every node gets one rank,
// then another, while it has cpus for it; block numbers them node after node, cyclic as they were dealt, and plane=N
// deals N at a time.
// Errors name the option and the way out. invalid_argument: can never be; exhausted: not while other steps run.
[[nodiscard]] Result<StepLayout> lay_out(const LayoutAsk& ask);

[[nodiscard]] fb::StepLayoutT pack_layout(const StepLayout& layout);
// What a peer sent. malformed: counts and numbers contradict each other.
[[nodiscard]] Result<StepLayout> read_layout(const fb::StepLayoutT& layout);

// The second half of "block:cyclic": neighbours in rank go to different packages.
[[nodiscard]] bool deals_over_packages(std::string_view distribution);

}  // namespace muster::node

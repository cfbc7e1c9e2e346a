// What a step daemon is told when it is started. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/model/topology.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

struct StepPlan {
  fb::TaskSpecT spec;
  fb::StepdPlanT facts;       // without the spec's bytes
  AttemptId attempt;
  Topology topology;          // of the granted cpus; empty = not known

  [[nodiscard]] std::uint32_t members() const { return static_cast<std::uint32_t>(spec.nodes.size()); }
  [[nodiscard]] const std::string& node_of(std::uint32_t member) const { return spec.nodes[member]; }
  // The job's ranks on a member, and how many cpus it has there.
  [[nodiscard]] std::uint32_t ranks_on(std::uint32_t member) const;
  [[nodiscard]] std::uint32_t cpus_on(std::uint32_t member) const;
  [[nodiscard]] std::string job_name_text() const;  // "12", "12_3"
};

// malformed: not a StepdPlan, or one that contradicts itself.
[[nodiscard]] Result<StepPlan> read_step_plan(std::span<const std::uint8_t> bytes);

// What a step takes from the allocation it runs in where it says nothing itself.
[[nodiscard]] fb::StepSpecT inherit(const fb::StepSpecT& step, const StepPlan& plan);

}  // namespace muster::node

// Fifo: in the order of submission, first fit. Pure.
//
// A job that does not fit is passed by later ones that do, but only kOvertakesMax element starts: then the nodes it
// will run on are held for it until they are complete, and later jobs use the others only.
#pragma once

#include "sched/gang/policies/policy.hpp"

namespace muster::gang {

class Fifo final : public Policy {
 public:
  static constexpr std::uint32_t kOvertakesMax = 100;
  [[nodiscard]] std::string_view name() const override { return "fifo"; }
  [[nodiscard]] std::int64_t key(const JobFacts& job) const override;
  [[nodiscard]] bool holds(const JobFacts& job) const override;
};

}  // namespace muster::gang

#include "sched/gang/policies/policy.hpp"

#include "sched/gang/policies/fifo.hpp"

namespace muster::gang {

Result<std::unique_ptr<Policy>> make_policy(std::string_view name) {
  if (name == "fifo") {
    return std::make_unique<Fifo>();
  }
  return fail(Errc::not_found, "policy '" + std::string(name) + "' is not known; there is: fifo");
}

}  // namespace muster::gang

#include "sched/gang/policies/fifo.hpp"

namespace muster::gang {

std::int64_t Fifo::key(const JobFacts& job) const { return static_cast<std::int64_t>(job.job.value()); }
bool Fifo::holds(const JobFacts& job) const { return job.overtaken >= kOvertakesMax; }

}  // namespace muster::gang

// PMI-1 over one socket pair per rank (PMI_FD), for MPICH and what descends from it.
#pragma once

#include <memory>

#include "node/pmi/pmi_server.hpp"

namespace muster::node {

// Owned by the step daemon's thread. Costs two descriptors until it has a step, then two per rank that is being
// started and one per rank that runs.
[[nodiscard]] Result<std::unique_ptr<PmiServer>> make_pmi1_server();

}  // namespace muster::node

// PMIx through libpmix, for Open MPI and whatever else speaks it. libpmix allows one server per process.
#pragma once

#include <memory>
#include <string>

#include "node/pmi/pmi_server.hpp"

namespace muster::node {

struct PmixOptions {
  std::string node;       // as in PmiStep.nodes
  std::string directory;  // for libpmix's files; must exist, the server leaves nothing in it
};

// What costs time (milliseconds): opens libpmix, once per process. May be called ahead of the first job. Changes the
// environment for a moment, so no other thread may read it then; and hwloc's plugins are not found by this process afterwards.
[[nodiscard]] Status warm_pmix(const PmixOptions& options);

// Warms libpmix if nobody has. The options of the first call count. `conflict` while another server of this process lives.
[[nodiscard]] Result<std::unique_ptr<PmiServer>> make_pmix_server(const PmixOptions& options);

// Ends libpmix, if it was begun: at the end of the process, after the server.
void finish_pmix();

}  // namespace muster::node

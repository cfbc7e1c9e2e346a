// Which cpus a node grants, by which numbers, and which of the machine's cpus they are.
//
// CpuBinding (node/core) puts the two together. Usually a node's cpu numbers are the machine's own (as in taskset). A node that advertises more than
// the machine has, or a synthetic machine, numbers its cpus 0..n-1 and wraps them onto the real ones.
#pragma once

#include <cstdint>
#include <vector>

#include "wire/model/topology.hpp"

namespace muster::node {

struct NodeCpusOptions {
  std::uint32_t advertised_cpus{0};  // 0 = all of the topology
  std::uint32_t reserved_cpus{0};    // kept for the system: the last ones of the advertised cpus
  std::uint32_t first_cpu{0};        // where to start in the machine, so that several nodes of one
                                     // machine lie side by side (taken modulo its size)
};

// Pure value: a node's cpus.
class NodeCpus {
 public:
  // The machine's own cpus; wraps if more are advertised than it has.
  // Errors: invalid_argument when nothing is left after the reserve, out_of_range above 65,536.
  [[nodiscard]] static Result<NodeCpus> of_machine(const Topology& machine, const NodeCpusOptions& options);
  // A pretended topology over a real machine: always numbered 0..n-1 and wrapped.
  // `advertised_cpus` may be less than the pretended topology has, not more.
  [[nodiscard]] static Result<NodeCpus> of_synthetic(const Topology& pretended, const Topology& machine,
                                                     const NodeCpusOptions& options);

  // The cpus to grant; os_index is the number used in grants and reports.
  [[nodiscard]] const Topology& topology() const { return topology_; }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(topology_.pus.size()); }
  // True when node cpu numbers are not the machine's: several of them may be one real cpu.
  [[nodiscard]] bool wrapped() const { return wrapped_; }
  // The machine's number of each cpu, in the order of topology().pus.
  [[nodiscard]] const std::vector<std::uint32_t>& machine_cpus() const { return machine_cpus_; }

 private:
  Topology topology_;
  std::vector<std::uint32_t> machine_cpus_;
  bool wrapped_{false};
};

}  // namespace muster::node

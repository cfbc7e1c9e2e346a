// The machine as hwloc sees it. The only code that includes hwloc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/base/units.hpp"
#include "wire/model/topology.hpp"

namespace muster::node {

// Used by one thread at a time; binding acts on the calling thread. Loading takes milliseconds.
class HwlocTopology {
 public:
  // This machine, limited to the cpus this process may use (cpuset and affinity).
  [[nodiscard]] static Result<HwlocTopology> discover();
  // hwloc's synthetic form, e.g. "node:2 core:16 pu:2": a pretended machine.
  [[nodiscard]] static Result<HwlocTopology> synthetic(const std::string& description);

  [[nodiscard]] const Topology& topology() const { return topology_; }
  [[nodiscard]] Bytes memory_bytes() const { return memory_bytes_; }  // of the machine; synthetic ones say what they like
  // False for synthetic machines (also by the environment's HWLOC_SYNTHETIC): binding is refused there,
  // because hwloc would report success and bind nothing.
  [[nodiscard]] bool is_this_system() const { return is_this_system_; }

  // Binds the calling thread, strictly. Errors: invalid_argument (no or unknown cpus), unsupported, io.
  [[nodiscard]] Status bind_this_thread(std::span<const std::uint32_t> os_cpus) const;
  // New pages of the calling thread come from the NUMA nodes of these cpus. With one node nothing is to do.
  [[nodiscard]] Status bind_this_thread_memory(std::span<const std::uint32_t> os_cpus) const;
  // Where the calling thread may run now, ascending.
  [[nodiscard]] Result<std::vector<std::uint32_t>> this_threads_cpus() const;
  // The kernel's numbers of the NUMA nodes of these cpus (for cpuset.mems), ascending.
  [[nodiscard]] std::vector<std::uint32_t> numa_os_indexes(std::span<const std::uint32_t> os_cpus) const;

 private:
  struct Handle;  // hwloc_topology_t, kept out of this header
  struct Destroy {
    void operator()(Handle* handle) const;
  };
  using Owned = std::unique_ptr<Handle, Destroy>;
  [[nodiscard]] static Result<HwlocTopology> read(Owned handle);

  Owned handle_;
  Topology topology_;
  Bytes memory_bytes_{};
  bool is_this_system_{};
};

}  // namespace muster::node

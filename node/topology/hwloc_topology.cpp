#include "node/topology/hwloc_topology.hpp"

#include <hwloc.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>

#include "wire/model/cpu_list.hpp"

namespace muster::node {

struct HwlocTopology::Handle {
  hwloc_topology_t topology{};
};

void HwlocTopology::Destroy::operator()(Handle* handle) const {
  if (handle->topology != nullptr) {
    hwloc_topology_destroy(handle->topology);
  }
  delete handle;
}

namespace {

// Above all real group numbers: stands in for a group that a PU does not have.
constexpr std::uint32_t kMissing = 1U << 20U;

// Pure: a bitmap that frees itself.
struct FreeBitmap {
  void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using Bitmap = std::unique_ptr<hwloc_bitmap_s, FreeBitmap>;

std::uint32_t dense(std::map<std::uint32_t, std::uint32_t>& numbers, std::uint32_t raw) {
  return numbers.try_emplace(raw, static_cast<std::uint32_t>(numbers.size())).first->second;
}

// The logical index of the PU's ancestor, or `otherwise` if it has none of that type.
std::uint32_t ancestor(hwloc_topology_t topology, hwloc_obj_type_t type, hwloc_obj_t pu, std::uint32_t otherwise) {
  hwloc_obj_t const object = hwloc_get_ancestor_obj_by_type(topology, type, pu);
  return object != nullptr ? object->logical_index : otherwise;
}

// NUMA nodes are memory children, not ancestors. A PU near several kinds of memory belongs to the first.
std::uint32_t numa_of(hwloc_topology_t topology, hwloc_obj_t pu) {
  if (pu->nodeset != nullptr) {
    if (const int os = hwloc_bitmap_first(pu->nodeset); os >= 0) {
      if (hwloc_obj_t node = hwloc_get_numanode_obj_by_os_index(topology, static_cast<unsigned>(os))) {
        return node->logical_index;
      }
    }
  }
  return 0;
}

Bitmap to_bitmap(std::span<const std::uint32_t> os_cpus) {
  Bitmap set(hwloc_bitmap_alloc());
  for (const std::uint32_t cpu : os_cpus) {
    hwloc_bitmap_set(set.get(), cpu);
  }
  return set;
}

}  // namespace

Result<HwlocTopology> HwlocTopology::discover() {
  Owned handle(new Handle);
  if (hwloc_topology_init(&handle->topology) != 0) {
    return fail_errno(errno, "hwloc can't start");
  }
  // Without the second flag taskset would be ignored; it needs the first, which would also make a topology
  // out of the environment pass for this machine.
  const bool pretended = std::getenv("HWLOC_SYNTHETIC") != nullptr || std::getenv("HWLOC_XMLFILE") != nullptr;
  if (!pretended &&
      hwloc_topology_set_flags(handle->topology, HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM |
                                                         HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING) != 0) {
    return fail_errno(errno, "hwloc refuses its flags");
  }
  return read(std::move(handle));
}

Result<HwlocTopology> HwlocTopology::synthetic(const std::string& description) {
  Owned handle(new Handle);
  if (hwloc_topology_init(&handle->topology) != 0) {
    return fail_errno(errno, "hwloc can't start");
  }
  if (hwloc_topology_set_synthetic(handle->topology, description.c_str()) != 0) {
    return fail(Errc::invalid_argument,
                "topology: '" + description + "' is not understood; write for example 'node:2 core:16 pu:2'");
  }
  return read(std::move(handle));
}

Result<HwlocTopology> HwlocTopology::read(Owned handle) {
  hwloc_topology_t const topology = handle->topology;
  if (hwloc_topology_load(topology) != 0) {
    return fail_errno(errno, "hwloc can't read the topology");
  }
  const int count = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
  if (count <= 0 || static_cast<std::uint32_t>(count) > kCpuNumberEnd) {
    return fail(Errc::unsupported, "topology: " + std::to_string(count) + " cpus found, supported are 1 to " +
                                       std::to_string(kCpuNumberEnd));
  }
  HwlocTopology machine;
  for (int i = 0; i < count; ++i) {
    hwloc_obj_t const pu = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PU, static_cast<unsigned>(i));
    const std::uint32_t numa = numa_of(topology, pu);
    machine.topology_.pus.push_back(Pu{.os_index = pu->os_index,
                                       .core = ancestor(topology, HWLOC_OBJ_CORE, pu, kMissing + pu->logical_index),
                                       .l3 = ancestor(topology, HWLOC_OBJ_L3CACHE, pu, kMissing + numa),
                                       .numa = numa,
                                       .package = ancestor(topology, HWLOC_OBJ_PACKAGE, pu, 0)});
  }
  auto& pus = machine.topology_.pus;
  std::sort(pus.begin(), pus.end(), [](const Pu& a, const Pu& b) {
    return std::array{a.package, a.numa, a.l3, a.core, a.os_index} <
           std::array{b.package, b.numa, b.l3, b.core, b.os_index};
  });
  for (auto kind : {&Pu::package, &Pu::numa, &Pu::l3, &Pu::core}) {
    std::map<std::uint32_t, std::uint32_t> numbers;
    for (Pu& pu : pus) {
      pu.*kind = dense(numbers, pu.*kind);
    }
  }
  if (auto ok = validate(machine.topology_); !ok) {
    return tl::unexpected(ok.error());
  }
  machine.memory_bytes_ = hwloc_get_root_obj(topology)->total_memory;
  machine.is_this_system_ = hwloc_topology_is_thissystem(topology) != 0;
  machine.handle_ = std::move(handle);
  return machine;
}

Status HwlocTopology::bind_this_thread(std::span<const std::uint32_t> os_cpus) const {
  if (os_cpus.empty()) {
    return fail(Errc::invalid_argument, "binding: no cpus are named");
  }
  for (const std::uint32_t cpu : os_cpus) {
    if (hwloc_get_pu_obj_by_os_index(handle_->topology, cpu) == nullptr) {
      return fail(Errc::invalid_argument, "binding: cpu " + std::to_string(cpu) + " is not one that may be used here");
    }
  }
  if (!is_this_system_) {
    return fail(Errc::unsupported, "binding: the topology is a pretended one");
  }
  const Bitmap set = to_bitmap(os_cpus);
  if (hwloc_set_cpubind(handle_->topology, set.get(), HWLOC_CPUBIND_THREAD | HWLOC_CPUBIND_STRICT) != 0) {
    return fail_errno(errno, "binding to cpus " + format_cpu_list(os_cpus));
  }
  return {};
}

Status HwlocTopology::bind_this_thread_memory(std::span<const std::uint32_t> os_cpus) const {
  if (!is_this_system_) {
    return fail(Errc::unsupported, "memory binding: the topology is a pretended one");
  }
  if (hwloc_get_nbobjs_by_type(handle_->topology, HWLOC_OBJ_NUMANODE) < 2) {
    return {};
  }
  const Bitmap set = to_bitmap(os_cpus);
  if (hwloc_set_membind(handle_->topology, set.get(), HWLOC_MEMBIND_BIND, HWLOC_MEMBIND_THREAD) != 0) {
    return fail_errno(errno, "binding memory near cpus " + format_cpu_list(os_cpus));
  }
  return {};
}

Result<std::vector<std::uint32_t>> HwlocTopology::this_threads_cpus() const {
  const Bitmap set(hwloc_bitmap_alloc());
  if (hwloc_get_cpubind(handle_->topology, set.get(), HWLOC_CPUBIND_THREAD) != 0) {
    return fail_errno(errno, "reading this thread's binding");
  }
  std::vector<std::uint32_t> cpus;
  for (int cpu = hwloc_bitmap_first(set.get()); cpu >= 0; cpu = hwloc_bitmap_next(set.get(), cpu)) {
    cpus.push_back(static_cast<std::uint32_t>(cpu));
  }
  return cpus;
}

std::vector<std::uint32_t> HwlocTopology::numa_os_indexes(std::span<const std::uint32_t> os_cpus) const {
  std::vector<std::uint32_t> nodes;
  for (const std::uint32_t cpu : os_cpus) {
    hwloc_obj_t const pu = hwloc_get_pu_obj_by_os_index(handle_->topology, cpu);
    if (pu == nullptr || pu->nodeset == nullptr) {
      continue;
    }
    for (int node = hwloc_bitmap_first(pu->nodeset); node >= 0; node = hwloc_bitmap_next(pu->nodeset, node)) {
      nodes.push_back(static_cast<std::uint32_t>(node));
    }
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

}  // namespace muster::node

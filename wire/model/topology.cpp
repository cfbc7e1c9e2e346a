#include "wire/model/topology.hpp"

#include <algorithm>
#include <array>

#include "wire/base/check.hpp"
#include "wire/base/ids.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster {
namespace {

constexpr std::array kKinds{&Pu::package, &Pu::numa, &Pu::l3, &Pu::core};
constexpr std::array kKindNames{"package", "numa", "l3", "core"};

// One more than the largest group number of a kind.
std::uint32_t groups_of(const std::vector<Pu>& pus, std::uint32_t Pu::*kind) {
  std::uint32_t end = 0;
  for (const Pu& pu : pus) {
    end = std::max(end, pu.*kind + 1);
  }
  return end;
}

std::string plural(std::uint32_t n, std::string_view one, std::string_view many) {
  return std::to_string(n) + " " + std::string(n == 1 ? one : many);
}

}  // namespace

TopologyCounts Topology::counts() const {
  return TopologyCounts{groups_of(pus, &Pu::package), groups_of(pus, &Pu::numa), groups_of(pus, &Pu::l3),
                        groups_of(pus, &Pu::core), static_cast<std::uint32_t>(pus.size())};
}

std::uint64_t Topology::hash() const {
  std::uint64_t h = mix64(0x746f706f6c6f6779ULL + pus.size());
  const auto fold = [&h](std::uint64_t value) { h = mix64(h * 0x9e3779b97f4a7c15ULL + value + 1); };
  for (const Pu& pu : pus) {
    fold((std::uint64_t{pu.os_index} << 32U) | pu.core);
    fold((std::uint64_t{pu.l3} << 32U) | pu.numa);
    fold(pu.package);
  }
  return h;
}

std::string Topology::to_string() const {
  const TopologyCounts n = counts();
  return plural(n.packages, "package", "packages") + ", " + plural(n.numas, "NUMA node", "NUMA nodes") + ", " +
         plural(n.l3s, "L3", "L3") + ", " + plural(n.cores, "core", "cores") + ", " + plural(n.pus, "cpu", "cpus");
}

std::string Topology::synthetic_description() const {
  const TopologyCounts n = counts();
  if (n.pus == 0 || n.numas % n.packages != 0 || n.l3s % n.numas != 0 || n.cores % n.l3s != 0 ||
      n.pus % n.cores != 0) {
    return {};
  }
  const TopologyShape shape{n.packages, n.numas / n.packages, n.l3s / n.numas, n.cores / n.l3s, n.pus / n.cores};
  const Topology regular = make_topology(shape);
  for (std::size_t i = 0; i < pus.size(); ++i) {
    Pu expected = regular.pus[i];
    expected.os_index = pus[i].os_index;  // numbering is the kernel's affair
    if (pus[i] != expected) {
      return {};
    }
  }
  return "package:" + std::to_string(shape.packages) + " numa:" + std::to_string(shape.numas_per_package) +
         " l3:" + std::to_string(shape.l3s_per_numa) + " core:" + std::to_string(shape.cores_per_l3) +
         " pu:" + std::to_string(shape.pus_per_core);
}

Topology make_topology(const TopologyShape& shape) {
  check(shape.packages > 0 && shape.numas_per_package > 0 && shape.l3s_per_numa > 0 && shape.cores_per_l3 > 0 &&
            shape.pus_per_core > 0,
        "topology: a shape with an empty group");
  const std::uint32_t pus_per_l3 = shape.cores_per_l3 * shape.pus_per_core;
  const std::uint32_t pus_per_numa = shape.l3s_per_numa * pus_per_l3;
  const std::uint32_t pus_per_package = shape.numas_per_package * pus_per_numa;
  Topology topology;
  topology.pus.reserve(std::size_t{shape.packages} * pus_per_package);
  for (std::uint32_t i = 0; i < shape.packages * pus_per_package; ++i) {
    topology.pus.push_back(Pu{.os_index = i,
                              .core = i / shape.pus_per_core,
                              .l3 = i / pus_per_l3,
                              .numa = i / pus_per_numa,
                              .package = i / pus_per_package});
  }
  return topology;
}

Status validate(const Topology& topology) {
  const auto& pus = topology.pus;
  if (pus.empty() || pus.size() > kCpuNumberEnd) {
    return fail(Errc::out_of_range,
                "topology: " + std::to_string(pus.size()) + " cpus, allowed are 1 to " + std::to_string(kCpuNumberEnd));
  }
  std::vector<bool> seen(kCpuNumberEnd, false);
  for (const Pu& pu : pus) {
    if (pu.os_index >= kCpuNumberEnd || seen[pu.os_index]) {
      return fail(Errc::malformed, "topology: cpu number " + std::to_string(pu.os_index) +
                                       (pu.os_index >= kCpuNumberEnd ? " is too large" : " appears twice"));
    }
    seen[pu.os_index] = true;
  }
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    // Bounded before it is counted, so that no number makes us allocate.
    std::vector<bool> used(pus.size(), false);
    std::size_t end = 0;
    for (const Pu& pu : pus) {
      const std::uint32_t group = pu.*kKinds[k];
      if (group >= pus.size()) {
        return fail(Errc::malformed, std::string("topology: ") + kKindNames[k] + " number " + std::to_string(group) +
                                         " is not below the number of cpus");
      }
      used[group] = true;
      end = std::max<std::size_t>(end, group + 1);
    }
    if (std::find(used.begin(), used.begin() + static_cast<std::ptrdiff_t>(end), false) !=
        used.begin() + static_cast<std::ptrdiff_t>(end)) {
      return fail(Errc::malformed, std::string("topology: ") + kKindNames[k] + " numbers have a gap");
    }
  }
  std::vector<const Pu*> core_sample(pus.size(), nullptr);
  for (const Pu& pu : pus) {
    const Pu*& sample = core_sample[pu.core];
    if (sample == nullptr) {
      sample = &pu;
    } else if (sample->l3 != pu.l3 || sample->numa != pu.numa || sample->package != pu.package) {
      return fail(Errc::malformed, "topology: core " + std::to_string(pu.core) + " lies in two groups");
    }
  }
  return {};
}

}  // namespace muster

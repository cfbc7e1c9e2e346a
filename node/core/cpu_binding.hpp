// CpuBinding: from the cpus a node advertises to the machine's cpus that tasks are bound to. Pure value.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wire/model/topology.hpp"

namespace muster::node {

class CpuBinding {
 public:
  // The cpu at place p of `advertised` is machine_cpus[p % size]. No machine cpus: nothing is bound.
  CpuBinding(const Topology& advertised, const std::vector<std::uint32_t>& machine_cpus);

  // Ascending and unique. Cpus that are not advertised are left out.
  [[nodiscard]] std::vector<std::uint32_t> os_cpus(std::span<const std::uint32_t> advertised) const;
  // "4 advertised cpus on 2 real ones" when several share one; else "".
  [[nodiscard]] std::string wrap_text(std::span<const std::uint32_t> advertised) const;

 private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> real_;  // (advertised, real), ascending
};

}  // namespace muster::node

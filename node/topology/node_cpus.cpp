#include "node/topology/node_cpus.hpp"

#include <algorithm>
#include <map>

#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

// Numbers the groups densely again, in the order in which they appear.
void renumber(std::vector<Pu>& pus, std::uint32_t Pu::*kind) {
  std::map<std::uint32_t, std::uint32_t> dense;
  for (Pu& pu : pus) {
    pu.*kind = dense.try_emplace(pu.*kind, static_cast<std::uint32_t>(dense.size())).first->second;
  }
}

// The first n PUs from `first` on, round and round. Each round is a machine of its own beside the others.
std::vector<Pu> repeat(const Topology& machine, std::uint32_t first, std::uint32_t n) {
  const TopologyCounts one = machine.counts();
  std::vector<Pu> pus;
  pus.reserve(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t round = (first + i) / one.pus;
    Pu pu = machine.pus[(first + i) % one.pus];
    pu.core += round * one.cores;
    pu.l3 += round * one.l3s;
    pu.numa += round * one.numas;
    pu.package += round * one.packages;
    pus.push_back(pu);
  }
  return pus;
}

void keep(std::vector<Pu>& pus, std::vector<std::uint32_t>& machine_cpus, std::size_t n) {
  pus.resize(std::min(n, pus.size()));
  machine_cpus.resize(pus.size());
  for (auto kind : {&Pu::package, &Pu::numa, &Pu::l3, &Pu::core}) {
    renumber(pus, kind);
  }
}

Status check_sizes(const Topology& topology, const NodeCpusOptions& options) {
  const std::uint64_t advertised =
      options.advertised_cpus != 0 ? options.advertised_cpus : std::uint64_t{topology.pus.size()};
  if (advertised > kCpuNumberEnd) {
    return fail(Errc::out_of_range, "cpus: a node can't have " + std::to_string(advertised) + ", at most " +
                                        std::to_string(kCpuNumberEnd));
  }
  if (options.reserved_cpus >= advertised) {
    return fail(Errc::invalid_argument, "cpus: reserving " + std::to_string(options.reserved_cpus) + " of " +
                                            std::to_string(advertised) + " leaves none for tasks; reserve fewer");
  }
  return {};
}

}  // namespace

Result<NodeCpus> NodeCpus::of_machine(const Topology& machine, const NodeCpusOptions& options) {
  if (auto ok = validate(machine); !ok) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = check_sizes(machine, options); !ok) {
    return tl::unexpected(ok.error());
  }
  const auto size = static_cast<std::uint32_t>(machine.pus.size());
  const std::uint32_t advertised = options.advertised_cpus != 0 ? options.advertised_cpus : size;
  NodeCpus cpus;
  cpus.wrapped_ = advertised > size;
  const std::uint32_t first = options.first_cpu % size;
  if (cpus.wrapped_) {
    cpus.topology_.pus = repeat(machine, first, advertised);
    for (std::uint32_t i = 0; i < advertised; ++i) {
      cpus.machine_cpus_.push_back(cpus.topology_.pus[i].os_index);
      cpus.topology_.pus[i].os_index = i;
    }
  } else {
    for (std::uint32_t i = 0; i < size; ++i) {
      if ((i + size - first) % size < advertised) {
        cpus.topology_.pus.push_back(machine.pus[i]);
        cpus.machine_cpus_.push_back(machine.pus[i].os_index);
      }
    }
  }
  keep(cpus.topology_.pus, cpus.machine_cpus_, advertised - options.reserved_cpus);
  return cpus;
}

Result<NodeCpus> NodeCpus::of_synthetic(const Topology& pretended, const Topology& machine,
                                        const NodeCpusOptions& options) {
  for (const Topology* topology : {&pretended, &machine}) {
    if (auto ok = validate(*topology); !ok) {
      return tl::unexpected(ok.error());
    }
  }
  if (auto ok = check_sizes(pretended, options); !ok) {
    return tl::unexpected(ok.error());
  }
  const auto size = static_cast<std::uint32_t>(pretended.pus.size());
  const std::uint32_t advertised = options.advertised_cpus != 0 ? options.advertised_cpus : size;
  if (advertised > size) {
    return fail(Errc::invalid_argument, "cpus: " + std::to_string(advertised) + " are advertised, the topology given has " +
                                            std::to_string(size) + "; give a larger one or leave the number out");
  }
  NodeCpus cpus;
  cpus.wrapped_ = true;
  cpus.topology_ = pretended;
  for (std::uint32_t i = 0; i < advertised; ++i) {
    cpus.topology_.pus[i].os_index = i;
    cpus.machine_cpus_.push_back(machine.pus[(options.first_cpu + std::uint64_t{i}) % machine.pus.size()].os_index);
  }
  keep(cpus.topology_.pus, cpus.machine_cpus_, advertised - options.reserved_cpus);
  return cpus;
}

}  // namespace muster::node

#include "node/core/cpu_binding.hpp"

#include <algorithm>

namespace muster::node {

CpuBinding::CpuBinding(const Topology& advertised, const std::vector<std::uint32_t>& machine_cpus) {
  if (machine_cpus.empty()) {
    return;
  }
  for (std::size_t place = 0; place < advertised.pus.size(); ++place) {
    real_.emplace_back(advertised.pus[place].os_index, machine_cpus[place % machine_cpus.size()]);
  }
  std::sort(real_.begin(), real_.end());
}

std::vector<std::uint32_t> CpuBinding::os_cpus(std::span<const std::uint32_t> advertised) const {
  std::vector<std::uint32_t> os;
  for (const std::uint32_t cpu : advertised) {
    const auto at = std::lower_bound(real_.begin(), real_.end(), std::pair{cpu, std::uint32_t{0}});
    if (at != real_.end() && at->first == cpu) {
      os.push_back(at->second);
    }
  }
  std::sort(os.begin(), os.end());
  os.erase(std::unique(os.begin(), os.end()), os.end());
  return os;
}

std::string CpuBinding::wrap_text(std::span<const std::uint32_t> advertised) const {
  const std::size_t real = os_cpus(advertised).size();
  if (real == 0 || real == advertised.size()) {
    return {};
  }
  return std::to_string(advertised.size()) + " advertised cpus on " + std::to_string(real) +
         (real == 1 ? " real one" : " real ones");
}

}  // namespace muster::node

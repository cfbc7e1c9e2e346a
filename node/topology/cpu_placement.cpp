// CpuMap's choices: which of the free cpus. Declared in cpu_map.hpp.
#include <algorithm>
#include <limits>
#include <optional>

#include "node/topology/cpu_map.hpp"
#include "wire/base/check.hpp"

namespace muster::node {

// Plays pick() on the L3's cores without touching them.
CpuMap::Fit CpuMap::fit(std::uint32_t l3, std::uint32_t wanted) const {
  const auto& core_free = levels_[kCore].free;
  Fit fit{0, 0, levels_[kL3].free[l3], l3};
  // Histogram of cores by free cpus; cores are small.
  constexpr std::size_t kMost = 16;
  std::uint32_t by_free[kMost + 1]{};
  for (const std::uint32_t core : l3_cores_[l3]) {
    ++by_free[std::min<std::size_t>(core_free[core], kMost)];
  }
  std::uint32_t left = wanted;
  for (std::size_t most = kMost; left > 0;) {
    while (most > 0 && by_free[most] == 0) {
      --most;
    }
    if (most == 0) {
      break;  // cores of more than kMost threads: an estimate is good enough
    }
    ++fit.cores;
    if (left > most) {
      left -= static_cast<std::uint32_t>(most);
      --by_free[most];
      continue;
    }
    std::size_t last = left;
    while (by_free[last] == 0) {
      ++last;
    }
    fit.waste = static_cast<std::uint32_t>(last) - left;
    break;
  }
  return fit;
}

std::vector<std::uint32_t> CpuMap::choose(std::uint32_t wanted) const {
  check(wanted <= free_, "cpu_map: choosing more cpus than are free");
  std::vector<std::uint32_t> chosen;
  chosen.reserve(wanted);
  // The smallest kind of group that holds it all.
  std::size_t level = kLevels;
  std::uint32_t group = 0;
  std::optional<Fit> best;
  const auto& l3s = levels_[kL3].free;
  for (std::uint32_t l3 = 0; l3 < l3s.size(); ++l3) {
    if (l3s[l3] >= wanted && wanted > 0) {
      const Fit candidate = fit(l3, wanted);
      if (!best || candidate < *best) {
        best = candidate;
      }
    }
  }
  if (best) {
    level = kL3;
    group = best->l3;
  } else {
    for (const std::size_t wider : {kNuma, kPackage}) {
      const auto& free = levels_[wider].free;
      std::uint32_t least = std::numeric_limits<std::uint32_t>::max();
      for (std::uint32_t g = 0; g < free.size(); ++g) {
        if (free[g] >= wanted && free[g] < least) {
          least = free[g];
          group = g;
          level = wider;
        }
      }
      if (level != kLevels) {
        break;
      }
    }
  }
  std::vector<std::uint32_t> candidates;
  for (std::uint32_t position = 0; position < use_.size(); ++position) {
    if (use_[position] == Use::free && (level == kLevels || levels_[level].group_of[position] == group)) {
      candidates.push_back(position);
    }
  }
  pick(std::move(candidates), wanted, level == kLevels ? std::size_t{kPackage} : level + 1, chosen);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

// Takes `wanted` of the candidates, group by group of this level: the smallest group that holds the
// rest, else the largest group whole.
void CpuMap::pick(std::vector<std::uint32_t> candidates, std::uint32_t wanted, std::size_t level,
                  std::vector<std::uint32_t>& out) const {
  if (wanted >= candidates.size() || level == kLevels) {
    const std::size_t n = std::min<std::size_t>(wanted, candidates.size());
    out.insert(out.end(), candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(n));
    return;
  }
  const auto& group_of = levels_[level].group_of;
  // Groups as (group, members), in the order of their first cpu; neighbours stand together.
  std::vector<std::vector<std::uint32_t>> groups;
  std::vector<std::size_t> index(levels_[level].free.size(), std::numeric_limits<std::size_t>::max());
  for (const std::uint32_t position : candidates) {
    std::size_t& at = index[group_of[position]];
    if (at == std::numeric_limits<std::size_t>::max()) {
      at = groups.size();
      groups.emplace_back();
    }
    groups[at].push_back(position);
  }
  while (wanted > 0) {
    auto best = groups.end();
    for (auto it = groups.begin(); it != groups.end(); ++it) {
      if (it->empty()) {
        continue;
      }
      const bool holds = it->size() >= wanted;
      if (best == groups.end()) {
        best = it;
      } else if (const bool best_holds = best->size() >= wanted; holds != best_holds) {
        best = holds ? it : best;
      } else if (holds ? it->size() < best->size() : it->size() > best->size()) {
        best = it;
      }
    }
    check(best != groups.end(), "cpu_map: picked more cpus than there were");
    if (best->size() >= wanted) {
      pick(std::move(*best), wanted, level + 1, out);
      return;
    }
    wanted -= static_cast<std::uint32_t>(best->size());
    out.insert(out.end(), best->begin(), best->end());
    best->clear();
  }
}

// Beside the pool's other cpus: same core, L3, NUMA node, package; else as for one whole cpu.
std::uint32_t CpuMap::choose_for_pool() const {
  for (const std::size_t level : {kCore, kL3, kNuma, kPackage}) {
    for (const std::uint32_t member : pool_) {
      const std::uint32_t group = levels_[level].group_of[member];
      if (levels_[level].free[group] == 0) {
        continue;
      }
      std::vector<std::uint32_t> candidates;
      for (std::uint32_t position = 0; position < use_.size(); ++position) {
        if (use_[position] == Use::free && levels_[level].group_of[position] == group) {
          candidates.push_back(position);
        }
      }
      std::vector<std::uint32_t> chosen;
      pick(std::move(candidates), 1, level + 1, chosen);
      return chosen.front();
    }
  }
  return choose(1).front();
}

}  // namespace muster::node

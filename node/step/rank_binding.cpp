#include "node/step/rank_binding.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

// The step's cpus by core, neighbours first; threads_per_core already applied.
struct Core {
  std::uint32_t package{};
  std::vector<Pu> pus;
};

std::vector<Core> cores_of(const BindAsk& ask) {
  std::set<std::uint32_t> wanted(ask.cpus.begin(), ask.cpus.end());
  std::vector<Core> cores;
  std::uint32_t last_core = 0;
  for (const Pu& pu : ask.pus) {
    if (wanted.erase(pu.os_index) == 0) {
      continue;
    }
    if (cores.empty() || pu.core != last_core) {
      cores.push_back({pu.package, {}});
      last_core = pu.core;
    }
    if (ask.threads_per_core == 0 || cores.back().pus.size() < ask.threads_per_core) {
      cores.back().pus.push_back(pu);
    }
  }
  for (const std::uint32_t cpu : wanted) {
    cores.push_back({0, {Pu{.os_index = cpu, .core = 0, .l3 = 0, .numa = 0, .package = 0}}});
  }
  return cores;
}

// A core of the first package, one of the next, and so on.
std::vector<Core> over_packages(const std::vector<Core>& cores) {
  std::vector<std::uint32_t> packages;
  for (const Core& core : cores) {
    if (std::find(packages.begin(), packages.end(), core.package) == packages.end()) {
      packages.push_back(core.package);
    }
  }
  std::vector<std::vector<Core>> piles(packages.size());
  for (const Core& core : cores) {
    piles[static_cast<std::size_t>(std::find(packages.begin(), packages.end(), core.package) - packages.begin())].push_back(core);
  }
  std::vector<Core> dealt;
  for (std::size_t i = 0; dealt.size() < cores.size(); ++i) {
    for (const auto& pile : piles) {
      if (i < pile.size()) {
        dealt.push_back(pile[i]);
      }
    }
  }
  return dealt;
}

// Cores in the order in which ranks of `cores_each` take them. Over packages, a rank's own cores stay neighbours.
std::vector<Core> dealt_over_packages(const std::vector<Core>& cores, std::size_t cores_each) {
  std::vector<Core> units;
  for (std::size_t i = 0; i + cores_each <= cores.size();) {
    if (cores[i].package != cores[i + cores_each - 1].package) {
      ++i;  // would lie across two packages
      continue;
    }
    Core unit{cores[i].package, {}};
    for (std::size_t k = 0; k < cores_each; ++k, ++i) {
      unit.pus.insert(unit.pus.end(), cores[i].pus.begin(), cores[i].pus.end());
    }
    units.push_back(std::move(unit));
  }
  return over_packages(units);
}

std::vector<Pu> all_pus(const std::vector<Core>& cores) {
  std::vector<Pu> pus;
  for (const Core& core : cores) {
    pus.insert(pus.end(), core.pus.begin(), core.pus.end());
  }
  return pus;
}

RankBinding binding_of(std::vector<Pu> pus) {
  RankBinding binding;
  for (const Pu& pu : pus) {
    binding.cpus.push_back(pu.os_index);
    binding.numas.push_back(pu.numa);
  }
  for (auto* list : {&binding.cpus, &binding.numas}) {
    std::sort(list->begin(), list->end());
    list->erase(std::unique(list->begin(), list->end()), list->end());
  }
  return binding;
}

std::string number_text(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

// cpus_each cpus for each rank, in order, from the start again when they run out.
std::vector<std::vector<Pu>> in_order(const std::vector<Pu>& pus, const BindAsk& ask, std::size_t cpus_each,
                                      std::string& note) {
  if (ask.ranks * cpus_each > pus.size()) {
    note = number_text(ask.ranks, "rank") + " of " + number_text(cpus_each, "cpu") + " share " +
           number_text(pus.size(), "cpu") + (ask.node.empty() ? "" : " of " + std::string(ask.node));
  }
  std::vector<std::vector<Pu>> ranks(ask.ranks);
  std::size_t at = 0;
  for (auto& rank : ranks) {
    for (std::size_t k = 0; k < std::min(cpus_each, pus.size()); ++k) {
      rank.push_back(pus[at++ % pus.size()]);
    }
  }
  return ranks;
}

std::vector<std::vector<Pu>> by_core(const std::vector<Core>& cores, const BindAsk& ask, std::size_t cpus_each,
                                     std::string& note) {
  std::size_t threads = 1;
  for (const Core& core : cores) {
    threads = std::max(threads, core.pus.size());
  }
  const std::size_t cores_each = (cpus_each + threads - 1) / threads;
  std::vector<std::vector<Pu>> ranks;
  if (ask.over_packages) {
    const std::vector<Core> units = dealt_over_packages(cores, cores_each);
    const bool all_hold = std::all_of(units.begin(), units.end(), [&](const Core& unit) { return unit.pus.size() >= cpus_each; });
    if (units.size() >= ask.ranks && all_hold) {
      for (std::uint32_t r = 0; r < ask.ranks; ++r) {
        ranks.push_back(units[r].pus);
      }
      return ranks;
    }
  }
  // Cores may have unlike numbers of threads (some granted, some not): each rank takes cores until it has enough cpus.
  std::size_t at = 0;
  while (ranks.size() < ask.ranks && at < cores.size()) {
    std::vector<Pu> rank;
    while (rank.size() < cpus_each && at < cores.size()) {
      rank.insert(rank.end(), cores[at].pus.begin(), cores[at].pus.end());
      ++at;
    }
    if (rank.size() < cpus_each) {
      break;
    }
    ranks.push_back(std::move(rank));
  }
  if (ranks.size() == ask.ranks) {
    return ranks;
  }
  return in_order(all_pus(ask.over_packages ? over_packages(cores) : cores), ask, cpus_each, note);
}

Result<std::vector<std::vector<Pu>>> by_map(std::string_view list, const std::vector<Pu>& pus, const BindAsk& ask) {
  std::vector<Pu> chosen;
  const std::string whole = "--cpu-bind map:" + std::string(list);
  while (true) {
    const auto comma = list.find(',');
    const std::string_view word = list.substr(0, comma);
    std::uint32_t cpu = 0;
    const auto [p, ec] = std::from_chars(word.data(), word.data() + word.size(), cpu);
    if (word.empty() || ec != std::errc{} || p != word.data() + word.size()) {
      return fail(Errc::invalid_argument, whole + ": '" + std::string(word) + "' is not a cpu; write map:0,2,4");
    }
    const auto found = std::find_if(pus.begin(), pus.end(), [&](const Pu& pu) { return pu.os_index == cpu; });
    if (found == pus.end()) {
      return fail(Errc::invalid_argument, whole + ": cpu " + std::to_string(cpu) + " is not among those of the step on " +
                                              std::string(ask.node.empty() ? "this node" : ask.node) + ", " +
                                              format_cpu_list(binding_of(pus).cpus));
    }
    chosen.push_back(*found);
    if (comma == std::string_view::npos) {
      break;
    }
    list.remove_prefix(comma + 1);
  }
  std::vector<std::vector<Pu>> ranks;
  for (std::uint32_t r = 0; r < ask.ranks; ++r) {
    ranks.push_back({chosen[r % chosen.size()]});
  }
  return ranks;
}

// All of `pus` in the groups that `rank` touches.
std::vector<Pu> widened(const std::vector<Pu>& rank, const std::vector<Pu>& pus, std::uint32_t Pu::*group) {
  std::vector<Pu> wide;
  std::copy_if(pus.begin(), pus.end(), std::back_inserter(wide), [&](const Pu& pu) {
    return std::any_of(rank.begin(), rank.end(), [&](const Pu& own) { return own.*group == pu.*group; });
  });
  return wide;
}

}  // namespace

Result<StepBinding> bind_ranks(const BindAsk& ask) {
  const std::vector<Core> cores = cores_of(ask);
  const std::vector<Pu> pus = all_pus(cores);
  StepBinding binding;
  binding.ranks.resize(ask.ranks);
  if (pus.empty() || ask.ranks == 0) {
    return binding;
  }
  const std::size_t cpus_each =
      ask.cpus_per_task != 0 ? ask.cpus_per_task : std::max<std::size_t>(1, pus.size() / ask.ranks);
  const std::string_view kind = ask.cpu_bind.empty() ? "core" : ask.cpu_bind;
  std::vector<std::vector<Pu>> ranks;
  if (kind == "none") {
    ranks.assign(ask.ranks, pus);
  } else if (kind == "rank") {
    ranks = in_order(pus, ask, cpus_each, binding.note);
  } else if (kind.starts_with("map:")) {
    auto mapped = by_map(kind.substr(4), pus, ask);
    if (!mapped) {
      return tl::unexpected(mapped.error());
    }
    ranks = std::move(*mapped);
  } else if (kind == "core" || kind == "socket" || kind == "numa") {
    ranks = by_core(cores, ask, cpus_each, binding.note);
    if (kind != "core") {
      for (auto& rank : ranks) {
        rank = widened(rank, pus, kind == "numa" ? &Pu::numa : &Pu::package);
      }
      binding.note.clear();  // sharing is what was asked for
    }
  } else {
    return fail(Errc::invalid_argument, "--cpu-bind: '" + std::string(kind) +
                                            "' is not a binding; there are core, socket, numa, rank, none and map:0,2,4");
  }
  for (std::uint32_t r = 0; r < ask.ranks; ++r) {
    binding.ranks[r] = binding_of(std::move(ranks[r]));
  }
  return binding;
}

std::string draw_cpus(std::span<const Pu> pus, std::span<const std::uint32_t> bound,
                      std::span<const std::uint32_t> granted) {
  const auto among = [](std::span<const std::uint32_t> list, std::uint32_t cpu) {
    return std::find(list.begin(), list.end(), cpu) != list.end();
  };
  std::string text;
  const Pu* last = nullptr;
  for (const Pu& pu : pus) {
    if (last == nullptr || last->package != pu.package) {
      text += last == nullptr ? "[" : "][";
    } else if (last->core != pu.core) {
      text += '/';
    }
    text += among(bound, pu.os_index) ? 'B' : granted.empty() || among(granted, pu.os_index) ? '.' : '-';
    last = &pu;
  }
  return last == nullptr ? text : text + "]";
}

std::vector<std::string> draw_bindings(std::span<const Pu> pus, std::span<const std::uint32_t> granted,
                                       std::string_view node, std::span<const std::uint32_t> rank_numbers,
                                       const StepBinding& binding) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < rank_numbers.size() && i < binding.ranks.size(); ++i) {
    const auto& cpus = binding.ranks[i].cpus;
    std::string line = "rank " + std::to_string(rank_numbers[i]) + " " + std::string(node) + ": ";
    if (cpus.empty()) {
      line += "not bound";
    } else {
      const std::string map = draw_cpus(pus, cpus, granted);
      line += (map.empty() ? "" : map + " ") + "(cpu" + (cpus.size() == 1 ? " " : "s ") + format_cpu_list(cpus) + ")";
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace muster::node

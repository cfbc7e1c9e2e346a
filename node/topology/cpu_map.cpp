#include "node/topology/cpu_map.hpp"

#include <algorithm>
#include <string>

#include "wire/base/check.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::node {
namespace {

tl::unexpected<Error> no_room(MilliCpus wants, MilliCpus has) {
  return fail(Errc::exhausted, "cpus: wants " + format_cpus(wants) + ", has " + format_cpus(has));
}

}  // namespace

CpuMap::CpuMap(const Topology& topology) {
  const TopologyCounts n = topology.counts();
  const auto size = topology.pus.size();
  levels_[kPackage].free.resize(n.packages);
  levels_[kNuma].free.resize(n.numas);
  levels_[kL3].free.resize(n.l3s);
  levels_[kCore].free.resize(n.cores);
  l3_cores_.resize(n.l3s);
  use_.assign(size, Use::free);
  free_ = static_cast<std::uint32_t>(size);
  for (const Pu& pu : topology.pus) {
    const auto position = static_cast<std::uint32_t>(cpus_.size());
    cpus_.push_back(pu.os_index);
    check(positions_.emplace(pu.os_index, position).second, "cpu_map: a cpu appears twice");
    levels_[kPackage].group_of.push_back(pu.package);
    levels_[kNuma].group_of.push_back(pu.numa);
    levels_[kL3].group_of.push_back(pu.l3);
    levels_[kCore].group_of.push_back(pu.core);
    for (Level& level : levels_) {
      ++level.free[level.group_of.back()];
    }
    if (levels_[kCore].free[pu.core] == 1) {
      l3_cores_[pu.l3].push_back(pu.core);
    }
  }
}

Status CpuMap::check_request(const CpuKey& key, const CpuRequest& request) const {
  if (held_.contains(key)) {
    return fail(Errc::already_exists, "cpus: attempt " + to_string(key.attempt) + " already has its cpus");
  }
  const std::uint64_t by_ranks = std::uint64_t{request.ranks} * request.cpus_per_rank_milli;
  if (by_ranks > request.cpus_milli) {
    return fail(Errc::invalid_argument,
                "cpus: " + std::to_string(request.ranks) + " ranks of " + format_cpus(request.cpus_per_rank_milli) +
                    " cpus need more than the task's " + format_cpus(request.cpus_milli));
  }
  if (request.cpus_milli > free_milli()) {
    return no_room(request.cpus_milli, free_milli());
  }
  return {};
}

MilliCpus CpuMap::free_milli() const {
  // Surplus pool cpus count as free: a whole grant may take them back. In whole cpus the answer
  // is free_ + surplus; the unused rest of the pool's last cpu serves fractions only.
  const auto all = free_ + static_cast<std::uint32_t>(pool_.size());
  return all * 1000 - pool_milli_;
}

Result<CpuGrant> CpuMap::grant(const CpuKey& key, const CpuRequest& request) {
  if (auto ok = check_request(key, request); !ok) {
    return tl::unexpected(ok.error());
  }
  if (request.cpus_milli == 0) {
    held_.emplace(key, Held{});
    return describe(request, {}, false);
  }
  if (request.cpus_milli % 1000 != 0) {
    const bool grew = grow_pool(pool_needs(pool_milli_ + request.cpus_milli));
    pool_milli_ += request.cpus_milli;
    held_.emplace(key, Held{request.cpus_milli, {}});
    CpuGrant grant = describe(request, pool_, true);
    grant.pool_changed = grew;
    return grant;
  }
  const std::uint32_t wanted = request.cpus_milli / 1000;
  const auto surplus = static_cast<std::uint32_t>(pool_.size()) - pool_needs(pool_milli_);
  if (wanted > free_ + surplus) {
    return no_room(request.cpus_milli, (free_ + surplus) * 1000);
  }
  const bool shrinks = wanted > free_;
  if (shrinks) {
    shrink_pool(static_cast<std::uint32_t>(pool_.size()) - (wanted - free_));
  }
  std::vector<std::uint32_t> chosen = choose(wanted);
  for (const std::uint32_t position : chosen) {
    set_use(position, Use::own);
  }
  CpuGrant grant = describe(request, chosen, false);
  grant.pool_changed = shrinks;
  held_.emplace(key, Held{request.cpus_milli, std::move(chosen)});
  return grant;
}

Result<CpuGrant> CpuMap::adopt(const CpuKey& key, const CpuRequest& request, std::span<const std::uint32_t> cpus) {
  if (auto ok = check_request(key, request); !ok) {
    return tl::unexpected(ok.error());
  }
  if (request.cpus_milli == 0) {
    return grant(key, request);
  }
  std::vector<std::uint32_t> positions;
  for (const std::uint32_t cpu : cpus) {
    positions.push_back(position_of(cpu));
  }
  std::sort(positions.begin(), positions.end());
  positions.erase(std::unique(positions.begin(), positions.end()), positions.end());
  if (request.cpus_milli % 1000 != 0) {
    bool grew = false;
    for (const std::uint32_t position : positions) {
      if (position < capacity_cpus() && use_[position] == Use::free) {
        set_use(position, Use::pool);
        pool_.push_back(position);
        grew = true;
      }
    }
    grew |= grow_pool(pool_needs(pool_milli_ + request.cpus_milli));
    pool_milli_ += request.cpus_milli;
    held_.emplace(key, Held{request.cpus_milli, {}});
    CpuGrant grant = describe(request, pool_, true);
    grant.pool_changed = grew;
    return grant;
  }
  const auto refuse = [&](const std::string& why) {
    return fail(Errc::conflict, "cpus: attempt " + to_string(key.attempt) + " can't keep cpus '" +
                                    format_cpu_list(cpus) + "': " + why);
  };
  if (positions.size() != request.cpus_milli / 1000) {
    return refuse("it was given " + format_cpus(request.cpus_milli));
  }
  std::uint32_t from_pool = 0;
  for (const std::uint32_t position : positions) {
    if (position == capacity_cpus()) {
      return refuse("not all of them are this node's");
    }
    if (use_[position] == Use::own) {
      return refuse("cpu " + std::to_string(cpus_[position]) + " is another task's");
    }
    from_pool += use_[position] == Use::pool ? 1U : 0U;
  }
  // What the pool loses here it takes elsewhere.
  const auto from_free = static_cast<std::uint32_t>(positions.size()) - from_pool;
  if (pool_.size() + free_ - from_pool - from_free < pool_needs(pool_milli_)) {
    return no_room(request.cpus_milli, free_milli());
  }
  std::erase_if(pool_, [&](std::uint32_t p) { return std::binary_search(positions.begin(), positions.end(), p); });
  for (const std::uint32_t position : positions) {
    set_use(position, Use::own);
  }
  grow_pool(pool_needs(pool_milli_));
  CpuGrant grant = describe(request, positions, false);
  grant.pool_changed = from_pool > 0;
  held_.emplace(key, Held{request.cpus_milli, std::move(positions)});
  return grant;
}

bool CpuMap::release(const CpuKey& key) {
  const auto held = held_.find(key);
  if (held == held_.end()) {
    return false;
  }
  for (const std::uint32_t position : held->second.own) {
    set_use(position, Use::free);
  }
  if (held->second.own.empty()) {
    pool_milli_ -= held->second.cpus_milli;
    if (pool_milli_ == 0) {
      shrink_pool(0);
    }
  }
  held_.erase(held);
  return true;
}

CpuGrant CpuMap::describe(const CpuRequest& request, std::span<const std::uint32_t> positions, bool shared) const {
  CpuGrant grant;
  grant.shared = shared;
  // Shares are cut from the cpus in topology order, so that a rank's cpus are neighbours.
  std::vector<std::uint32_t> ordered(positions.begin(), positions.end());
  std::sort(ordered.begin(), ordered.end());
  for (std::uint32_t& position : ordered) {
    position = cpus_[position];
  }
  grant.cpus = ordered;
  std::sort(grant.cpus.begin(), grant.cpus.end());
  const std::size_t ranks = request.ranks;
  const std::size_t n = ordered.size();
  const MilliCpus per_rank = request.cpus_per_rank_milli;
  const bool cut = !shared && ranks > 0 && ((per_rank == 0 && n >= ranks) || (per_rank > 0 && per_rank % 1000 == 0));
  grant.ranks.reserve(ranks);
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    if (!cut) {
      grant.ranks.push_back(grant.cpus);
      continue;
    }
    const std::size_t first = per_rank == 0 ? rank * n / ranks : rank * (per_rank / 1000);
    const std::size_t end = per_rank == 0 ? (rank + 1) * n / ranks : first + per_rank / 1000;
    std::vector<std::uint32_t> share(ordered.begin() + static_cast<std::ptrdiff_t>(first),
                                     ordered.begin() + static_cast<std::ptrdiff_t>(end));
    std::sort(share.begin(), share.end());
    grant.ranks.push_back(std::move(share));
  }
  return grant;
}

void CpuMap::set_use(std::uint32_t position, Use use) {
  const bool was_free = use_[position] == Use::free;
  const bool is_free = use == Use::free;
  use_[position] = use;
  if (was_free == is_free) {
    return;
  }
  const std::uint32_t delta = is_free ? 1U : ~0U;  // + 1 or - 1
  free_ += delta;
  for (Level& level : levels_) {
    level.free[level.group_of[position]] += delta;
  }
}

bool CpuMap::grow_pool(std::uint32_t cpus) {
  const bool grows = pool_.size() < cpus;
  while (pool_.size() < cpus) {
    const std::uint32_t position = choose_for_pool();
    set_use(position, Use::pool);
    pool_.push_back(position);
  }
  return grows;
}

void CpuMap::shrink_pool(std::uint32_t cpus) {
  while (pool_.size() > cpus) {
    set_use(pool_.back(), Use::free);
    pool_.pop_back();
  }
}

std::uint32_t CpuMap::position_of(std::uint32_t cpu) const {
  const auto at = positions_.find(cpu);
  return at == positions_.end() ? capacity_cpus() : at->second;
}

std::vector<std::uint32_t> CpuMap::pool_cpus() const {
  std::vector<std::uint32_t> cpus;
  cpus.reserve(pool_.size());
  for (const std::uint32_t position : pool_) {
    cpus.push_back(cpus_[position]);
  }
  std::sort(cpus.begin(), cpus.end());
  return cpus;
}

std::vector<CpuKey> CpuMap::pool_members() const {
  std::vector<CpuKey> members;
  for (const auto& [key, held] : held_) {
    if (held.own.empty() && held.cpus_milli != 0) {
      members.push_back(key);
    }
  }
  return members;
}

std::vector<std::uint32_t> CpuMap::cpus_of(const CpuKey& key) const {
  const auto held = held_.find(key);
  if (held == held_.end() || held->second.cpus_milli == 0) {
    return {};
  }
  if (held->second.own.empty()) {
    return pool_cpus();
  }
  std::vector<std::uint32_t> cpus;
  for (const std::uint32_t position : held->second.own) {
    cpus.push_back(cpus_[position]);
  }
  std::sort(cpus.begin(), cpus.end());
  return cpus;
}

}  // namespace muster::node

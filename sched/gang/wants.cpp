// What is asked of the master: pieces for the pending jobs, beyond what is offered already.
//
// The master takes off what it offers and adds what comes back, so a Request leaves only when its picture and
// ours differ.
#include <algorithm>

#include "sched/gang/impl.hpp"

namespace muster::gang {
namespace {

constexpr std::size_t kWantsMax = 64;
constexpr Duration kRefresh = Duration::from_seconds(5);

[[nodiscard]] bool same(const std::vector<client::Want>& a, const std::vector<client::Want>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const client::Want& x, const client::Want& y) {
    return x.shape == y.shape && x.count == y.count && x.whole_rest == y.whole_rest && x.nodes == y.nodes &&
           x.standing == y.standing;
  });
}

void add_want(std::vector<client::Want>& wants, client::Want want, std::uint64_t count) {
  for (client::Want& known : wants) {
    if (known.shape == want.shape && known.whole_rest == want.whole_rest && known.nodes == want.nodes) {
      known.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(known.count + count, 1'000'000'000));
      return;
    }
  }
  if (wants.size() < kWantsMax && count > 0) {
    want.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, 1'000'000'000));
    wants.push_back(std::move(want));
  }
}

// What is missing on a reserved node, in pieces small enough to be picked up as they come free.
void add_missing(std::vector<client::Want>& wants, NodeIndex node, const Resources& need, const Resources& have) {
  Resources missing;
  missing.cpus_milli = need.cpus_milli - std::min(need.cpus_milli, have.cpus_milli);
  missing.gpus = need.gpus - std::min(need.gpus, have.gpus);
  missing.memory_bytes = need.memory_bytes - std::min(need.memory_bytes, have.memory_bytes);
  missing.disk_bytes = need.disk_bytes - std::min(need.disk_bytes, have.disk_bytes);
  if (missing.is_zero() || wants.size() + 2 > kWantsMax) {
    return;
  }
  const std::uint32_t pieces = std::max(1U, (missing.cpus_milli + 999) / 1000);
  Resources piece;
  piece.cpus_milli = missing.cpus_milli / pieces;
  piece.gpus = missing.gpus / pieces;
  piece.memory_bytes = missing.memory_bytes / pieces;
  piece.disk_bytes = missing.disk_bytes / pieces;
  Resources rest = missing;
  for (std::uint32_t i = 1; i < pieces; ++i) {
    rest -= piece;
  }
  if (pieces > 1) {
    wants.push_back({piece, pieces - 1, false, {node}});
  }
  wants.push_back({rest, 1, false, {node}});
}

// Nodes of one size.
struct NodeClass {
  Resources capacity;
  std::vector<NodeIndex> nodes;
};

}  // namespace

// For elements that take nodes whole: nodes of each size that holds them, and of which nothing else is taken. What is
// offered already is left out; with nodes of one size that is update_wants' to do.
void GangCore::Impl::add_whole_wants(const Job& job, std::uint64_t elements, std::vector<Room>& offered,
                                     std::vector<client::Want>& wanted) const {
  std::vector<NodeClass> classes;
  for (const Room& room : capacities) {
    if (!usable(room.node) || job.shape.ranks_in(room.left, memory_per_cpu) == 0) {
      continue;
    }
    auto known = std::find_if(classes.begin(), classes.end(), [&](const NodeClass& c) { return c.capacity == room.left; });
    if (known == classes.end()) {
      known = classes.insert(classes.end(), NodeClass{room.left, {}});
    }
    known->nodes.push_back(room.node);
  }
  for (NodeClass& one : classes) {
    const std::uint32_t ranks = job.shape.ranks_in(one.capacity, memory_per_cpu);
    const std::uint64_t each = std::max(job.shape.nodes_min, (job.shape.ntasks + ranks - 1) / ranks);
    std::uint64_t count = std::min<std::uint64_t>(one.nodes.size(), elements * each);
    client::Want want;
    want.shape = job.shape.need_on(one.capacity, 1, memory_per_cpu);
    if (classes.size() > 1) {
      want.nodes = std::move(one.nodes);
      for (Room& offer : offered) {
        if (count > 0 && want.shape.fits_in(offer.left) &&
            std::find(want.nodes.begin(), want.nodes.end(), offer.node) != want.nodes.end()) {
          offer.left -= want.shape;
          --count;
        }
      }
    }
    add_want(wanted, std::move(want), count);
  }
}

void GangCore::Impl::update_wants(Now now) {
  if (!link.connected() || !inventory_known) {
    return;
  }
  std::vector<client::Want> desired;
  std::vector<Room> left;  // open offers, as they are given to the wants below
  for (const auto& [node, open] : pool.nodes()) {
    const bool reserved = reservation && reservation->needs.contains(node);
    if (!reserved && usable(node)) {
      left.push_back({node, open.total, true});
    }
  }
  if (reservation) {
    for (const auto& [node, need] : reservation->needs) {
      const auto open = pool.nodes().find(node);
      add_missing(desired, node, need, open == pool.nodes().end() ? Resources{} : open->second.total);
    }
  }
  std::uint64_t room = config.running_max - std::min(config.running_max, live_total);
  // Twice what the cluster has is as good as all that is wanted: the rest is asked for as this starts.
  std::uint64_t cpus_left = 0;
  for (const Room& capacity : capacities) {
    cpus_left += 2 * std::uint64_t{capacity.left.cpus_milli};
  }
  // What waits in line may run earlier elsewhere: it is taken out when something is offered.
  for (const JobId id : queued_jobs) {
    const Job& job = *queue.find(id);
    if (may_move(job, now)) {
      client::Want want;
      want.shape = job.shape.need(job.shape.ntasks, memory_per_cpu);
      add_want(desired, std::move(want), job.queued);
    }
  }
  std::uint32_t tried = 0;
  for (auto it = queue.pending().begin(); it != queue.pending().end() && tried < policy->tried_per_pass(); ++it, ++tried) {
    Job& job = *queue.find(it->job);
    const std::uint64_t elements = std::min<std::uint64_t>(job.startable(), room);
    if (elements == 0 || !job.never_fits.empty() || job.not_before > now.mono ||
        (reservation && reservation->job == job.id)) {
      continue;
    }
    room -= elements;
    job.asked_at = std::min(job.asked_at, now.mono);
    const std::uint64_t cpus_wanted = elements * job.shape.ntasks * job.shape.cpus_per_task_milli;
    client::Want want;
    std::uint64_t count = 0;
    if (job.shape.takes_whole()) {
      add_whole_wants(job, elements, left, desired);
    } else if (job.shape.nodes_max == 1) {
      want.shape = job.shape.need(job.shape.ntasks, memory_per_cpu);
      count = elements;
    } else {
      want.shape = job.shape.need(1, memory_per_cpu);
      count = elements * job.shape.ntasks;
      if (job.shape.spreads() || job.shape.memory_per_node_bytes != 0) {
        // Pieces alone could all come from one node: ask for all that is free on as many nodes as can be.
        want.whole_rest = true;
        std::uint64_t per_node = 1;
        for (const Room& capacity : capacities) {
          per_node = std::max<std::uint64_t>(per_node, want.shape.multiples_in(capacity.left));
        }
        count = elements * std::max(job.shape.nodes_min, job.shape.ntasks) * per_node;
      }
    }
    add_want(desired, std::move(want), count);
    if (cpus_wanted >= cpus_left) {
      break;
    }
    cpus_left -= cpus_wanted;
  }
  // Open offers count.
  for (client::Want& want : desired) {
    if (!want.nodes.empty()) {
      continue;
    }
    for (Room& offer : left) {
      const std::uint64_t pieces = std::min<std::uint64_t>(want.shape.multiples_in(offer.left), want.count);
      if (pieces > 0) {
        offer.left -= want.shape.times(pieces);
        want.count -= static_cast<std::uint32_t>(pieces);
      }
    }
  }
  std::erase_if(desired, [](const client::Want& w) { return w.count == 0; });
  if (desired.empty() && config.standing_pieces > 0) {
    // What comes next starts on what is offered already.
    client::Want want;
    want.shape.cpus_milli = 1000;
    want.count = config.standing_pieces;
    want.whole_rest = want.standing = true;
    desired.push_back(std::move(want));
  }
  if (filters_set && !same(desired, wants)) {
    link.revive();
    filters_set = false;
  }
  if (!wants_certain || !same(desired, wants)) {
    wants_certain = true;
    wants = desired;
    link.request(std::move(desired));
    const bool asks = std::any_of(wants.begin(), wants.end(), [](const client::Want& w) { return !w.standing; });
    wants_refresh = asks ? now.mono + kRefresh : Instant::never();
  }
}

// The master has taken these pieces off what we asked for.
void GangCore::Impl::note_offered(const client::Offer& offer) {
  if (offer.standing) {
    return;
  }
  if (!wants.empty()) {
    wants_refresh = last_now.mono + kRefresh;
  }
  for (client::Want& want : wants) {
    if (want.standing) {
      continue;  // stays as it is
    }
    if (!want.nodes.empty() && std::find(want.nodes.begin(), want.nodes.end(), offer.node) == want.nodes.end()) {
      continue;
    }
    const std::uint64_t pieces = std::min<std::uint64_t>(want.shape.multiples_in(offer.resources), want.count);
    if (pieces > 0) {
      want.count -= static_cast<std::uint32_t>(pieces);
      break;
    }
  }
  std::erase_if(wants, [](const client::Want& w) { return w.count == 0; });
}

}  // namespace muster::gang

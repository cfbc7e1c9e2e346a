#include "sched/gang/gang_shape.hpp"

#include <algorithm>
#include <limits>

namespace muster::gang {
namespace {

constexpr Bytes kMebibyte = Bytes{1} << 20U;

// a * b / c without overflow on the way; the largest value if it does not fit.
[[nodiscard]] Bytes scale(Bytes a, std::uint64_t b, std::uint64_t c) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b / c;
  constexpr auto kMax = std::numeric_limits<Bytes>::max();
  return product > kMax ? kMax : static_cast<Bytes>(product);
}

[[nodiscard]] Bytes times(Bytes a, std::uint64_t b) { return scale(a, b, 1); }

}  // namespace

Bytes GangShape::memory_per_rank(Bytes default_per_cpu) const {
  if (memory_per_node_bytes != 0 || takes_whole_memory()) {
    return 0;
  }
  if (memory_per_cpu_bytes != 0) {
    return scale(memory_per_cpu_bytes, cpus_per_task_milli, 1000);
  }
  const Bytes share = scale(default_per_cpu, cpus_per_task_milli, 1000);
  return share >= kMebibyte ? share / kMebibyte * kMebibyte : share;
}

Resources GangShape::need(std::uint32_t ranks, Bytes default_per_cpu) const {
  Resources need;
  const std::uint64_t cpus = std::uint64_t{cpus_per_task_milli} * ranks;
  need.cpus_milli = static_cast<MilliCpus>(std::min<std::uint64_t>(cpus, std::numeric_limits<MilliCpus>::max()));
  const std::uint64_t gpus = std::uint64_t{gpus_per_task} * ranks;
  need.gpus = static_cast<std::uint32_t>(std::min<std::uint64_t>(gpus, std::numeric_limits<std::uint32_t>::max()));
  need.memory_bytes =
      memory_per_node_bytes != 0 ? memory_per_node_bytes : times(memory_per_rank(default_per_cpu), ranks);
  need.disk_bytes = disk_per_node_bytes;
  return need;
}

Resources GangShape::need_on(const Resources& whole, std::uint32_t ranks, Bytes default_per_cpu) const {
  Resources need = this->need(ranks, default_per_cpu);
  if (exclusive) {
    need.cpus_milli = std::max(need.cpus_milli, whole.cpus_milli);
  }
  if (takes_whole_memory()) {
    need.memory_bytes = whole.memory_bytes;
  }
  return need;
}

std::uint32_t GangShape::ranks_in(const Resources& room, Bytes default_per_cpu, const Resources& whole) const {
  if ((exclusive && room.cpus_milli < whole.cpus_milli) ||
      (takes_whole_memory() && room.memory_bytes < whole.memory_bytes)) {
    return 0;
  }
  if (memory_per_node_bytes > room.memory_bytes || disk_per_node_bytes > room.disk_bytes) {
    return 0;
  }
  std::uint64_t ranks = ranks_per_node == 0 ? ntasks : std::min(ntasks, ranks_per_node);
  if (cpus_per_task_milli != 0) {
    ranks = std::min<std::uint64_t>(ranks, room.cpus_milli / cpus_per_task_milli);
  }
  if (gpus_per_task != 0) {
    ranks = std::min<std::uint64_t>(ranks, room.gpus / gpus_per_task);
  }
  if (const Bytes per_rank = memory_per_rank(default_per_cpu); per_rank != 0) {
    ranks = std::min<std::uint64_t>(ranks, room.memory_bytes / per_rank);
  }
  return static_cast<std::uint32_t>(ranks);
}

GangShape shape_of(const fb::JobSpec& spec) {
  GangShape shape;
  shape.ntasks = spec.ntasks();
  shape.nodes_min = std::max(1U, spec.nodes_min());
  shape.nodes_max = spec.nodes_max() == 0 ? spec.ntasks() : std::min(spec.nodes_max(), spec.ntasks());
  shape.ranks_per_node = spec.ntasks_per_node();
  shape.cpus_per_task_milli = spec.cpus_per_task_milli();
  shape.gpus_per_task = spec.gpus_per_task();
  shape.memory_per_node_bytes = spec.memory_per_node_bytes();
  shape.memory_per_cpu_bytes = spec.memory_per_node_bytes() == 0 ? spec.memory_per_cpu_bytes() : 0;
  shape.disk_per_node_bytes = spec.disk_per_node_bytes();
  shape.exclusive = spec.exclusive();
  shape.all_memory = spec.all_memory();
  return shape;
}

}  // namespace muster::gang

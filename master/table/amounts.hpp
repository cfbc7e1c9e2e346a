// Amounts: sums of resources over many nodes, for shares, quotas and totals. Ports and named counts belong
// to single nodes and are left out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "wire/model/resources.hpp"

namespace muster::master {

struct Amounts {
  std::uint64_t cpus_milli{};
  std::uint64_t memory_bytes{};
  std::uint64_t disk_bytes{};
  std::uint64_t gpus{};

  constexpr bool operator==(const Amounts&) const = default;
  void add(const Resources& r) {
    cpus_milli += r.cpus_milli;
    memory_bytes += r.memory_bytes;
    disk_bytes += r.disk_bytes;
    gpus += r.gpus;
  }
  void remove(const Resources& r) {
    cpus_milli -= r.cpus_milli;
    memory_bytes -= r.memory_bytes;
    disk_bytes -= r.disk_bytes;
    gpus -= r.gpus;
  }
  void add(const Amounts& a) {
    cpus_milli += a.cpus_milli;
    memory_bytes += a.memory_bytes;
    disk_bytes += a.disk_bytes;
    gpus += a.gpus;
  }
  void remove(const Amounts& a) {
    cpus_milli -= a.cpus_milli;
    memory_bytes -= a.memory_bytes;
    disk_bytes -= a.disk_bytes;
    gpus -= a.gpus;
  }
  // As a Resources; what does not fit its field is cut to the field's maximum.
  [[nodiscard]] Resources to_resources() const {
    constexpr std::uint64_t kMax32 = std::numeric_limits<std::uint32_t>::max();
    Resources r;
    r.cpus_milli = static_cast<MilliCpus>(std::min(cpus_milli, kMax32));
    r.gpus = static_cast<std::uint32_t>(std::min(gpus, kMax32));
    r.memory_bytes = memory_bytes;
    r.disk_bytes = disk_bytes;
    return r;
  }
  // The largest part of `total` that this takes, 0…1 (more if `total` shrank). Parts that the cluster does
  // not have count nothing.
  [[nodiscard]] double dominant_share(const Amounts& total) const {
    const auto part = [](std::uint64_t mine, std::uint64_t all) {
      return all == 0 ? 0.0 : static_cast<double>(mine) / static_cast<double>(all);
    };
    return std::max(std::max(part(cpus_milli, total.cpus_milli), part(memory_bytes, total.memory_bytes)),
                    std::max(part(disk_bytes, total.disk_bytes), part(gpus, total.gpus)));
  }
};

}  // namespace muster::master

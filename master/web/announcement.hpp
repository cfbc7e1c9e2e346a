// Announcement: what a running master leaves in its folder (master.json), so that others find it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/time.hpp"

namespace muster::master {

struct Announcement {
  std::int32_t pid{};
  std::uint64_t start_ticks{};         // with the pid: which process (see wire/daemon/process_identity.hpp)
  Epoch epoch;
  std::vector<std::string> endpoints;  // as bound
  std::uint16_t http_port{};           // 0 = off
  std::string version;
  WallTime started;
};

// {"pid", "start_ticks", "epoch", "endpoints": […], "http": "http://127.0.0.1:5050" | null, "http_port", "version",
// "started_ns"}
[[nodiscard]] std::string to_json(const Announcement& announcement);

}  // namespace muster::master

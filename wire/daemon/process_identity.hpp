// Who a process is, beyond its pid, which the kernel reuses. Pure system calls, no thread.
#pragma once

#include <cstdint>
#include <string>

#include "wire/base/result.hpp"

namespace muster {

// A pid and its start time since boot (field 22 of /proc/<pid>/stat): unique until the next boot.
struct ProcessIdentity {
  std::int32_t pid{};
  std::uint64_t start_ticks{};
  bool operator==(const ProcessIdentity&) const = default;
};

[[nodiscard]] ProcessIdentity own_identity();
// Errc::not_found when there is no such process.
[[nodiscard]] Result<ProcessIdentity> identity_of(std::int32_t pid);
// The same process still exists and is no zombie.
[[nodiscard]] bool is_alive(const ProcessIdentity& identity);
// "1234:567890"
[[nodiscard]] std::string to_string(const ProcessIdentity& identity);
[[nodiscard]] Result<ProcessIdentity> parse_identity(const std::string& text);

}  // namespace muster

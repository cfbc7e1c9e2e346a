// Words about the machine and the process. No thread.
#pragma once

#include <cstdint>
#include <string>

#include "wire/base/result.hpp"

namespace muster {

// Raises the soft limit of open descriptors to the hard one; returns what it is now.
[[nodiscard]] std::uint64_t raise_descriptor_limit();
// /proc/sys/kernel/random/boot_id: changes at every boot. MUSTER_BOOT_ID overrides it for tests.
[[nodiscard]] Result<std::string> boot_id();
[[nodiscard]] std::string host_name();
// As the system's user database has it; "" when it does not know the user. May ask a directory service.
[[nodiscard]] std::string user_name(std::uint32_t uid);
// The address from which this host reaches `host` (a name or an address), as the routing table has it now; nothing is sent.
[[nodiscard]] Result<std::string> address_towards(const std::string& host, std::uint16_t port);
// From the kernel's generator. Shells only: cores are given seeds.
[[nodiscard]] std::uint64_t random_u64();

}  // namespace muster

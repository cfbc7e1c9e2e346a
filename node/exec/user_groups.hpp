// The groups that a user of this machine is in.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster::node {

// All groups of the user, `gid` among them. not_found: no such user on this machine. May ask the network.
[[nodiscard]] Result<std::vector<gid_t>> user_groups(std::uint32_t uid, std::uint32_t gid);

// Owned by one thread. Asks again for what is older than a minute.
class UserGroups {
 public:
  // Valid until the next call.
  [[nodiscard]] const Result<std::vector<gid_t>>& of(std::uint32_t uid, std::uint32_t gid, Instant now);

 private:
  struct Known {
    Instant asked;
    Result<std::vector<gid_t>> groups;
  };
  std::map<std::pair<std::uint32_t, std::uint32_t>, Known> known_;
};

}  // namespace muster::node

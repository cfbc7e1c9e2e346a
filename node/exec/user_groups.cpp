#include "node/exec/user_groups.hpp"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace muster::node {
namespace {

constexpr Duration kAgeMax = Duration::from_seconds(60);
constexpr std::size_t kUsersMax = 4096;

}  // namespace

Result<std::vector<gid_t>> user_groups(std::uint32_t uid, std::uint32_t gid) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  int error = 0;
  while ((error = ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found)) == ERANGE &&
         buffer.size() < (std::size_t{1} << 22U)) {
    buffer.resize(buffer.size() * 2);
  }
  if (found == nullptr) {
    return fail(Errc::not_found, "user id " + std::to_string(uid) + " is unknown on this node" +
                                     (error != 0 ? std::string(": ") + std::strerror(error) : std::string()));
  }
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  if (::getgrouplist(found->pw_name, gid, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    if (::getgrouplist(found->pw_name, gid, groups.data(), &count) < 0) {
      return fail(Errc::io, "groups of user " + std::string(found->pw_name) + " can't be read");
    }
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

const Result<std::vector<gid_t>>& UserGroups::of(std::uint32_t uid, std::uint32_t gid, Instant now) {
  const auto key = std::make_pair(uid, gid);
  auto it = known_.find(key);
  if (it == known_.end() || now - it->second.asked > kAgeMax || !it->second.groups) {
    if (known_.size() >= kUsersMax) {
      known_.clear();
    }
    it = known_.insert_or_assign(key, Known{now, user_groups(uid, gid)}).first;
  }
  return it->second.groups;
}

}  // namespace muster::node

// Where this process's control groups are, per controller. Pure: reads the texts of
// /proc/self/mountinfo and /proc/self/cgroup. A mounted cgroup2 says nothing about which controllers
// it has, so each controller is looked up by itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace muster::node {

struct CgroupPlace {
  std::string mount;  // directory of the hierarchy's visible root
  std::string own;    // directory of this process's group, at or below `mount`
  bool operator==(const CgroupPlace&) const = default;
};

struct CgroupPlaces {
  std::optional<CgroupPlace> v2;
  std::map<std::string, CgroupPlace> v1;  // by controller
};

[[nodiscard]] CgroupPlaces parse_cgroup_places(std::string_view mountinfo, std::string_view self_cgroup);

}  // namespace muster::node

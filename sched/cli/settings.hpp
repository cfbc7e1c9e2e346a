// What `muster config` lists: the cluster's settings and the defaults of what can't be set yet. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

#include "sched/cli/cluster.hpp"

namespace muster::cli {

struct Setting {
  std::string name;
  std::string value;
  std::string where;   // "muster up --nodes", "fixed"
  std::string meaning;
};
[[nodiscard]] std::vector<Setting> settings_of(const ClusterPlace& place, const ClusterRecord& record);
[[nodiscard]] std::string render_settings(const std::vector<Setting>& settings);
[[nodiscard]] nlohmann::ordered_json settings_json(const std::vector<Setting>& settings);

}  // namespace muster::cli

// The cluster's settings: what `muster up --set NAME=VALUE` takes and `muster config` lists. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "sched/cli/cluster.hpp"

namespace muster::cli {

// "fence=30" → name and value. Unknown names get the nearest one, bad values the form that is right.
[[nodiscard]] Result<ChosenSetting> parse_setting(std::string_view text);

// Of real nodes: simulated ones have no such thing.
[[nodiscard]] bool is_node_setting(std::string_view name);

// Appends what these settings mean to a daemon ("master", "gang", "node") to its command line.
void add_setting_options(const std::vector<ChosenSetting>& settings, std::string_view daemon, std::vector<std::string>& command);

struct Setting {
  std::string name;
  std::string value;
  std::string fallback;   // "" = depends on the machine
  std::string set_by;     // "muster up --set", "muster submit -n"
  std::string meaning;
};
[[nodiscard]] std::vector<Setting> settings_of(const ClusterPlace& place, const ClusterRecord& record);
[[nodiscard]] std::string render_settings(const std::vector<Setting>& settings);
[[nodiscard]] nlohmann::ordered_json settings_json(const std::vector<Setting>& settings);

}  // namespace muster::cli

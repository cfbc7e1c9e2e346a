// Configuration files of daemons: TOML whose keys are the options of the command line. No thread.
// Errors name the file, the line, the key and the way out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wire/base/result.hpp"

namespace muster {

enum class ConfigKind : std::uint8_t { flag, integer, number, text };

// One value, or the values of a list, and where they stand.
struct ConfigEntry {
  std::vector<std::string> path;      // {"lease"}, or {"keys", "<key>"} of a table
  ConfigKind kind{};                  // of the value as written; of a list's values, when they agree
  bool is_list{};
  std::vector<std::string> values;    // flags: "true" or "false"
  std::string place;                  // "/etc/muster/master.toml:12"
};

// In the order of their lines. Errc::malformed with the parser's words, Errc::not_found.
[[nodiscard]] Result<std::vector<ConfigEntry>> read_config(const std::string& path);
[[nodiscard]] Result<std::vector<ConfigEntry>> parse_config(const std::string& text, const std::string& path);

// What an option of the command line takes.
struct OptionFace {
  std::string name;                   // without dashes
  ConfigKind kind{};
  bool many{};                        // may be given more than once
  std::string about;                  // its help text: has the unit
};

// Top-level entries as "--name=value". Tables called as in `tables` are left to the caller. Errc::invalid_argument for
// unknown keys (with the nearest known one) and for wrong types.
struct ConfigArgument {
  std::string name;
  std::string text;                   // --name=value
  std::string place;
};
[[nodiscard]] Result<std::vector<ConfigArgument>> as_arguments(const std::vector<ConfigEntry>& entries,
                                                               std::span<const OptionFace> options,
                                                               std::span<const std::string> tables);

}  // namespace muster

#include "wire/daemon/config_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <toml++/toml.h>

#include "wire/base/suggest.hpp"
#include "wire/daemon/durable_file.hpp"

namespace muster {
namespace {

constexpr std::size_t kFileBytesMax = 4U << 20U;

std::string place_of(const std::string& path, const toml::source_region& source) {
  return path + ":" + std::to_string(source.begin.line);
}

std::string dotted(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& part : path) {
    out += (out.empty() ? "" : ".") + part;
  }
  return out;
}

std::string_view word_for(ConfigKind kind) {
  switch (kind) {
    case ConfigKind::flag: return "true or false";
    case ConfigKind::integer: return "a whole number";
    case ConfigKind::number: return "a number";
    case ConfigKind::text: break;
  }
  return "a text in quotes";
}

std::string number_text(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

// One plain value. False: it is none.
bool take_value(const toml::node& node, ConfigEntry& entry) {
  ConfigKind kind{};
  if (const auto* flag = node.as_boolean()) {
    kind = ConfigKind::flag;
    entry.values.emplace_back(flag->get() ? "true" : "false");
  } else if (const auto* integer = node.as_integer()) {
    kind = ConfigKind::integer;
    entry.values.push_back(std::to_string(integer->get()));
  } else if (const auto* number = node.as_floating_point(); number != nullptr && std::isfinite(number->get())) {
    kind = ConfigKind::number;
    entry.values.push_back(number_text(number->get()));
  } else if (const auto* text = node.as_string()) {
    kind = ConfigKind::text;
    entry.values.push_back(text->get());
  } else {
    return false;
  }
  if (entry.values.size() > 1 && kind != entry.kind) {
    return false;
  }
  entry.kind = kind;
  return true;
}

Status walk(const toml::table& table, const std::string& file, std::vector<std::string>& path, std::vector<ConfigEntry>& out) {
  for (const auto& [key, node] : table) {
    path.emplace_back(key.str());
    if (const auto* inner = node.as_table()) {
      if (auto walked = walk(*inner, file, path, out); !walked) {
        return walked;
      }
      path.pop_back();
      continue;
    }
    ConfigEntry entry;
    entry.path = path;
    entry.place = place_of(file, key.source());
    bool good = true;
    if (const auto* list = node.as_array()) {
      entry.is_list = true;
      for (const toml::node& value : *list) {
        good = good && take_value(value, entry);
      }
    } else {
      good = take_value(node, entry);
    }
    if (!good) {
      return fail(Errc::invalid_argument, entry.place + ": " + dotted(path) +
                                              ": takes a text, a number, true or false, or a list of one of these");
    }
    out.push_back(std::move(entry));
    path.pop_back();
  }
  return {};
}

bool fits(ConfigKind written, ConfigKind wanted) {
  // A whole number is a number; what takes text may be written as a number: http = 5050.
  return written == wanted || (written == ConfigKind::integer && wanted != ConfigKind::flag);
}

std::size_t line_of(const ConfigEntry& entry) {
  return static_cast<std::size_t>(std::strtoull(entry.place.c_str() + entry.place.rfind(':') + 1, nullptr, 10));
}

}  // namespace

Result<std::vector<ConfigEntry>> parse_config(const std::string& text, const std::string& path) {
  try {
    const toml::table table = toml::parse(text, path);
    std::vector<ConfigEntry> out;
    std::vector<std::string> at;
    if (auto walked = walk(table, path, at, out); !walked) {
      return tl::unexpected(walked.error());
    }
    std::stable_sort(out.begin(), out.end(), [](const ConfigEntry& a, const ConfigEntry& b) { return line_of(a) < line_of(b); });
    return out;
  } catch (const toml::parse_error& error) {
    return fail(Errc::malformed, place_of(path, error.source()) + ": this is no TOML: " + std::string(error.description()));
  }
}

Result<std::vector<ConfigEntry>> read_config(const std::string& path) {
  const auto text = read_file(path, kFileBytesMax);
  if (!text) {
    return fail(text.error().code, "configuration file: " + text.error().text);
  }
  return parse_config(*text, path);
}

Result<std::vector<ConfigArgument>> as_arguments(const std::vector<ConfigEntry>& entries,
                                                 std::span<const OptionFace> options,
                                                 std::span<const std::string> tables) {
  std::vector<std::string> names;
  for (const OptionFace& option : options) {
    names.push_back(option.name);
  }
  std::vector<ConfigArgument> out;
  for (const ConfigEntry& entry : entries) {
    const std::string& key = entry.path.front();
    const std::string shown = entry.place + ": " + dotted(entry.path);
    if (entry.path.size() > 1) {
      if (std::find(tables.begin(), tables.end(), key) == tables.end()) {
        const std::string near = nearest(key, tables);
        return fail(Errc::invalid_argument, shown + ": there is no table [" + key + "]" +
                                                (near.empty() ? "; write the options at the beginning of the file, outside of tables"
                                                              : "; did you mean [" + near + "]?"));
      }
      continue;
    }
    const auto option = std::find_if(options.begin(), options.end(), [&](const OptionFace& o) { return o.name == key; });
    if (option == options.end()) {
      std::string dashed = key;
      std::replace(dashed.begin(), dashed.end(), '_', '-');
      const std::string near = nearest(dashed, names);
      return fail(Errc::invalid_argument, shown + ": there is no such option" +
                                              (near.empty() ? "; --help lists them" : "; did you mean " + near + "?"));
    }
    const std::string wanted = std::string(word_for(option->kind)) + (option->many ? ", or a list of such" : "") + " (" +
                               option->about + ")";
    if (!entry.values.empty() && !fits(entry.kind, option->kind)) {
      return fail(Errc::invalid_argument, shown + ": is " + std::string(word_for(entry.kind)) + ", " + entry.values.front() +
                                              "; it takes " + wanted);
    }
    if (entry.is_list && !option->many) {
      return fail(Errc::invalid_argument, shown + ": is a list; it takes " + wanted);
    }
    for (const std::string& value : entry.values) {
      if (option->kind != ConfigKind::flag) {
        out.push_back({key, "--" + key + "=" + value, entry.place});
      } else if (value == "true") {
        out.push_back({key, "--" + key, entry.place});
      }
    }
  }
  return out;
}

}  // namespace muster

// --config FILE of the daemons: the file's entries as if they stood on the command line, which wins over them. No thread.
// A template over CLI11's App, whose header only the mains include.
#pragma once

#include <algorithm>
#include <exception>
#include <string>
#include <vector>

#include "wire/daemon/config_file.hpp"

namespace muster {

inline constexpr const char* kConfigHelp = "TOML file with these options, as `name = value`; the command line wins over it";

// For CLI11's checks: what is wrong, or nothing.
template <class T>
std::string fault_of(const Result<T>& parsed) {
  return parsed ? std::string() : parsed.error().text;
}

struct ConfiguredArguments {
  std::vector<std::string> arguments;   // last first, as CLI11 takes them
  std::vector<ConfigEntry> entries;     // of the file, tables included
};

template <class App>
std::vector<OptionFace> faces_of(const App& app) {
  std::vector<OptionFace> out;
  for (const auto* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      OptionFace face{name, ConfigKind::text, option->get_items_expected_max() > 1, option->get_description()};
      const std::string type = option->get_type_name();
      if (option->get_items_expected_max() == 0) {
        face.kind = ConfigKind::flag;
      } else if (type.rfind("FLOAT", 0) == 0) {
        face.kind = ConfigKind::number;
      } else if (type.rfind("UINT", 0) == 0 || type.rfind("INT", 0) == 0) {
        face.kind = ConfigKind::integer;
      }
      if (name != "help" && name != "version" && name != "config") {
        out.push_back(std::move(face));
      }
    }
  }
  return out;
}

// `make(scratch)` defines the daemon's options on an App; `Arguments` is what they fill.
template <class App, class Arguments, class Define>
Result<ConfiguredArguments> configured_arguments(int argc, char** argv, Define define, std::vector<std::string> tables = {}) {
  ConfiguredArguments out;
  std::string path;
  std::vector<std::string> given;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--config" && i + 1 < argc) {
      path = argv[i + 1];
    } else if (arg.rfind("--config=", 0) == 0) {
      path = arg.substr(9);
    }
    if (arg.rfind("--", 0) == 0) {
      given.push_back(arg.substr(2, arg.find('=') == std::string::npos ? std::string::npos : arg.find('=') - 2));
    }
  }
  if (!path.empty()) {
    auto entries = read_config(path);
    if (!entries) {
      return tl::unexpected(entries.error());
    }
    out.entries = *std::move(entries);
    App known;
    Arguments ignored;
    define(known, ignored);
    auto arguments = as_arguments(out.entries, faces_of(known), tables);
    if (!arguments) {
      return tl::unexpected(arguments.error());
    }
    for (const ConfigArgument& argument : *arguments) {
      // Alone first, so that what is wrong with it has a line.
      App alone;
      Arguments scratch;
      define(alone, scratch);
      for (auto* option : alone.get_options()) {
        option->required(false);
      }
      try {
        alone.parse(std::vector<std::string>{argument.text});
      } catch (const std::exception& error) {
        return fail(Errc::invalid_argument, argument.place + ": " + error.what());
      }
      if (std::find(given.begin(), given.end(), argument.name) == given.end()) {
        out.arguments.push_back(argument.text);
      }
    }
  }
  for (int i = 1; i < argc; ++i) {
    out.arguments.emplace_back(argv[i]);
  }
  std::reverse(out.arguments.begin(), out.arguments.end());
  return out;
}

}  // namespace muster

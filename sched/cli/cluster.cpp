#include "sched/cli/cluster.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "wire/daemon/config_file.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/socket/endpoint.hpp"

namespace muster::cli {
namespace {

using nlohmann::ordered_json;
constexpr int kFormat = 1;

std::string without_slashes(std::string dir) {
  while (dir.size() > 1 && dir.ends_with('/')) {
    dir.pop_back();
  }
  return dir;
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

// A cluster.toml.
Result<ClusterPlace> read_place(const std::string& file, const std::string& source) {
  const auto entries = read_config(file);
  if (!entries) {
    return fail(Errc::unreachable, entries.error().text + " (" + source + ")");
  }
  const std::vector<OptionFace> known{{"dir", ConfigKind::text, false, "folder of the sockets gang.ipc and master.ipc"},
                                      {"gang", ConfigKind::text, false, "endpoint of the batch scheduler"},
                                      {"master", ConfigKind::text, false, "endpoint of the master"}};
  if (const auto checked = as_arguments(*entries, known, {}); !checked) {
    return tl::unexpected(checked.error());
  }
  ClusterPlace place{file.substr(0, file.rfind('/')), source, true, "", "", ""};
  for (const ConfigEntry& entry : *entries) {
    const std::string& value = entry.values.front();
    if (entry.path.front() == "dir") {
      place.dir = without_slashes(value);
    } else {
      if (const auto endpoint = parse_endpoint(value); !endpoint) {
        return fail(Errc::invalid_argument, entry.place + ": " + entry.path.front() + ": " + endpoint.error().text);
      }
      (entry.path.front() == "gang" ? place.gang : place.master) = value;
    }
  }
  return place;
}

// A folder, or a cluster.toml.
Result<ClusterPlace> look_at(const std::string& path, const std::string& source) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) {
    return read_place(path, source);
  }
  ClusterPlace place;
  place.dir = path;
  place.source = source;
  if (!exists(place.record_path())) {
    if (exists(path + "/cluster.toml")) {
      return read_place(path + "/cluster.toml", source);
    }
    place.installed = exists(place.socket_path("gang")) || exists(place.socket_path("master"));
  }
  return place;
}

}  // namespace

std::string ClusterPlace::endpoint(const std::string& daemon) const {
  const std::string& chosen = daemon == "gang" ? gang : master;
  return (daemon == "gang" || daemon == "master") && !chosen.empty() ? chosen : "ipc://" + socket_path(daemon);
}

Result<ClusterPlace> find_place(const CommonOptions& common, const std::function<const char*(const char*)>& getenv,
                                const std::string& home, const std::string& working_directory,
                                const std::string& system_file) {
  const auto variable = [&](const char* name) -> std::string {
    const char* const value = getenv(name);
    return value == nullptr ? "" : value;
  };
  const auto absolute = [&](const std::string& path) {
    return without_slashes(path.starts_with('/') ? path : working_directory + "/" + path);
  };
  if (common.dir) {
    return look_at(absolute(*common.dir), "--dir");
  }
  if (common.cluster) {
    auto place = look_at(absolute(*common.cluster), "--cluster");
    if (place) {
      place->named = *common.cluster;
    }
    return place;
  }
  for (const char* name : {"MUSTER_DIR", "MUSTER_CLUSTER"}) {
    if (const std::string value = variable(name); !value.empty()) {
      return look_at(absolute(value), name);
    }
  }
  const std::string own = without_slashes(absolute(home + "/.muster"));
  if (!home.empty() && (exists(own + "/cluster.json") || exists(own + "/cluster.toml"))) {
    return look_at(own, "the default");
  }
  if (exists(system_file)) {
    return look_at(system_file, system_file);
  }
  if (home.empty()) {
    return fail(Errc::unreachable, "there is no home directory to look for a cluster in, and no " + system_file +
                                       "; give --dir or set MUSTER_DIR");
  }
  return look_at(own, "the default");
}

const DaemonRecord* ClusterRecord::find(const std::string& name) const {
  const auto found = std::find_if(daemons.begin(), daemons.end(), [&](const DaemonRecord& d) { return d.name == name; });
  return found == daemons.end() ? nullptr : &*found;
}
DaemonRecord* ClusterRecord::find(const std::string& name) {
  return const_cast<DaemonRecord*>(std::as_const(*this).find(name));
}

std::string to_json(const ClusterRecord& record) {
  ordered_json json;
  json["format"] = kFormat;
  json["boot_id"] = record.boot_id;
  json["started_ms"] = record.started.ns() / 1'000'000;
  json["options"] = {{"nodes", record.nodes}, {"cpus_milli", record.cpus_milli}, {"memory_bytes", record.memory_bytes}};
  json["options"]["http_port"] = record.http_port ? ordered_json(*record.http_port) : ordered_json(nullptr);
  json["options"]["fake_duration_ms"] = record.fake_duration ? ordered_json(record.fake_duration->ms()) : ordered_json(nullptr);
  json["options"]["settings"] = ordered_json::object();
  for (const ChosenSetting& setting : record.settings) {
    json["options"]["settings"][setting.name] = setting.value;
  }
  json["daemons"] = ordered_json::array();
  for (const DaemonRecord& daemon : record.daemons) {
    json["daemons"].push_back({{"name", daemon.name},
                               {"pid", daemon.process.pid},
                               {"start_ticks", daemon.process.start_ticks},
                               {"command", daemon.command}});
  }
  return json.dump(2) + "\n";
}

Result<ClusterRecord> cluster_from_json(std::string_view text) {
  try {
    const auto json = nlohmann::json::parse(text);
    if (json.at("format").get<int>() != kFormat) {
      return fail(Errc::malformed, "its format is " + json.at("format").dump() + "; this is for format " +
                                       std::to_string(kFormat));
    }
    ClusterRecord record;
    record.boot_id = json.at("boot_id").get<std::string>();
    record.started = WallTime::from_ns(json.at("started_ms").get<std::int64_t>() * 1'000'000);
    const auto& options = json.at("options");
    record.nodes = options.at("nodes").get<std::uint32_t>();
    record.cpus_milli = options.at("cpus_milli").get<MilliCpus>();
    record.memory_bytes = options.at("memory_bytes").get<Bytes>();
    if (!options.at("http_port").is_null()) {
      record.http_port = options.at("http_port").get<std::uint16_t>();
    }
    if (const auto fake = options.find("fake_duration_ms"); fake != options.end() && !fake->is_null()) {
      record.fake_duration = Duration::from_ms(fake->get<std::int64_t>());
    }
    for (const auto& [name, value] : options.at("settings").items()) {
      record.settings.push_back({.name = name, .value = value.get<std::string>()});
    }
    for (const auto& daemon : json.at("daemons")) {
      record.daemons.push_back({.name = daemon.at("name").get<std::string>(),
                                .command = daemon.at("command").get<std::vector<std::string>>(),
                                .process = {.pid = daemon.at("pid").get<std::int32_t>(),
                                            .start_ticks = daemon.at("start_ticks").get<std::uint64_t>()}});
    }
    return record;
  } catch (const nlohmann::json::exception& error) {
    return fail(Errc::malformed, error.what());
  }
}

Result<ClusterRecord> load_cluster(const ClusterPlace& place) {
  auto text = read_file(place.record_path(), 16U << 20U);
  if (!text && text.error().code == Errc::not_found) {
    return fail(Errc::unreachable, "no cluster here (looked in " + place.dir + ", " + place.source +
                                       "); start one: muster up" + place.hint());
  }
  if (!text) {
    return fail(Errc::unreachable, text.error().text);
  }
  auto record = cluster_from_json(*text);
  if (!record) {
    return fail(Errc::malformed, place.record_path() + " can't be read: " + record.error().text +
                                     "; move it away and start the cluster again: muster up" + place.hint());
  }
  return record;
}

Status save_cluster(const ClusterPlace& place, const ClusterRecord& record) {
  return write_durably(place.record_path(), to_json(record));
}

std::uint16_t http_port_of(const ClusterPlace& place) {
  const auto text = read_file(place.dir + "/master/master.json", 1U << 20U);
  const auto json = nlohmann::json::parse(text ? *text : std::string(), nullptr, false);
  return json.is_object() && json.contains("http_port") && json["http_port"].is_number_unsigned()
             ? json["http_port"].get<std::uint16_t>()
             : std::uint16_t{0};
}

bool is_running(const ClusterRecord& record, const DaemonRecord& daemon, const std::string& boot_id) {
  return daemon.process.pid > 0 && record.boot_id == boot_id && is_alive(daemon.process);
}

}  // namespace muster::cli

#include "sched/cli/cluster.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "wire/daemon/durable_file.hpp"

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

}  // namespace

Result<ClusterPlace> find_place(const CommonOptions& common, const std::function<const char*(const char*)>& getenv,
                                const std::string& home, const std::string& working_directory) {
  ClusterPlace place;
  const char* const from_environment = getenv("MUSTER_DIR");
  if (common.dir) {
    place = {*common.dir, "--dir"};
  } else if (from_environment != nullptr && *from_environment != '\0') {
    place = {from_environment, "MUSTER_DIR"};
  } else if (!home.empty()) {
    place = {home + "/.muster", "the default"};
  } else {
    return fail(Errc::unreachable, "there is no home directory to look for a cluster in; give --dir or set MUSTER_DIR");
  }
  if (!place.dir.starts_with('/')) {
    place.dir = working_directory + "/" + place.dir;
  }
  place.dir = without_slashes(place.dir);
  return place;
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

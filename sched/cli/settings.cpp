#include "sched/cli/settings.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "sched/cli/conversation.hpp"
#include "wire/base/suggest.hpp"
#include "sched/cli/table.hpp"
#include "sched/cli/values.hpp"

namespace muster::cli {
namespace {

enum class Kind : std::uint8_t { seconds, count, size, time_limit, yes_no, containment };

struct Known {
  std::string_view name;
  std::string_view daemon;
  std::string_view option;    // of the daemon
  Kind kind;
  std::string_view fallback;  // what the daemon does without it
  std::string_view meaning;
};

// The defaults are the daemons' own: see their --help.
constexpr std::array<Known, 18> kKnown{{
    {"lease", "master", "--lease", Kind::seconds, "10", "how long an offer is good for"},
    {"hold-lease-max", "master", "--hold-lease-max", Kind::seconds, "600", "longest lease of a held offer"},
    {"heartbeat", "master", "--heartbeat", Kind::seconds, "1", "a link that is silent otherwise says so often that it is alive"},
    {"settle", "master", "--settle", Kind::seconds, "2", "a new master listens so long before it offers (0 in a new folder)"},
    {"node-silence", "master", "--node-silence", Kind::seconds, "5", "a node silent for so long gets no offers"},
    {"gang-silence", "master", "--gang-silence", Kind::seconds, "3", "the nodes of a gang must answer within this"},
    {"fence", "master", "--fence", Kind::seconds, "60", "a node without a master for so long ends requeueable tasks"},
    {"fence-margin", "master", "--fence-margin", Kind::seconds, "10", "after fence and margin a silent node is lost"},
    {"framework-failover", "master", "--framework-failover", Kind::seconds, "604800",
     "a framework silent for so long loses its tasks (the batch scheduler: never)"},
    {"default-time", "gang", "--default-time", Kind::time_limit, "UNLIMITED", "time limit of jobs that give none"},
    {"array-max", "gang", "--array-max", Kind::count, "10000000", "most elements of an array"},
    {"running-max", "gang", "--running-max", Kind::count, "100000", "most attempts that live at once"},
    {"done-kept", "gang", "--done-kept", Kind::count, "10000", "ended jobs that queue and job still show"},
    {"reserve-cpus", "node", "--reserve-cpus", Kind::count, "0", "cpus of each node kept for the system"},
    {"reserve-memory", "node", "--reserve-memory", Kind::size, "0", "memory of each node kept for the system"},
    {"enforce-memory", "node", "--enforce-memory", Kind::yes_no, "no", "a task's memory share is a limit"},
    {"task-processes", "node", "--task-processes", Kind::count, "32768",
     "processes and threads that a task may have, where control groups can limit them (0: no limit)"},
    {"containment", "node", "--containment", Kind::containment, "auto", "auto: control groups where they can be used; plain: none"},
}};

const Known* find(std::string_view name) {
  const auto* const found = std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& k) { return k.name == name; });
  return found == kKnown.end() ? nullptr : found;
}

// The form in which it is kept and handed to the daemon.
Result<std::string> normal_form(Kind kind, const std::string& text) {
  switch (kind) {
    case Kind::seconds:
      return parse_duration(text).map([](Duration d) {
        const std::int64_t ms = d.ms();
        std::string whole = std::to_string(ms / 1000);
        return ms % 1000 == 0 ? whole : whole + "." + std::to_string(1000 + ms % 1000).substr(1);
      });
    case Kind::count:
      return parse_count(text, 0, 4'000'000'000).map([](std::uint64_t n) { return std::to_string(n); });
    case Kind::size:
      return parse_bytes(text).map([](Bytes b) { return format_bytes(b); });
    case Kind::time_limit:
      return parse_time_limit(text).map([](Duration d) { return format_time_limit(d); });
    case Kind::yes_no:
      if (text == "yes" || text == "no") {
        return text;
      }
      return fail(Errc::invalid_argument, "'" + text + "' is neither yes nor no");
    case Kind::containment:
      if (text == "auto" || text == "plain") {
        return text;
      }
      return fail(Errc::invalid_argument, "'" + text + "' is neither auto nor plain");
  }
  return text;
}

std::string with_unit(const Known& known, const std::string& value) {
  return known.kind == Kind::seconds ? value + " s" : value;
}

}  // namespace

Result<ChosenSetting> parse_setting(std::string_view text) {
  const auto equals = text.find('=');
  const std::string name(text.substr(0, equals));
  const Known* known = find(name);
  if (known == nullptr) {
    std::vector<std::string> names;
    for (const Known& each : kKnown) {
      names.emplace_back(each.name);
    }
    const std::string near = nearest(name, names);
    return fail(Errc::invalid_argument, "there is no setting " + name +
                                            (near.empty() ? "; see: muster config" : "; did you mean " + near + "?"));
  }
  if (equals == std::string_view::npos) {
    return fail(Errc::invalid_argument, name + " needs a value: " + name + "=" + std::string(known->fallback));
  }
  auto value = normal_form(known->kind, std::string(text.substr(equals + 1)));
  if (!value) {
    return fail(value.error().code, name + ": " + value.error().text);
  }
  return ChosenSetting{name, *std::move(value)};
}

bool is_node_setting(std::string_view name) {
  const Known* known = find(name);
  return known != nullptr && known->daemon == "node";
}

void add_setting_options(const std::vector<ChosenSetting>& settings, std::string_view daemon, std::vector<std::string>& command) {
  for (const ChosenSetting& setting : settings) {
    const Known* known = find(setting.name);
    if (known == nullptr || known->daemon != daemon) {
      continue;
    }
    if (known->kind != Kind::yes_no) {
      command.emplace_back(known->option);
      command.push_back(setting.value);
    } else if (setting.value == "yes") {
      command.emplace_back(known->option);
    }
  }
}

std::vector<Setting> settings_of(const ClusterPlace& place, const ClusterRecord& record) {
  const std::string job = "muster submit ";
  const std::string port = !record.http_port ? "5050, or a free one" : *record.http_port == 0 ? "any free one" : std::to_string(*record.http_port);
  std::vector<Setting> all{
      {"dir", place.dir, "~/.muster", "--dir, MUSTER_DIR", "the cluster's folder, here named by " + place.source},
      {"nodes", record.fake_duration ? "0" : std::to_string(record.nodes), "1", "muster up --nodes", "node agents on this machine"},
      {"fake-nodes", record.fake_duration ? std::to_string(record.nodes) : "0", "0", "muster up --fake-nodes", "simulated nodes"},
      {"fake-duration", record.fake_duration ? span_text(*record.fake_duration) : "100 ms", "100 ms", "muster up --fake-duration",
       "how long every task runs on simulated nodes"},
      {"cpus", format_cpus(record.cpus_milli), "", "muster up --cpus", "cpus of each node"},
      {"memory", format_bytes_short(record.memory_bytes), "", "muster up --memory", "memory of each node"},
      {"http-port", port, "5050, or a free one", "muster up --http-port", "the master's JSON on 127.0.0.1"},
  };
  for (const Known& known : kKnown) {
    const auto chosen = std::find_if(record.settings.begin(), record.settings.end(),
                                     [&](const ChosenSetting& s) { return s.name == known.name; });
    const std::string fallback = with_unit(known, std::string(known.fallback));
    all.push_back({std::string(known.name), chosen == record.settings.end() ? fallback : with_unit(known, chosen->value), fallback,
                   "muster up --set", std::string(known.meaning)});
  }
  const std::vector<Setting> of_jobs{
      {"job.ntasks", "1", "1", job + "-n", "tasks of a job"},
      {"job.cpus", "1", "1", job + "-c", "cpus of each task"},
      {"job.memory", "by its cpus", "by its cpus", job + "--mem", "memory on each node, in proportion to the cpus"},
      {"job.requeue", "no", "no", job + "--requeue", "run again when its node is lost"},
      {"job.kill-grace", "5 s", "5 s", job + "--kill-grace", "from SIGTERM to SIGKILL"},
      {"job.output", "muster-%j.out", "muster-%j.out", job + "-o", "output file in the working directory"},
      {"timeout", "10 s", "10 s", "--timeout", "the latest answer to a command"},
  };
  all.insert(all.end(), of_jobs.begin(), of_jobs.end());
  return all;
}

std::string render_settings(const std::vector<Setting>& settings) {
  TextTable table({{"SETTING"}, {"VALUE"}, {"DEFAULT"}, {"SET BY"}, {"MEANING"}});
  for (const Setting& setting : settings) {
    table.add({setting.name, setting.value, setting.fallback.empty() ? "the machine's" : setting.fallback, setting.set_by,
               setting.meaning});
  }
  return table.to_string();
}

nlohmann::ordered_json settings_json(const std::vector<Setting>& settings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Setting& setting : settings) {
    list.push_back({{"name", setting.name},
                    {"value", setting.value},
                    {"default", setting.fallback},
                    {"set_by", setting.set_by},
                    {"meaning", setting.meaning}});
  }
  return {{"settings", list}};
}

}  // namespace muster::cli

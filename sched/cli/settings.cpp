#include "sched/cli/settings.hpp"

#include <nlohmann/json.hpp>

#include "sched/cli/table.hpp"

namespace muster::cli {

std::vector<Setting> settings_of(const ClusterPlace& place, const ClusterRecord& record) {
  const std::string job = "muster submit ";
  return {
      {"dir", place.dir, "--dir, MUSTER_DIR", "the cluster's folder, here named by " + place.source},
      {"nodes", std::to_string(record.nodes), "muster up --nodes", "node agents on this machine"},
      {"node.cpus", format_cpus(record.cpus_milli), "muster up --cpus", "cpus of each node"},
      {"node.memory", format_bytes_short(record.memory_bytes), "muster up --memory", "memory of each node"},
      {"http.port", record.http_port ? std::to_string(*record.http_port) : "5050, or a free one", "muster up --http-port",
       "the master's JSON on 127.0.0.1"},
      {"lease", "10 s", "fixed", "how long an offer is open"},
      {"settle", "2 s", "fixed", "a new master listens this long before it offers"},
      {"heartbeat", "1 s", "fixed", "a silent link says that it is alive"},
      {"gang.silence", "3 s", "fixed", "a gang's start fails when a node says nothing for so long"},
      {"fence", "60 s + 10 s", "fixed", "silence after which a node is lost and its jobs may be requeued"},
      {"framework.failover", "gang: never; others: 7 days", "fixed", "silence after which a framework's tasks are ended"},
      {"job.ntasks", "1", job + "-n", "tasks of a job"},
      {"job.cpus", "1", job + "-c", "cpus of each task"},
      {"job.memory", "in proportion to its cpus", job + "--mem", "memory on each node"},
      {"job.time", "UNLIMITED", job + "-t", "time limit"},
      {"job.requeue", "no", job + "--requeue", "run again when its node is lost"},
      {"job.kill_grace", "5 s", job + "--kill-grace", "from SIGTERM to SIGKILL"},
      {"job.output", "muster-%j.out, muster-%A_%a.out", job + "-o", "output file in the working directory"},
      {"timeout", "10 s", "--timeout", "the latest answer to a command"},
  };
}

std::string render_settings(const std::vector<Setting>& settings) {
  TextTable table({{"SETTING"}, {"VALUE"}, {"SET BY"}, {"MEANING"}});
  for (const Setting& setting : settings) {
    table.add({setting.name, setting.value, setting.where, setting.meaning});
  }
  return table.to_string();
}

nlohmann::ordered_json settings_json(const std::vector<Setting>& settings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Setting& setting : settings) {
    list.push_back({{"name", setting.name}, {"value", setting.value}, {"set_by", setting.where}, {"meaning", setting.meaning}});
  }
  return {{"settings", list}};
}

}  // namespace muster::cli

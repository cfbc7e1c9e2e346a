#include <algorithm>
#include <nlohmann/json.hpp>

#include "sched/cli/render_cluster.hpp"
#include "wire/base/ids.hpp"
#include "wire/model/task_state.hpp"

namespace muster::cli {
namespace {

using nlohmann::ordered_json;

ordered_json json_of(const std::unique_ptr<fb::ShapeT>& shape) {
  ordered_json json;
  const fb::Amounts amounts = shape && shape->amounts ? *shape->amounts : fb::Amounts();
  json["cpus_milli"] = amounts.cpus_milli();
  json["memory_bytes"] = amounts.memory_bytes();
  json["disk_bytes"] = amounts.disk_bytes();
  json["gpus"] = amounts.gpus();
  ordered_json ports = ordered_json::array();
  ordered_json counts = ordered_json::object();
  if (shape) {
    for (const auto& range : shape->ports) {
      ports.push_back({{"first", range.first()}, {"last", range.last()}});
    }
    for (const auto& count : shape->counts) {
      counts[count->name] = count->count;
    }
  }
  json["ports"] = ports;
  json["counts"] = counts;
  return json;
}

ordered_json json_of(const fb::NodeRowT& node) {
  return {{"name", node.name},
          {"state", node_state_name(node.state)},
          {"capacity", json_of(node.capacity)},
          {"used", json_of(node.used)},
          {"offered", json_of(node.offered)},
          {"tasks", node.tasks},
          {"drain_reason", node.drain_reason},
          {"endpoint", node.endpoint},
          {"switch", node.switch_name},
          {"attributes", node.attributes},
          {"seen_ms", node.seen_ms},
          {"version", node.version}};
}

ordered_json json_of(const fb::FrameworkRowT& framework) {
  return {{"framework", framework.framework},
          {"name", framework.name},
          {"role", framework.role},
          {"connected", framework.connected},
          {"suppressed", framework.suppressed},
          {"used", json_of(framework.used)},
          {"offered", json_of(framework.offered)},
          {"tasks", framework.tasks},
          {"offers", framework.offers},
          {"weight", framework.weight},
          {"dominant_share", framework.dominant_share},
          {"wants", framework.wants}};
}

ordered_json json_of(const fb::OfferRowT& offer) {
  const std::string id =
      offer.offer ? std::to_string(offer.offer->slot()) + "." + std::to_string(offer.offer->generation()) : std::string();
  return {{"offer", id},
          {"node", offer.node},
          {"framework", offer.framework},
          {"resources", json_of(offer.shape)},
          {"held", offer.held},
          {"lease_left_ms", offer.lease_left_ms}};
}

ordered_json json_of(const fb::TaskRowT& task) {
  return {{"attempt", task.attempt ? muster::to_string(muster::from_fb(*task.attempt)) : std::string()},
          {"name", task.name},
          {"framework", task.framework},
          {"node", task.node},
          {"state", to_string(static_cast<TaskState>(task.state))},
          {"resources", json_of(task.shape)}};
}

template <class Rows>
ordered_json list_of(const Rows& rows) {
  ordered_json list = ordered_json::array();
  for (const auto& row : rows) {
    list.push_back(json_of(*row));
  }
  return list;
}

}  // namespace

nlohmann::ordered_json json_of(const fb::OperatorReplyT& reply) {
  ordered_json json;
  json["epoch"] = reply.epoch;
  switch (reply.subject) {
    case fb::Subject::Nodes:
      json["nodes"] = list_of(reply.nodes);
      json["total"] = reply.nodes_total;
      break;
    case fb::Subject::Frameworks:
      json["frameworks"] = list_of(reply.frameworks);
      json["total"] = reply.frameworks_total;
      break;
    case fb::Subject::Offers:
      json["offers"] = list_of(reply.offers);
      json["total"] = reply.offers_total;
      break;
    case fb::Subject::Tasks:
      json["tasks"] = list_of(reply.tasks);
      json["total"] = reply.tasks_total;
      break;
    case fb::Subject::Status:
      break;
  }
  return json;
}

nlohmann::ordered_json json_of(const ClusterStatus& status) {
  const fb::OperatorReplyT& master = status.master;
  ordered_json json;
  json["dir"] = status.dir;
  json["epoch"] = master.epoch;
  json["settled"] = master.settled;
  json["version"] = master.version;
  json["uptime_ms"] = master.uptime_ms;
  json["http_port"] = master.http_port;
  json["capacity"] = json_of(master.capacity);
  json["used"] = json_of(master.used);
  json["offered"] = json_of(master.offered);
  const CpuTotals cpus = cpu_totals(master);
  json["capacity"]["cpus_milli"] = cpus.capacity;
  json["used"]["cpus_milli"] = cpus.used;
  json["offered"]["cpus_milli"] = cpus.offered;
  json["nodes_total"] = master.nodes_total;
  json["frameworks_total"] = master.frameworks_total;
  json["offers_total"] = master.offers_total;
  json["tasks_total"] = master.tasks_total;
  ordered_json states = ordered_json::object();
  for (const auto& node : master.nodes) {
    const std::string name(node_state_name(node->state));
    states[name] = states.value(name, 0) + 1;
  }
  json["node_states"] = states;
  json["nodes_simulated"] = std::count_if(master.nodes.begin(), master.nodes.end(), [](const auto& node) { return is_simulated(*node); });
  if (status.gang) {
    const fb::GangStatusT& gang = *status.gang;
    json["gang"] = {{"answers", true},
                    {"master_connected", gang.master_connected},
                    {"jobs_pending", gang.jobs_pending},
                    {"jobs_running", gang.jobs_running},
                    {"jobs_ended", gang.jobs_done},
                    {"elements_pending", gang.elements_pending},
                    {"elements_running", gang.elements_running},
                    {"store", gang.store_text},
                    {"version", gang.version}};
  } else {
    json["gang"] = {{"answers", false}, {"problem", status.gang_problem}};
  }
  return json;
}

}  // namespace muster::cli

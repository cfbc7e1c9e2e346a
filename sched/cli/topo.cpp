// muster topo: draws nodes, from what they said of themselves when they registered.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sched/cli/actions.hpp"
#include "sched/cli/cluster_queries.hpp"
#include "sched/cli/session.hpp"
#include "sched/cli/table.hpp"
#include "sched/cli/topology_picture.hpp"
#include "wire/model/node_list.hpp"
#include "wire/model/topology_text.hpp"

namespace muster::cli {
namespace {

constexpr std::string_view kAttribute = "topology=";

struct Map {
  std::vector<std::string> nodes;
  std::string text;      // "" when they said nothing
  Topology topology;
};

// Nodes with the same map share one.
std::vector<Map> maps_of(const fb::OperatorReplyT& reply) {
  std::vector<Map> maps;
  for (const auto& node : reply.nodes) {
    std::string text;
    for (const std::string& attribute : node->attributes) {
      if (attribute.starts_with(kAttribute)) {
        text = attribute.substr(kAttribute.size());
      }
    }
    auto topology = parse_topology(text);
    if (!topology) {
      text.clear();
    }
    const auto same = std::find_if(maps.begin(), maps.end(), [&](const Map& map) { return map.text == text; });
    if (same != maps.end()) {
      same->nodes.push_back(node->name);
    } else {
      maps.push_back({{node->name}, text, topology ? std::move(*topology) : Topology{}});
    }
  }
  return maps;
}

std::string json_of(const std::vector<Map>& maps) {
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  for (const Map& map : maps) {
    nlohmann::ordered_json cpus = nlohmann::ordered_json::array();
    for (const Pu& pu : map.topology.pus) {
      cpus.push_back({{"cpu", pu.os_index}, {"core", pu.core}, {"l3", pu.l3}, {"numa", pu.numa}, {"package", pu.package}});
    }
    for (const std::string& node : map.nodes) {
      nodes.push_back({{"name", node}, {"cpus", cpus}});
    }
  }
  return nlohmann::ordered_json{{"nodes", nodes}}.dump(2) + "\n";
}

int write_svg(const std::vector<Map>& maps, const std::string& path) {
  const auto map = std::find_if(maps.begin(), maps.end(), [](const Map& m) { return !m.topology.empty(); });
  if (map == maps.end() || maps.size() > 1) {
    complain(map == maps.end() ? "--svg: no node has told its map" : "--svg: the nodes are not alike; name one: muster topo NODE --svg " + path);
    return kFailed;
  }
  std::ofstream file(path, std::ios::trunc);
  file << topology_svg(map->topology, format_node_list(map->nodes));
  if (!file.flush()) {
    complain("--svg: " + path + " can't be written");
    return kFailed;
  }
  say("written to " + path + "\n");
  return kOk;
}

}  // namespace

int topo(Session& session, const TopoCommand& command) {
  auto reply = fetch_rows(session, fb::Subject::Nodes, command.node);
  if (!reply) {
    return complain(reply.error());
  }
  if (reply->nodes.empty()) {
    return complain(Error{Errc::not_found, command.node.empty() ? "this cluster has no nodes" : "there is no node " + command.node + " in this cluster"});
  }
  std::stable_sort(reply->nodes.begin(), reply->nodes.end(),
                   [](const auto& a, const auto& b) { return is_before(a->name, b->name); });
  const std::vector<Map> maps = maps_of(*reply);
  if (session.common().json) {
    say(json_of(maps));
    return kOk;
  }
  if (!command.svg.empty()) {
    return write_svg(maps, command.svg);
  }
  for (const Map& map : maps) {
    const std::string names = printable(format_node_list(map.nodes));
    say(map.topology.empty() ? names + ": no map: simulated, or of an older version\n"
                             : names + ": " + map.topology.to_string() + "\n" + draw_topology(map.topology));
  }
  return kOk;
}

}  // namespace muster::cli

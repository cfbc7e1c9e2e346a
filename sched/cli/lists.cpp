// status, nodes, frameworks, offers, tasks, config, version: questions to the master.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "sched/cli/actions.hpp"
#include "sched/cli/cluster_queries.hpp"
#include "sched/cli/render_cluster.hpp"
#include "sched/cli/session.hpp"
#include "sched/cli/settings.hpp"
#include "sched/cli/table.hpp"

namespace muster::cli {
namespace {

constexpr std::size_t kNodeRowsMax = 100;  // more nodes than these share rows

int status(Session& session) {
  auto reply = fetch_rows(session, fb::Subject::Status, "");
  if (!reply) {
    return complain(reply.error());
  }
  ClusterStatus status{.dir = session.place().dir, .master = *std::move(reply), .gang = std::nullopt, .gang_problem = ""};
  auto nodes = fetch_rows(session, fb::Subject::Nodes, "");
  if (!nodes) {
    return complain(nodes.error());
  }
  status.master.nodes = std::move(nodes->nodes);
  status.master.http_port = http_port_of(session.place());
  auto gang = session.gang();
  auto answer = gang ? (*gang)->ask<fb::GangStatus, fb::GangStatusQuery>({}, session.deadline())
                     : Result<fb::GangStatusT>(tl::unexpected(gang.error()));
  if (answer) {
    status.gang = *std::move(answer);
  } else {
    status.gang_problem = answer.error().text;
  }
  say(session.common().json ? json_of(status).dump(2) + "\n" : render_status(status));
  return status.gang ? kOk : exit_code_of(answer.error().code);
}

}  // namespace

int list(Session& session, const ListCommand& command) {
  if (command.subject == fb::Subject::Status) {
    return status(session);
  }
  auto reply = fetch_rows(session, command.subject, command.name);
  if (!reply) {
    return complain(reply.error());
  }
  const bool none = reply->nodes.empty() && reply->frameworks.empty();
  if (!command.name.empty() && none) {
    return complain(Error{Errc::not_found, "there is no " +
                                               std::string(command.subject == fb::Subject::Nodes ? "node " : "framework ") +
                                               command.name + " in this cluster"});
  }
  std::stable_sort(reply->nodes.begin(), reply->nodes.end(),
                   [](const auto& a, const auto& b) { return is_before(a->name, b->name); });
  if (session.common().json) {
    say(json_of(*reply).dump(2) + "\n");
    return kOk;
  }
  switch (command.subject) {
    case fb::Subject::Nodes:
      say(command.all || reply->nodes.size() <= kNodeRowsMax ? render_nodes(*reply) : render_nodes_briefly(*reply));
      break;
    case fb::Subject::Frameworks: say(render_frameworks(*reply)); break;
    case fb::Subject::Offers: say(render_offers(*reply)); break;
    case fb::Subject::Tasks: say(render_tasks(*reply)); break;
    case fb::Subject::Status: break;
  }
  return kOk;
}

int config(Session& session, const ConfigCommand&) {
  if (session.place().installed) {
    complain("this cluster's settings are in the configuration files of its daemons (see docs/config.md)");
    return kFailed;
  }
  const std::vector<Setting> settings = settings_of(session.place(), session.record());
  say(session.common().json ? settings_json(settings).dump(2) + "\n" : render_settings(settings));
  return kOk;
}

int version(const CommonOptions& common, const VersionCommand&) {
  if (common.json) {
    const nlohmann::ordered_json json = {{"version", kVersionText}, {"protocol", kProtocolVersion}};
    say(json.dump(2) + "\n");
  } else {
    say("muster " + std::string(kVersionText) + " (protocol " + std::to_string(kProtocolVersion) + ")\n");
  }
  return kOk;
}

}  // namespace muster::cli

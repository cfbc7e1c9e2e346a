#include "sched/cli/render_cluster.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "sched/cli/table.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"
#include "wire/model/task_state.hpp"

namespace muster::cli {
namespace {

using Align = TextTable::Align;

// A shape's amounts; zeros when it is absent.
fb::Amounts amounts_of(const std::unique_ptr<fb::ShapeT>& shape) {
  return shape && shape->amounts ? *shape->amounts : fb::Amounts();
}

std::string cpus_of(const std::unique_ptr<fb::ShapeT>& shape) { return format_cpus(amounts_of(shape).cpus_milli()); }
std::string memory_of(const std::unique_ptr<fb::ShapeT>& shape) {
  return format_bytes_short(amounts_of(shape).memory_bytes());
}

// "31000-32000,40000"; "license.x=2"
std::string extras_of(const std::unique_ptr<fb::ShapeT>& shape) {
  std::string text;
  if (!shape) {
    return text;
  }
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ";") + part; };
  if (const fb::Amounts amounts = amounts_of(shape); amounts.gpus() != 0) {
    add("gpus=" + std::to_string(amounts.gpus()));
  }
  if (const fb::Amounts amounts = amounts_of(shape); amounts.disk_bytes() != 0) {
    add("disk=" + format_bytes_short(amounts.disk_bytes()));
  }
  std::string ports;
  for (const auto& range : shape->ports) {
    ports += (ports.empty() ? "" : ",") + std::to_string(range.first()) +
             (range.last() == range.first() ? "" : "-" + std::to_string(range.last()));
  }
  if (!ports.empty()) {
    add("ports=" + ports);
  }
  for (const auto& count : shape->counts) {
    add(count->name + "=" + std::to_string(count->count));
  }
  return text;
}

std::string percent(double fraction) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f%%", fraction * 100.0);
  return text.data();
}

std::string seen_text(const fb::NodeRowT& node) {
  return node.seen_ms < 5'000 ? "" : "silent for " + format_elapsed(Duration::from_ms(static_cast<std::int64_t>(node.seen_ms)));
}

std::string remark_of(const fb::NodeRowT& node, const std::string& seen) {
  std::string remark = node.drain_reason;
  for (const std::string& part : {seen, extras_of(node.capacity), std::string(is_simulated(node) ? "simulated" : "")}) {
    if (!part.empty()) {
      remark += (remark.empty() ? "" : "; ") + part;
    }
  }
  return remark;
}

}  // namespace

bool is_simulated(const fb::NodeRowT& node) {
  return std::find(node.attributes.begin(), node.attributes.end(), "fake=true") != node.attributes.end();
}

std::string_view node_state_name(fb::NodeState state) {
  switch (state) {
    case fb::NodeState::Up: return "UP";
    case fb::NodeState::Draining: return "DRAINING";
    case fb::NodeState::Lost: return "LOST";
    case fb::NodeState::Gone: return "GONE";
  }
  return "UNKNOWN";
}

std::string render_nodes(const fb::OperatorReplyT& reply) {
  TextTable table({{"NODE"}, {"STATE"}, {"CPUS", Align::right}, {"USED", Align::right}, {"OFFERED", Align::right},
                   {"MEMORY", Align::right}, {"USED", Align::right}, {"TASKS", Align::right}, {"REMARK"}});
  for (const auto& node : reply.nodes) {
    table.add({node->name, std::string(node_state_name(node->state)), cpus_of(node->capacity), cpus_of(node->used),
               cpus_of(node->offered), memory_of(node->capacity), memory_of(node->used), std::to_string(node->tasks),
               remark_of(*node, seen_text(*node))});
  }
  return table.to_string();
}

std::string render_frameworks(const fb::OperatorReplyT& reply) {
  TextTable table({{"FRAMEWORK"}, {"ROLE"}, {"STATE"}, {"CPUS", Align::right}, {"MEMORY", Align::right},
                   {"TASKS", Align::right}, {"OFFERS", Align::right}, {"SHARE", Align::right}, {"WEIGHT", Align::right}});
  for (const auto& framework : reply.frameworks) {
    std::array<char, 32> weight{};
    std::snprintf(weight.data(), weight.size(), "%g", framework->weight);
    table.add({framework->name, framework->role,
               !framework->connected ? "DISCONNECTED" : framework->suppressed ? "SUPPRESSED" : "CONNECTED",
               cpus_of(framework->used), memory_of(framework->used), std::to_string(framework->tasks),
               std::to_string(framework->offers), percent(framework->dominant_share), weight.data()});
  }
  return table.to_string();
}

std::string render_offers(const fb::OperatorReplyT& reply) {
  TextTable table({{"OFFER"}, {"NODE"}, {"FRAMEWORK"}, {"CPUS", Align::right}, {"MEMORY", Align::right},
                   {"LEASE", Align::right}, {"STATE"}, {"MORE"}});
  for (const auto& offer : reply.offers) {
    const std::string id = offer->offer ? std::to_string(offer->offer->slot()) + "." + std::to_string(offer->offer->generation())
                                        : std::string();
    std::array<char, 32> lease{};
    std::snprintf(lease.data(), lease.size(), "%.1fs", static_cast<double>(offer->lease_left_ms) / 1000.0);
    table.add({id, offer->node, offer->framework, cpus_of(offer->shape), memory_of(offer->shape), lease.data(),
               offer->held ? "HELD" : "OPEN", extras_of(offer->shape)});
  }
  return table.to_string();
}

std::string render_tasks(const fb::OperatorReplyT& reply) {
  TextTable table({{"ATTEMPT"}, {"NAME"}, {"FRAMEWORK"}, {"NODE"}, {"STATE"}, {"CPUS", Align::right},
                   {"MEMORY", Align::right}, {"MORE"}});
  for (const auto& task : reply.tasks) {
    const std::string id = task->attempt ? muster::to_string(muster::from_fb(*task->attempt)) : std::string();
    table.add({id, task->name, task->framework, task->node,
               std::string(to_string(static_cast<TaskState>(task->state))), cpus_of(task->shape), memory_of(task->shape),
               extras_of(task->shape)});
  }
  return table.to_string();
}

std::string render_status(const ClusterStatus& status) {
  const fb::OperatorReplyT& master = status.master;
  std::string text;
  const auto put = [&](const std::string& name, const std::string& value) {
    text += name + std::string(10 - std::min<std::size_t>(name.size(), 9), ' ') + value + "\n";
  };
  put("cluster", status.dir);
  put("master", "epoch " + std::to_string(master.epoch) + (master.settled ? "" : ", settling") + ", up for " +
                    format_elapsed(Duration::from_ms(static_cast<std::int64_t>(master.uptime_ms))) + ", muster " +
                    printable(master.version) +
                    (master.http_port == 0 ? "" : ", http://127.0.0.1:" + std::to_string(master.http_port)));
  if (status.gang) {
    const fb::GangStatusT& gang = *status.gang;
    put("gang", std::string(gang.master_connected ? "connected" : "not connected to the master") + "; jobs: " +
                    std::to_string(gang.jobs_pending) + " pending, " + std::to_string(gang.jobs_running) + " running, " +
                    std::to_string(gang.jobs_done) + " ended");
  } else {
    put("gang", status.gang_problem);
  }
  std::array<std::uint32_t, 4> states{};
  for (const auto& node : master.nodes) {
    ++states.at(std::min<std::size_t>(static_cast<std::size_t>(node->state), 3));
  }
  std::string nodes = std::to_string(states[0]) + " up";
  for (std::size_t i = 1; i < states.size(); ++i) {
    if (states.at(i) != 0) {
      static constexpr std::array<const char*, 4> kWords{"up", "draining", "lost", "gone"};
      nodes += ", " + std::to_string(states.at(i)) + " " + kWords.at(i);
    }
  }
  const auto simulated = static_cast<std::size_t>(
      std::count_if(master.nodes.begin(), master.nodes.end(), [](const auto& node) { return is_simulated(*node); }));
  if (simulated != 0) {
    nodes += simulated == master.nodes.size() ? "; all simulated: nothing is executed"
                                              : "; " + std::to_string(simulated) + " simulated";
  }
  put("nodes", nodes);
  const CpuTotals cpus = cpu_totals(master);
  put("cpus", format_total_cpus(cpus.used) + " of " + format_total_cpus(cpus.capacity) + " used, " +
                  format_total_cpus(cpus.offered) + " offered");
  put("memory", memory_of(master.used) + " of " + memory_of(master.capacity) + " used, " + memory_of(master.offered) +
                    " offered");
  put("tasks", std::to_string(master.tasks_total));
  return text;
}

}  // namespace muster::cli

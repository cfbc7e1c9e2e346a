// Many nodes in a few rows.
#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

#include "sched/cli/render_cluster.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

using Align = TextTable::Align;

constexpr std::size_t kRangesMax = 6;

// What equal nodes add up to. Sums of 32-bit cpus need more bits.
struct Sum {
  std::uint64_t cpus_milli{};
  Bytes memory_bytes{};
  void add(const std::unique_ptr<fb::ShapeT>& shape) {
    if (shape && shape->amounts) {
      cpus_milli += shape->amounts->cpus_milli();
      memory_bytes += shape->amounts->memory_bytes();
    }
  }
  [[nodiscard]] std::string cpus() const { return format_total_cpus(cpus_milli); }
};

struct Group {
  std::vector<std::string> names;
  Sum capacity, used, offered;
  std::uint64_t tasks{};
};

// "f12" → "f" and 12. A name without a number, or with one that begins with 0, stays as it is.
std::pair<std::string, std::optional<std::uint64_t>> split_number(const std::string& name) {
  std::size_t digits = name.size();
  while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') {
    --digits;
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + digits, name.data() + name.size(), number);
  if (digits == name.size() || error != std::errc{} || (name[digits] == '0' && digits + 1 < name.size())) {
    return {name, std::nullopt};
  }
  return {name.substr(0, digits), number};
}

}  // namespace

std::string fold_names(const std::vector<std::string>& names, std::size_t most) {
  std::string text;
  std::string prefix;               // of the names whose numbers are being collected
  std::vector<std::string> ranges;  // "3" or "3-7"
  const auto put = [&](const std::string& part) { text += (text.empty() ? "" : ",") + part; };
  const auto close = [&] {
    if (ranges.empty()) {
      return;
    }
    const bool alone = ranges.size() == 1 && ranges.front().find('-') == std::string::npos;
    std::string list;
    for (const std::string& range : ranges) {
      list += (list.empty() ? "" : ",") + range;
    }
    put(prefix + (alone ? list : "[" + list + "]"));
    ranges.clear();
  };
  std::size_t count = 0;
  for (std::size_t i = 0; i < names.size(); ++count) {
    if (count == most) {
      close();
      return text + ",…";
    }
    const auto [stem, first] = split_number(names[i]);
    std::size_t end = i + 1;
    while (first && end < names.size() && split_number(names[end]) == std::pair(stem, std::optional(*first + (end - i)))) {
      ++end;
    }
    if (!first || stem != prefix) {
      close();
    }
    if (first) {
      prefix = stem;
      ranges.push_back(std::to_string(*first) + (end - i == 1 ? "" : "-" + std::to_string(*first + (end - i) - 1)));
    } else {
      put(stem);
    }
    i = end;
  }
  close();
  return text;
}

CpuTotals cpu_totals(const fb::OperatorReplyT& reply) {
  Sum capacity;
  Sum used;
  Sum offered;
  for (const auto& node : reply.nodes) {
    if (node->state == fb::NodeState::Up || node->state == fb::NodeState::Draining) {
      capacity.add(node->capacity);
      used.add(node->used);
      offered.add(node->offered);
    }
  }
  const auto said = [](const std::unique_ptr<fb::ShapeT>& shape, const Sum& sum) -> std::uint64_t {
    const MilliCpus cpus = shape && shape->amounts ? shape->amounts->cpus_milli() : 0;
    return cpus == std::numeric_limits<MilliCpus>::max() ? sum.cpus_milli : cpus;
  };
  return {said(reply.capacity, capacity), said(reply.used, used), said(reply.offered, offered)};
}

std::string format_total_cpus(std::uint64_t cpus_milli) {
  return cpus_milli <= std::numeric_limits<MilliCpus>::max() ? format_cpus(static_cast<MilliCpus>(cpus_milli))
                                                             : std::to_string(cpus_milli / 1000);
}

std::string render_nodes_briefly(const fb::OperatorReplyT& reply) {
  std::map<std::tuple<fb::NodeState, std::string>, Group> groups;
  for (const auto& node : reply.nodes) {
    const bool silent = node->seen_ms >= 5'000;
    std::string remark = node->drain_reason;
    for (const std::string& part : {std::string(silent ? "silent" : ""), std::string(is_simulated(*node) ? "simulated" : "")}) {
      remark += (remark.empty() || part.empty() ? "" : "; ") + part;
    }
    Group& group = groups[{node->state, remark}];
    group.names.push_back(node->name);
    group.capacity.add(node->capacity);
    group.used.add(node->used);
    group.offered.add(node->offered);
    group.tasks += node->tasks;
  }
  TextTable table({{"NODES"}, {"COUNT", Align::right}, {"STATE"}, {"CPUS", Align::right}, {"USED", Align::right},
                   {"OFFERED", Align::right}, {"MEMORY", Align::right}, {"USED", Align::right}, {"TASKS", Align::right},
                   {"REMARK"}});
  for (const auto& [key, group] : groups) {
    table.add({fold_names(group.names, kRangesMax), std::to_string(group.names.size()),
               std::string(node_state_name(std::get<fb::NodeState>(key))), group.capacity.cpus(), group.used.cpus(),
               group.offered.cpus(), format_bytes_short(group.capacity.memory_bytes), format_bytes_short(group.used.memory_bytes),
               std::to_string(group.tasks), std::get<std::string>(key)});
  }
  return table.to_string() + counted(reply.nodes.size(), "node") + "; a row for each: muster nodes --all; one: muster nodes NAME\n";
}

}  // namespace muster::cli

#include "master/web/pages.hpp"

#include <nlohmann/json.hpp>

namespace muster::master {
namespace {

using Json = nlohmann::ordered_json;

// Names come from peers: what is no UTF-8 is replaced.
std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }
std::string dump(const Json& json) { return text_of(json) + "\n"; }

Json json_of(const Resources& r) {
  Json out{{"cpus", static_cast<double>(r.cpus_milli) / 1000.0},
           {"cpus_milli", r.cpus_milli},
           {"memory_bytes", r.memory_bytes},
           {"disk_bytes", r.disk_bytes},
           {"gpus", r.gpus},
           {"ports", r.ports.to_string()}};
  Json counts = Json::object();
  for (const NamedCount& c : r.counts) {
    counts[c.name] = c.count;
  }
  out["counts"] = std::move(counts);
  return out;
}

Json json_of(const Amounts& a) {
  return {{"cpus", static_cast<double>(a.cpus_milli) / 1000.0},
          {"cpus_milli", a.cpus_milli},
          {"memory_bytes", a.memory_bytes},
          {"disk_bytes", a.disk_bytes},
          {"gpus", a.gpus}};
}

const char* name_of(fb::NodeState state) {
  switch (state) {
    case fb::NodeState::Up: return "up";
    case fb::NodeState::Draining: return "draining";
    case fb::NodeState::Lost: return "lost";
    case fb::NodeState::Gone: return "gone";
  }
  return "unknown";
}

Json row_of(const NodeView& n) {
  return {{"index", n.index.value()},
          {"name", n.name},
          {"state", name_of(n.state)},
          {"reachable", n.reachable},
          {"capacity", json_of(n.capacity)},
          {"used", json_of(n.used)},
          {"offered", json_of(n.offered)},
          {"free", json_of(n.free)},
          {"tasks", n.tasks},
          {"offers", n.offers},
          {"drain_reason", n.drain_reason},
          {"endpoint", n.endpoint},
          {"switch", n.switch_name},
          {"attributes", n.attributes},
          {"boot_id", n.boot_id},
          {"version", n.version}};
}

Json row_of(const FrameworkView& f) {
  return {{"id", std::to_string(f.id.value())},
          {"name", f.name},
          {"role", f.role},
          {"user", f.user},
          {"connected", f.connected},
          {"suppressed", f.suppressed},
          {"used", json_of(f.used)},
          {"offered", json_of(f.offered)},
          {"tasks", f.tasks},
          {"offers", f.offers},
          {"wants", f.wants},
          {"weight", f.weight},
          {"dominant_share", f.dominant_share}};
}

Json row_of(const OfferView& o, Instant now) {
  const Duration left = o.lease_end - now;
  return {{"id", to_string(o.id)},
          {"node", o.node_name},
          {"node_index", o.node.value()},
          {"framework", o.framework_name},
          {"framework_id", std::to_string(o.framework.value())},
          {"resources", json_of(o.resources)},
          {"held", o.held},
          {"lease_left_ms", left.ns() > 0 ? left.ms() : 0}};
}

Json row_of(const TaskView& t) {
  Json out{{"attempt", to_string(t.attempt)},
           {"framework", t.framework_name},
           {"framework_id", std::to_string(t.framework.value())},
           {"node", t.node_name},
           {"node_index", t.node.value()},
           {"name", t.name},
           {"state", to_string(t.state)},
           {"reason", t.reason == TaskReason::none ? std::string_view{} : to_string(t.reason)},
           {"resources", json_of(t.shape)},
           {"holds_resources", t.holds_resources},
           {"started_ns", t.started.ns()},
           {"ended_ns", t.ended.ns()},
           {"cpus", t.cpus}};
  if (is_terminal(t.state)) {
    out["exit_code"] = t.exit_code;
  }
  return out;
}

Json head_of(const ClusterView& view, Duration age) {
  return {{"epoch", view.epoch.value()}, {"serial", view.serial}, {"age_ms", age.ms()}};
}

template <class Row, class ToJson>
std::string list_page(const ClusterView& view, Duration age, const char* name, const ViewRows<Row>& rows,
                      const PageRequest& page, ToJson&& to_json) {
  std::string list;  // rows as text: as objects a page of thousands would take tens of megabytes
  std::uint64_t count = 0;
  std::uint64_t place = 0;
  for (const auto& chunk : rows.chunks()) {
    if (count >= page.limit) {
      break;
    }
    if (place + chunk->size() <= page.after) {
      place += chunk->size();
      continue;
    }
    for (const Row& row : *chunk) {
      if (place >= page.after && count < page.limit) {
        list += count++ == 0 ? "" : ",";
        list += text_of(to_json(row));
      }
      ++place;
    }
  }
  const std::uint64_t next = page.after + count;
  Json out = head_of(view, age);
  out["total"] = rows.size();
  out["after"] = page.after;
  out["next_after"] = next;
  out["more"] = count > 0 && next < rows.size();
  std::string text = text_of(out);
  text.pop_back();  // its brace: one more member follows
  return text + ",\"" + name + "\":[" + list + "]}\n";
}

}  // namespace

std::string nodes_page(const ClusterView& view, Duration age, const PageRequest& page) {
  return list_page(view, age, "nodes", view.nodes, page, [](const NodeView& n) { return row_of(n); });
}

std::string frameworks_page(const ClusterView& view, Duration age, const PageRequest& page) {
  return list_page(view, age, "frameworks", view.frameworks, page, [](const FrameworkView& f) { return row_of(f); });
}

std::string offers_page(const ClusterView& view, Duration age, const PageRequest& page) {
  const Instant now = view.time.mono + age;
  return list_page(view, age, "offers", view.offers, page, [now](const OfferView& o) { return row_of(o, now); });
}

std::string tasks_page(const ClusterView& view, Duration age, const PageRequest& page) {
  return list_page(view, age, "tasks", view.tasks, page, [](const TaskView& t) { return row_of(t); });
}

std::string state_page(const ClusterView& view, Duration age) {
  Amounts free = view.capacity;
  free.cpus_milli -= view.used.cpus_milli + view.offered.cpus_milli;
  free.memory_bytes -= view.used.memory_bytes + view.offered.memory_bytes;
  free.disk_bytes -= view.used.disk_bytes + view.offered.disk_bytes;
  free.gpus -= view.used.gpus + view.offered.gpus;
  const Probe& p = view.probe;
  std::uint64_t frames_in = 0;
  std::uint64_t frames_out = 0;
  std::uint64_t refused = 0;
  for (const auto n : p.frames_in) {
    frames_in += n;
  }
  for (const auto n : p.frames_out) {
    frames_out += n;
  }
  for (std::size_t code = 1; code < p.refused.size(); ++code) {
    refused += p.refused[code];
  }
  Json out = head_of(view, age);
  out["version"] = view.version;
  out["settled"] = view.settled;
  out["uptime_ms"] = view.uptime.ms();
  out["taken_ns"] = view.time.wall.ns();
  out["links"] = view.links;
  out["nodes_total"] = view.nodes.size();
  out["frameworks_total"] = view.frameworks.size();
  out["offers_total"] = view.offers.size();
  out["tasks_total"] = view.tasks.size();
  out["capacity"] = json_of(view.capacity);
  out["used"] = json_of(view.used);
  out["offered"] = json_of(view.offered);
  out["free"] = json_of(free);
  out["counters"] = Json{{"frames_in", frames_in},
                         {"frames_out", frames_out},
                         {"frames_bad", p.frames_bad},
                         {"frames_dropped", p.frames_dropped},
                         {"refused", refused},
                         {"gaps", p.gaps},
                         {"registrations", p.registrations},
                         {"nodes_lost", p.nodes_lost},
                         {"subscriptions", p.subscriptions},
                         {"offers_made", p.offers_made},
                         {"offers_accepted", p.offers_accepted},
                         {"offers_declined", p.offers_declined},
                         {"offers_expired", p.offers_expired},
                         {"offers_rescinded", p.offers_rescinded},
                         {"accepts", p.accepts},
                         {"accepts_refused", p.accepts_refused},
                         {"launches", p.launches},
                         {"updates", p.updates},
                         {"tasks_ended", p.tasks_ended},
                         {"tasks_lost", p.tasks_lost},
                         {"gangs", p.gangs},
                         {"gangs_started", p.gangs_started},
                         {"gangs_released", p.gangs_released},
                         {"gangs_failed", p.gangs_failed},
                         {"messages_shed", p.messages_shed},
                         {"queries_shed", p.queries_shed},
                         {"links_stalled", p.links_stalled},
                         {"links_lost", p.links_lost},
                         {"links_deaf", p.links_deaf}};
  return dump(out);
}

std::string health_page(const ClusterView* view, Duration age, bool& healthy) {
  healthy = view != nullptr && age <= kHealthyAge;
  Json out{{"healthy", healthy}};
  if (view != nullptr) {
    out["epoch"] = view->epoch.value();
    out["settled"] = view->settled;
    out["age_ms"] = age.ms();
    out["uptime_ms"] = view->uptime.ms();
    out["version"] = view->version;
  }
  if (!healthy) {
    out["error"] = "the master's core has not shown its state for too long";
  }
  return dump(out);
}

std::string error_page(const std::string& text) { return dump(Json{{"error", text}}); }

}  // namespace muster::master

// Subscribe and Request: who a framework is and what it wants.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {

tl::expected<std::vector<Want>, FrameError> MasterCore::Impl::read_wants(
    const flatbuffers::Vector<flatbuffers::Offset<fb::WantedShape>>* wants, bool foreign_nodes) const {
  using enum fb::RefusedCode;
  const auto wrong = [](fb::RefusedCode code, std::string text) { return tl::unexpected(FrameError{code, std::move(text)}); };
  std::vector<Want> out;
  if (wants == nullptr) {
    return out;
  }
  if (wants->size() > config.wants_max) {
    return wrong(BadRequest, std::to_string(wants->size()) + " shapes are wanted; at most " +
                                 std::to_string(config.wants_max) + " are stored: join equal ones by count");
  }
  for (const fb::WantedShape* wanted : *wants) {
    if (wanted->limit_ms() != 0 ||
        (wanted->attributes() != nullptr && wanted->attributes()->size() != 0)) {
      return wrong(Unsupported, "limits and attributes of wants are not known to this version");
    }
    auto shape = from_fb(*wanted->shape());
    if (!shape) {
      return wrong(Malformed, "wanted shape: " + shape.error().text);
    }
    if (shape->is_zero()) {
      return wrong(BadRequest, "a wanted shape asks for nothing");
    }
    Want want{*std::move(shape), wanted->count(), wanted->whole_rest(), {}, wanted->standing()};
    if (wanted->nodes() != nullptr && wanted->nodes()->size() != 0) {
      if (foreign_nodes) {
        continue;  // indexes of another epoch: the framework asks again once it knows this one's
      }
      for (const std::uint32_t node : *wanted->nodes()) {
        if (!nodes.has(NodeIndex{node})) {
          return wrong(UnknownNode, "node index " + std::to_string(node) + " is not known in this epoch");
        }
        want.nodes.push_back(NodeIndex{node});
      }
    }
    out.push_back(std::move(want));
  }
  return out;
}

void MasterCore::Impl::on_subscribe(LinkId id, const Peer& peer, const fb::Frame& frame,
                                    const fb::Subscribe& message, Now now) {
  using enum fb::RefusedCode;
  const Incarnation incarnation{frame.incarnation()};
  if (const Link* open = find_link(id); open != nullptr && open->state.incarnation() == incarnation) {
    ++probe.frames_dropped;  // the opening came twice
    return;
  }
  const std::string subject = "framework " + std::string(text_of(message.name()));
  if ((peer.rights & kMaySubscribe) == 0) {
    refuse(id, frame, NotAllowed, subject, "you may not bring a framework here: the master's list of keys must say \"framework\"");
    return;
  }
  if (message.framework() == 0 || text_of(message.name()).empty()) {
    refuse(id, frame, BadRequest, subject, "a framework has a name and an id that is not 0");
    return;
  }
  if (message.claims() != nullptr && message.claims()->size() != 0) {
    refuse(id, frame, Unsupported, subject, "claims are not known to this version");
    return;
  }
  auto wants = read_wants(message.wants(), frame.epoch() != epoch.value());
  if (!wants) {
    refuse(id, frame, wants.error().code, subject, wants.error().text);
    return;
  }
  if (const FrameworkIndex known = frameworks.find(FrameworkId{message.framework()}); known != kNoFramework) {
    const FrameworkEntry& old = frameworks[known];
    if (old.incarnation >= incarnation) {
      refuse(id, frame, StaleIncarnation, subject,
             "it has subscribed with incarnation " + std::to_string(old.incarnation.value()) +
                 "; open the link with a larger number");
      return;
    }
    if (old.owned && peer.local && peer.uid != old.owner_uid && peer.uid != 0) {
      refuse(id, frame, NotAllowed, subject,
             "this framework id belongs to user " + std::to_string(old.owner_uid) + "; choose another");
      return;
    }
  }
  ++probe.subscriptions;
  const FrameworkIndex index = frameworks.find_or_add(FrameworkId{message.framework()});
  if (index.value() >= framework_out.size()) {
    framework_out.resize(index.value() + 1);
  }
  close_link(frameworks[index].link, now);
  Link& link = open_link(id, Link::Kind::framework, frame, now);
  link.framework = index;
  rescind_framework(index, fb::RescindReason::Resubscribed);
  FrameworkEntry& framework = frameworks[index];
  if (framework.reported && !framework.subscribed) {
    --frameworks_away;
  }
  framework.name = text_of(message.name());
  framework.role = text_of(message.role()).empty() ? "default" : text_of(message.role());
  framework.user = text_of(message.user());
  framework.version = text_of(message.version());
  framework.incarnation = incarnation;
  framework.link = id;
  framework.subscribed = true;
  framework.silent = framework.gone = false;
  framework.suppressed = message.suppressed();
  framework.failover_timeout = Duration::from_ms(static_cast<std::int64_t>(
      std::min<std::uint64_t>(message.failover_timeout_ms(), 1'000'000'000'000ULL)));
  if (peer.local && !framework.owned) {
    framework.owned = true;
    framework.owner_uid = peer.uid;
  }
  clear_out(index);
  FrameworkOut& todo = framework_out[index.value()];
  todo.subscribed_due = todo.inventory_full = true;
  allocator.set_role(index, framework.role);
  allocator.set_wants(index, *std::move(wants));
  update_active(index);
  framework_marks.mark(index.value());
  mark_dirty(link);

  // Everything it has not acknowledged, in the order of each node.
  std::vector<TaskIndex> rows;
  tasks.list(index, rows);
  std::vector<TaskIndex> unacknowledged;
  for (const TaskIndex row : rows) {
    tasks[row].queued = false;
    if (tasks[row].unacknowledged) {
      unacknowledged.push_back(row);
    }
  }
  std::sort(unacknowledged.begin(), unacknowledged.end(), [this](TaskIndex a, TaskIndex b) {
    const Task& x = tasks[a];
    const Task& y = tasks[b];
    return x.node != y.node ? x.node < y.node : x.update.seq < y.update.seq;
  });
  for (const TaskIndex row : unacknowledged) {
    queue_update(row, tasks[row].update.seq);
  }
  // Ends of the master's own word that it no longer asks about are on its record.
  if (!message.more_live()) {
    std::set<AttemptId> live;
    if (message.live() != nullptr) {
      for (const fb::LiveTask* task : *message.live()) {
        live.insert(from_fb(task->attempt()));
      }
    }
    for (const TaskIndex row : rows) {
      const Task& task = tasks[row];
      if (task.declared && !task.charged && !nodes[task.node].lost && !live.contains(task.attempt)) {
        remove_task(row);
      }
    }
  }
  on_reconcile(link, frame, message.live(), message.node_names(), now);
  look_settled(now);
}

void MasterCore::Impl::on_request(Link& link, const fb::Frame& frame, const fb::Request& message) {
  auto wants = read_wants(message.wants(), false);
  if (!wants) {
    refuse_in_life(link, frame, wants.error().code, "wants", wants.error().text);
    return;
  }
  allocator.set_wants(link.framework, *std::move(wants));
  framework_marks.mark(link.framework.value());
}

void MasterCore::Impl::on_suppress(Link& link, bool suppressed) {
  frameworks[link.framework].suppressed = suppressed;
  if (!suppressed) {
    allocator.drop_filters(link.framework);
  }
  update_active(link.framework);
  framework_marks.mark(link.framework.value());
}

}  // namespace muster::master

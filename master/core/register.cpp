// Register: checked whole, then every node of the link is taken as it reports itself.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {
namespace {

constexpr std::size_t kNameBytesMax = 255;

bool is_reported_state(std::uint8_t state) {
  switch (static_cast<TaskState>(state)) {
    case TaskState::launching:
    case TaskState::prepared:
    case TaskState::running:
    case TaskState::finished:
    case TaskState::killed:
    case TaskState::timed_out:
    case TaskState::out_of_memory:
    case TaskState::start_failed:
    case TaskState::not_started:
    case TaskState::lost:
      return true;
    case TaskState::queued:
      break;  // a line lives no longer than the life of the link it was formed in
  }
  return false;
}

std::optional<FrameError> wrong(fb::RefusedCode code, std::string text) { return FrameError{code, std::move(text)}; }

// One registration by itself.
std::optional<FrameError> check_registration(const fb::NodeRegistration& node) {
  using enum fb::RefusedCode;
  const std::string name(text_of(node.name()));
  if (name.empty() || name.size() > kNameBytesMax) {
    return wrong(BadRequest, "a node's name has 1 to 255 bytes, this one has " + std::to_string(name.size()));
  }
  if (auto capacity = from_fb(*node.capacity()); !capacity) {
    return wrong(Malformed, "capacity of node " + name + ": " + capacity.error().text);
  }
  std::vector<Resources> shapes;
  if (node.shapes() != nullptr) {
    for (const fb::Shape* shape : *node.shapes()) {
      auto read = from_fb(*shape);
      if (!read) {
        return wrong(Malformed, "a task's shape on node " + name + ": " + read.error().text);
      }
      shapes.push_back(*std::move(read));
    }
  }
  if (node.tasks() == nullptr) {
    return {};
  }
  Resources sum;
  for (const fb::TaskReport* task : *node.tasks()) {
    const std::string what = "task " + to_string(from_fb(task->attempt())) + " on node " + name;
    if (!is_reported_state(task->state()) || task->framework() == 0) {
      return wrong(Malformed, what + " has no known state or framework");
    }
    if (is_terminal(static_cast<TaskState>(task->state()))) {
      continue;
    }
    if (task->shape() >= shapes.size()) {
      return wrong(Malformed, what + " names shape " + std::to_string(task->shape()) + " of " +
                                  std::to_string(shapes.size()));
    }
    if (!sum.can_add(shapes[task->shape()])) {
      return wrong(BadRequest, what + " holds a port that another task holds too");
    }
    sum += shapes[task->shape()];
  }
  return {};
}

}  // namespace

bool MasterCore::Impl::key_allows(const Peer& peer, const std::string& node) const {
  if (peer.key == 0) {
    return true;
  }
  const auto& names = config.key_nodes;
  return peer.key <= names.size() && std::any_of(names[peer.key - 1U].begin(), names[peer.key - 1U].end(), [&](const std::string& name) {
           return name == node || name == "*";
         });
}

void MasterCore::Impl::on_register(LinkId id, const Peer& peer, const fb::Frame& frame, const fb::Register& message,
                                   Now now) {
  using enum fb::RefusedCode;
  const Incarnation incarnation{frame.incarnation()};
  if (const Link* open = find_link(id); open != nullptr && open->state.incarnation() >= incarnation) {
    if (open->state.incarnation() == incarnation) {
      ++probe.frames_dropped;  // the opening came twice
    } else {
      refuse(id, frame, StaleIncarnation, "incarnation " + std::to_string(incarnation.value()),
             "a later life of this link is open; open one with a larger number");
    }
    return;
  }
  if (message.nodes() == nullptr || message.nodes()->size() == 0) {
    refuse(id, frame, BadRequest, "nodes", "Register names no node");
    return;
  }
  if ((peer.rights & kMayRegister) == 0) {
    refuse(id, frame, NotAllowed, "Register", "you may not register nodes here: the master's list of keys must say \"node NAME\"");
    return;
  }
  std::set<std::string_view> names;
  for (const fb::NodeRegistration* registration : *message.nodes()) {
    const std::string name(text_of(registration->name()));
    if (!key_allows(peer, name)) {
      refuse(id, frame, NotAllowed, "node " + name, "your key is not that of node " + name +
             ": the master's list of keys must say \"node " + name + "\"");
      return;
    }
    if (const auto error = check_registration(*registration)) {
      refuse(id, frame, error->code, "node " + name, error->text);
      return;
    }
    if (!names.insert(text_of(registration->name())).second) {
      refuse(id, frame, BadRequest, "node " + name, "Register names node " + name + " twice");
      return;
    }
    if (registration->highest_epoch() > epoch.value() && !defect(&MasterDefects::skip_epoch_check)) {
      refuse(id, frame, StaleEpoch, "node " + name, "the node has seen epoch " +
             std::to_string(registration->highest_epoch()) + "; this master leads " + std::to_string(epoch.value()));
      return;
    }
    const NodeIndex known = nodes.find(name);
    if (known == kNoNode) {
      continue;
    }
    const Node& node = nodes[known];
    if (node.incarnation >= incarnation) {
      refuse(id, frame, StaleIncarnation, "node " + name,
             "the node has registered with incarnation " + std::to_string(node.incarnation.value()) +
                 "; open the link with a larger number");
      return;
    }
    if (node.owned && peer.local && peer.uid != node.owner_uid && peer.uid != 0) {
      refuse(id, frame, NotAllowed, "node " + name,
             "this node belongs to user " + std::to_string(node.owner_uid) + "; choose another name");
      return;
    }
  }
  Link& link = open_link(id, Link::Kind::nodes, frame, now);
  for (const fb::NodeRegistration* registration : *message.nodes()) {
    register_node(link, peer, *registration, now);
  }
  link.registered_due = true;
  mark_dirty(link);
  look_settled(now);
}

void MasterCore::Impl::register_node(Link& link, const Peer& peer, const fb::NodeRegistration& registration,
                                     Now now) {
  ++probe.registrations;
  NodeIndex index = nodes.find(text_of(registration.name()));
  if (index == kNoNode) {
    index = nodes.add(text_of(registration.name()));
    ledger.add_node();
    node_out.emplace_back();
  } else if (Link* old = find_link(nodes[index].link)) {
    std::erase(old->nodes, index);
    std::erase(old->dirty_nodes, index);
    detach_node(index, old->last_heard);
    if (old->nodes.empty()) {
      close_link(old->id, now);
    }
  }
  Node& node = nodes[index];
  const bool was_lost = node.lost;
  const std::string_view boot_id = text_of(registration.boot_id());
  const bool rebooted = !node.boot_id.empty() && !boot_id.empty() && node.boot_id != boot_id;
  node.incarnation = link.state.incarnation();
  node.boot_id = boot_id;
  node.boot = registration.boot();
  node.switch_name = text_of(registration.switch_name());
  node.endpoint = text_of(registration.endpoint());
  node.version = text_of(registration.version());
  node.topology_hash = registration.topology_hash();
  node.attributes.clear();
  if (registration.attributes() != nullptr) {
    for (const auto* attribute : *registration.attributes()) {
      node.attributes.emplace_back(text_of(attribute));
    }
  }
  if (peer.local && !node.owned) {
    node.owned = true;
    node.owner_uid = peer.uid;
  }
  node.silent = false;
  node.lost = false;

  const Resources capacity = from_fb(*registration.capacity()).value();
  if (capacity != ledger.books(index).advertised() || was_lost) {
    rescind_node(index, fb::RescindReason::NodeLost);
    if (!was_lost) {
      capacity_total.remove(ledger.books(index).advertised());
    }
    capacity_total.add(capacity);
    ledger.set_capacity(index, capacity);
    allocator.set_capacity(capacity_total);
    framework_marks.mark_all();  // shares are parts of it
  }
  node.link = link.id;
  link.nodes.push_back(index);
  link.registered.push_back(index);

  take_report(index, registration, rebooted, now);

  if (node.operator_spoke) {
    node_out[index.value()].drain_due = node.drained != registration.drained();
  } else {
    set_drained(index, registration.drained(), std::string(text_of(registration.drain_reason())), false);
  }
  for (const std::uint32_t channel : node_out[index.value()].channels) {
    acknowledge_due(channel);
  }
  mark_dirty(index);
  update_offerable(index);
  allocator.node_freed(index);
  node_changed(index);
  answer_questions(index);
}

}  // namespace muster::master

// Nodes between registrations: prepared gangs, silence, loss, drains, messages.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {
namespace {
constexpr std::size_t kMessagesMax = 256;  // waiting for one receiver; more are shed
}  // namespace

bool MasterCore::Impl::speaks_for(const Link& link, NodeIndex node) const {
  return nodes.has(node) && nodes[node].link == link.id;
}

void MasterCore::Impl::update_offerable(NodeIndex node) { allocator.set_offerable(node, nodes[node].offerable()); }

void MasterCore::Impl::node_changed(NodeIndex node) {
  nodes.note_change(node);
  node_marks.mark(node.value());
  for (std::uint32_t at = 0; at < frameworks.count(); ++at) {
    mark_dirty(FrameworkIndex{at});
  }
}

void MasterCore::Impl::on_prepared(Link& link, const fb::Prepared& message, Now now) {
  if (message.attempts() == nullptr) {
    return;
  }
  const auto* owners = message.frameworks();
  for (std::uint32_t i = 0; i < message.attempts()->size(); ++i) {
    const fb::AttemptRef* ref = message.attempts()->Get(i);
    const NodeIndex node{ref->node()};
    if (!speaks_for(link, node)) {
      ++probe.updates_foreign;
      continue;
    }
    const AttemptId attempt = from_fb(ref->attempt());
    const TaskIndex task =
        owners != nullptr && i < owners->size()
            ? tasks.find(frameworks.find(FrameworkId{owners->Get(i)}), attempt)
            : tasks.find_on_node(node, attempt);
    if (task.is_none() || tasks[task].node != node) {
      ++probe.updates_foreign;
      continue;
    }
    Task& row = tasks[task];
    if (row.state == TaskState::launching) {
      row.state = TaskState::prepared;
      confirm(row);
      task_marks.mark(task.slot);
      gang_prepared(task, now);
    }
  }
}

void MasterCore::Impl::silence_node(NodeIndex node, Now now) {
  nodes[node].silent = true;
  update_offerable(node);
  node_marks.mark(node.value());
  on_node_timer(node, now);
}

// Armed at the earliest thing that may happen to a node that is not heard.
void MasterCore::Impl::arm_node(NodeIndex index) {
  Node& node = nodes[index];
  const Instant at = heard_at(node) + config.node_silence;
  if (at < node.timer_at) {
    node.timer_at = at;
    timers.add(at, TimerKind::node, index.value());
  }
}

void MasterCore::Impl::on_node_timer(NodeIndex index, Now now) {
  Node& node = nodes[index];
  if (node.lost || (node.attached() && !node.silent)) {
    return;
  }
  const Instant heard = heard_at(node);
  Instant next = heard + config.node_silence;
  if (now.mono >= next) {
    rescind_node(index, fb::RescindReason::NodeLost);
    next = heard + config.fence + config.fence_margin;
  }
  if (now.mono >= next) {
    lose_node(index, now);
  } else if (next < node.timer_at) {
    node.timer_at = next;
    timers.add(next, TimerKind::node, index.value());
  }
}

void MasterCore::Impl::lose_node(NodeIndex index, Now now) {
  ++probe.nodes_lost;
  rescind_node(index, fb::RescindReason::NodeLost);
  Node& node = nodes[index];
  node.lost = true;
  if (Link* link = find_link(node.link)) {
    std::erase(link->nodes, index);
    std::erase(link->dirty_nodes, index);
    detach_node(index, link->last_heard);
    if (link->nodes.empty()) {
      close_link(link->id, now);  // what still comes on it must register first
    }
  }
  std::vector<TaskIndex> rows;
  tasks.list(index, rows);
  for (const TaskIndex task : rows) {
    if (!tasks.holds(task)) {
      continue;
    }
    if (tasks[task].declared) {
      if (tasks[task].charged) {
        unbook(task);
      }
    } else if (!is_terminal(tasks[task].state)) {
      declare(task, TaskState::lost, TaskReason::node_lost, now);
    }
  }
  capacity_total.remove(ledger.books(index).advertised());
  allocator.set_capacity(capacity_total);
  framework_marks.mark_all();
  update_offerable(index);
  for (std::uint32_t at = 0; at < frameworks.count(); ++at) {
    if (frameworks[FrameworkIndex{at}].connected()) {
      framework_out[at].lost.push_back(index);
    }
  }
  node_changed(index);
}

void MasterCore::Impl::set_drained(NodeIndex index, bool drained, std::string reason, bool by_operator) {
  Node& node = nodes[index];
  const bool changed = node.drained != drained || node.drain_reason != reason;
  node.drained = drained;
  node.drain_reason = drained ? std::move(reason) : std::string{};
  if (drained) {
    rescind_node(index, fb::RescindReason::NodeDraining);
    recall_node(index);
  }
  update_offerable(index);
  if (by_operator) {
    node.operator_spoke = true;
    node_out[index.value()].drain_due = true;
    mark_dirty(index);
  }
  if (changed) {
    node_changed(index);
  }
}

void MasterCore::Impl::forward_to_framework(Link& link, const fb::Message& message) {
  const FrameworkIndex framework = frameworks.find(FrameworkId{message.framework()});
  const NodeIndex node{message.node()};
  const AttemptId attempt = message.attempt() != nullptr ? from_fb(*message.attempt()) : AttemptId{};
  const TaskIndex task = framework == kNoFramework ? TaskIndex{} : tasks.find(framework, attempt);
  if (!speaks_for(link, node) || task.is_none() || tasks[task].node != node) {
    ++probe.updates_foreign;
    return;
  }
  const Link* to = find_link(frameworks[framework].link);
  auto& waiting = framework_out[framework.value()].messages;
  if (to == nullptr || !can_send(*to) || waiting.size() >= kMessagesMax) {
    ++probe.messages_shed;
    return;
  }
  auto& copy = waiting.emplace_back();
  copy = {frameworks[framework].id, attempt, node, {}};
  if (message.data() != nullptr) {
    copy.data.assign(message.data()->begin(), message.data()->end());
  }
  mark_dirty(framework);
}

void MasterCore::Impl::forward_to_node(Link& link, const fb::Message& message) {
  const NodeIndex node{message.node()};
  const AttemptId attempt = message.attempt() != nullptr ? from_fb(*message.attempt()) : AttemptId{};
  const TaskIndex task = tasks.find(link.framework, attempt);
  if (task.is_none() || tasks[task].node != node) {
    ++probe.messages_shed;  // ended meanwhile: messages may be lost
    return;
  }
  const Link* to = find_link(nodes[node].link);
  auto& waiting = node_out[node.value()].messages;
  if (to == nullptr || !can_send(*to) || waiting.size() >= kMessagesMax) {
    ++probe.messages_shed;
    return;
  }
  auto& copy = waiting.emplace_back();
  copy = {frameworks[link.framework].id, attempt, node, {}};
  if (message.data() != nullptr) {
    copy.data.assign(message.data()->begin(), message.data()->end());
  }
  mark_dirty(node);
}

}  // namespace muster::master

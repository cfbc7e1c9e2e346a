// Lives of links: opening, closing, silence, credit, and refusals.
#include "master/core/impl.hpp"

namespace muster::master {
namespace {
constexpr std::size_t kRefusalsMax = 1024;  // waiting on one link
constexpr std::size_t kAnswersMax = 65'536;  // waiting for a framework without credit
}  // namespace

Link* MasterCore::Impl::find_link(LinkId id) {
  const auto found = links.find(id);
  return found == links.end() ? nullptr : found->second.get();
}

Link& MasterCore::Impl::open_link(LinkId id, Link::Kind kind, const fb::Frame& frame, Now now) {
  close_link(id, now);
  auto link = std::make_unique<Link>();
  link->id = id;
  link->kind = kind;
  link->state.open(Incarnation{frame.incarnation()});
  check(link->state.take(frame) == LinkState::Verdict::deliver, "link: the opening frame must be the first");
  link->last_heard = now.mono;
  link->last_sent = now.mono;
  Link& row = *link;
  links[id] = std::move(link);
  arm_link(row);
  return row;
}

void MasterCore::Impl::close_link(LinkId id, Now) {
  const auto found = links.find(id);
  if (found == links.end()) {
    return;
  }
  const std::unique_ptr<Link> link = std::move(found->second);
  links.erase(found);
  if (link->kind == Link::Kind::nodes) {
    for (const NodeIndex node : link->nodes) {
      detach_node(node, link->last_heard);
    }
  } else {
    FrameworkEntry& framework = frameworks[link->framework];
    framework.link = LinkId{};
    framework.last_heard = link->last_heard;
    clear_out(link->framework);
    tasks_scratch.clear();
    tasks.list(link->framework, tasks_scratch);
    for (const TaskIndex task : tasks_scratch) {
      tasks[task].queued = false;
    }
    update_active(link->framework);
    arm_framework(link->framework);
    framework_marks.mark(link->framework.value());
  }
}

void MasterCore::Impl::clear_out(FrameworkIndex framework) {
  FrameworkOut& out = framework_out[framework.value()];
  if (out.recent_spec != kNoSpec) {
    tasks.drop_spec(out.recent_spec);
  }
  out = FrameworkOut{};
}

// The node's link is gone, or speaks for it no more.
void MasterCore::Impl::detach_node(NodeIndex index, Instant last_heard) {
  Node& node = nodes[index];
  node.link = LinkId{};
  node.last_heard = last_heard;
  NodeOut& out = node_out[index.value()];
  out.listed = false;
  out.messages.clear();
  update_offerable(index);
  arm_node(index);
  node_marks.mark(index.value());
}

void MasterCore::Impl::heard(Link& link, Now now) {
  link.last_heard = now.mono;
  if (link.silent) {
    link.silent = false;
    arm_link(link);
    for (const NodeIndex index : link.nodes) {
      nodes[index].silent = false;
      update_offerable(index);
      node_marks.mark(index.value());
    }
    if (link.kind == Link::Kind::framework) {
      frameworks[link.framework].silent = false;
    }
  }
  if (link.stalled && can_send(link)) {
    link.stalled = false;
    mark_dirty(link);
    if (link.kind == Link::Kind::framework) {
      update_active(link.framework);
    }
  }
}

void MasterCore::Impl::mark_dirty(Link& link) {
  if (!link.dirty) {
    link.dirty = true;
    dirty_links.push_back(link.id);
  }
}

void MasterCore::Impl::mark_dirty(FrameworkIndex framework) {
  if (Link* link = find_link(frameworks[framework].link)) {
    mark_dirty(*link);
  }
}

void MasterCore::Impl::mark_dirty(NodeIndex node) {
  NodeOut& out = node_out[node.value()];
  if (out.listed) {
    return;
  }
  if (Link* link = find_link(nodes[node].link)) {
    out.listed = true;
    link->dirty_nodes.push_back(node);
    mark_dirty(*link);
  }
}

void MasterCore::Impl::refuse(LinkId id, const fb::Frame& frame, fb::RefusedCode code, std::string subject,
                              std::string text, std::uint64_t request, std::uint64_t sequence) {
  probe.refuse(code);
  const FrameHead head{epoch, Incarnation{frame.incarnation()}, 0, 0};
  reply(id,
        refused_frame(head, {code, request, sequence != 0 ? sequence : frame.sequence(), std::move(subject),
                             std::move(text)}),
        fb::Body::Refused);
}

void MasterCore::Impl::refuse_in_life(Link& link, const fb::Frame& frame, fb::RefusedCode code, std::string subject,
                                      std::string text) {
  probe.refuse(code);
  if (link.refusals.size() < kRefusalsMax) {
    link.refusals.push_back({code, 0, frame.sequence(), std::move(subject), std::move(text)});
    mark_dirty(link);
  }
}

void MasterCore::Impl::reply(LinkId id, FrameBytes bytes, fb::Body kind) {
  ++probe.frames_out[static_cast<std::size_t>(kind)];
  replies.push_back({id, std::move(bytes)});
}

void MasterCore::Impl::arm_link(Link& link) {
  timers.add(std::min(link.last_sent + config.heartbeat, link.last_heard + config.node_silence), TimerKind::link,
             link.id.value(), static_cast<std::uint32_t>(link.state.incarnation().value()));
}

// One timer per life: heartbeats while it is heard, then silence. Armed again by the first frame after that.
void MasterCore::Impl::on_link_timer(LinkId id, Now now) {
  Link* link = find_link(id);
  if (link == nullptr || link->silent) {
    return;
  }
  if (now.mono >= link->last_heard + config.node_silence) {
    link->silent = true;
    link->stalled = true;
    const std::vector<NodeIndex> silent = link->nodes;
    for (const NodeIndex node : silent) {
      if (nodes[node].link == id) {
        silence_node(node, now);
      }
    }
    link = find_link(id);  // gone if the silence was so long that its nodes are lost
    if (link != nullptr && link->kind == Link::Kind::framework) {
      frameworks[link->framework].silent = true;
      update_active(link->framework);
      on_framework_timer(link->framework, now);
    }
    return;
  }
  Instant next = link->last_sent + config.heartbeat;
  if (now.mono >= next) {
    link->heartbeat_due = true;
    mark_dirty(*link);
    next = now.mono + config.heartbeat;
  }
  timers.add(std::min(next, link->last_heard + config.node_silence), TimerKind::link, id.value(),
             static_cast<std::uint32_t>(link->state.incarnation().value()));
}

void MasterCore::Impl::update_active(FrameworkIndex index) {
  const FrameworkEntry& framework = frameworks[index];
  const Link* link = find_link(framework.link);
  allocator.set_active(index, link != nullptr && can_send(*link) && !framework.suppressed);
}

// Offers, updates and messages are bounded by what they speak of. Answers are not: who asks on and reads nothing must stop.
bool MasterCore::Impl::reads_nothing(const Link& link) const {
  if (link.kind != Link::Kind::framework || can_send(link)) {
    return false;
  }
  const FrameworkOut& out = framework_out[link.framework.value()];
  return out.answers.size() + out.words.size() > kAnswersMax;
}

Instant MasterCore::Impl::heard_at(const Node& node) const {
  const auto found = links.find(node.link);
  return found == links.end() ? node.last_heard : found->second->last_heard;
}

Instant MasterCore::Impl::heard_at(const FrameworkEntry& framework) const {
  const auto found = links.find(framework.link);
  return found == links.end() ? framework.last_heard : found->second->last_heard;
}

}  // namespace muster::master

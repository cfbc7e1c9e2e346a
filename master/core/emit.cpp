// Output: everything that waits in the tables for a link goes out in as few frames as possible, while the link has
// credit. Without credit it waits where it is.
#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::flush(Now now, MasterOutputs& out) {
  last_now = now;
  if ((settled || defect(&MasterDefects::offer_before_settled)) && allocator.has_work()) {
    allocator.allocate(now.mono, *this);
    if (queued_total > 0) {
      recall_for_poorer(now);
    }
  }
  for (OutFrame& frame : replies) {
    out.frames.push_back(std::move(frame));
  }
  replies.clear();
  ready_links.clear();
  ready_links.swap(dirty_links);
  for (const LinkId id : ready_links) {
    Link* link = find_link(id);
    if (link == nullptr || !link->dirty) {
      continue;
    }
    link->dirty = false;
    if (can_send(*link)) {
      emit(*link, now, out);
    }
    if (!can_send(*link)) {
      probe.links_stalled += link->stalled ? 0U : 1U;
      link->stalled = true;
      if (link->kind == Link::Kind::framework) {
        update_active(link->framework);
      }
    }
  }
}

void MasterCore::Impl::emit(Link& link, Now now, MasterOutputs& out) {
  if (link.kind == Link::Kind::nodes) {
    emit_nodes(link, now, out);
  } else {
    emit_framework(link, now, out);
  }
  for (const Refusal& refusal : link.refusals) {
    const auto subject = builder.CreateString(refusal.subject);
    const auto text = builder.CreateString(refusal.text);
    send(link, builder,
         fb::CreateRefused(builder, refusal.code, refusal.request, refusal.sequence, subject, text, epoch.value()),
         now, out);
  }
  link.refusals.clear();
  if (link.heartbeat_due) {
    send(link, builder, fb::CreateHeartbeat(builder, 0.0F), now, out);
  }
}

void MasterCore::Impl::emit_messages(Link& link, std::vector<ForwardedMessage>& messages, Now now,
                                     MasterOutputs& out) {
  for (const ForwardedMessage& message : messages) {
    if (!can_send(link)) {
      ++probe.messages_shed;
      continue;
    }
    ++probe.messages_forwarded;
    const auto data = builder.CreateVector(message.data);
    const fb::AttemptId attempt = to_fb(message.attempt);
    send(link, builder,
         fb::CreateMessage(builder, message.framework.value(), &attempt, message.node.value(), data), now, out);
  }
  messages.clear();
}

}  // namespace muster::master

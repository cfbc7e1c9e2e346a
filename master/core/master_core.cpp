// MasterCore: the face, and who handles which message.
#include "master/core/master_core.hpp"

#include "master/core/impl.hpp"

namespace muster::master {

MasterCore::Impl::Impl(const MasterConfig& cfg, Epoch own_epoch, Now now, const MasterDefects& defect_switches)
    : config(cfg), epoch(own_epoch), defects(defect_switches), start(now.mono) {
  timers.add(start + config.settle, TimerKind::settle, 0);
}

void MasterCore::Impl::on_frame(LinkId id, const Peer& peer, const fb::Frame& frame, Now now) {
  using enum fb::Body;
  const fb::Body type = frame.body_type();
  ++probe.frames_in[static_cast<std::size_t>(type)];
  if (type == OperatorQuery || type == DrainNode || type == SetWeight || type == SetQuota) {
    on_operator(id, peer, frame, now);
    return;
  }
  if (type == Refused) {
    // Never answered. A peer that knows a higher epoch says that this master has been succeeded.
    const auto& refused = *frame.body_as_Refused();
    if (refused.code() == fb::RefusedCode::StaleEpoch && refused.epoch() > epoch.value()) {
      ++probe.stale_epochs_heard;
    }
    if (frame.sequence() == 0) {
      return;
    }
  } else if (frame.epoch() > epoch.value() && !defect(&MasterDefects::skip_epoch_check)) {
    refuse(id, frame, fb::RefusedCode::StaleEpoch, "epoch " + std::to_string(frame.epoch()),
           "this master leads epoch " + std::to_string(epoch.value()) + " and has been succeeded; look for the next one");
    return;
  }
  if (type == Subscribe && frame.sequence() == 1) {
    on_subscribe(id, peer, frame, *frame.body_as_Subscribe(), now);
    return;
  }
  if (type == Register && frame.sequence() == 1) {
    on_register(id, peer, frame, *frame.body_as_Register(), now);
    return;
  }
  Link* link = find_link(id);
  if (link == nullptr) {
    const bool of_life = frame.sequence() != 0;
    refuse(id, frame, of_life ? fb::RefusedCode::NotRegistered : fb::RefusedCode::NotAllowed,
           fb::EnumNameBody(type),
           of_life ? "no open life on this link; open one with Register or Subscribe"
                   : "the master does not take this message; users speak to a framework");
    return;
  }
  switch (link->state.take(frame)) {
    case LinkState::Verdict::deliver:
      heard(*link, now);
      if (reads_nothing(*link)) {
        ++probe.links_deaf;
        refuse(id, frame, fb::RefusedCode::Busy, "framework " + frameworks[link->framework].name,
               "it asks on and reads no answers; subscribe again and read them");
        close_link(id, now);
        return;
      }
      on_in_life(*link, frame, now);
      return;
    case LinkState::Verdict::duplicate:
      ++probe.frames_dropped;
      return;
    case LinkState::Verdict::other_incarnation:
      ++probe.frames_dropped;
      if (frame.incarnation() > link->state.incarnation().value()) {
        refuse(id, frame, fb::RefusedCode::NotRegistered, fb::EnumNameBody(type),
               "this life of the link was not opened; open it with Register or Subscribe");
      }
      return;
    case LinkState::Verdict::gap:
      ++probe.gaps;
      refuse(id, frame, fb::RefusedCode::Gap, "sequence " + std::to_string(frame.sequence()),
             "frame " + std::to_string(link->state.received() + 1) + " is missing; open the link again", 0,
             link->state.received() + 1);
      close_link(id, now);
      return;
  }
}

void MasterCore::Impl::on_in_life(Link& link, const fb::Frame& frame, Now now) {
  switch (frame.body_type()) {
    case fb::Body::Heartbeat:
    case fb::Body::Refused:
      return;
    default:
      break;
  }
  if (link.kind == Link::Kind::nodes) {
    on_from_node(link, frame, now);
  } else {
    on_from_framework(link, frame, now);
  }
}

void MasterCore::Impl::on_from_node(Link& link, const fb::Frame& frame, Now now) {
  switch (frame.body_type()) {
    case fb::Body::Update:
      on_update(link, *frame.body_as_Update(), now);
      return;
    case fb::Body::Prepared:
      on_prepared(link, *frame.body_as_Prepared(), now);
      return;
    case fb::Body::Message:
      forward_to_framework(link, *frame.body_as_Message());
      return;
    default:
      refuse_in_life(link, frame, fb::RefusedCode::NotAllowed, fb::EnumNameBody(frame.body_type()),
                     "the master does not take this message from a node");
  }
}

void MasterCore::Impl::on_from_framework(Link& link, const fb::Frame& frame, Now now) {
  switch (frame.body_type()) {
    case fb::Body::Accept:
      on_accept(link, *frame.body_as_Accept(), now);
      return;
    case fb::Body::Acknowledge:
      on_acknowledge(link, *frame.body_as_Acknowledge());
      return;
    case fb::Body::Decline:
      on_decline(link, *frame.body_as_Decline(), now);
      return;
    case fb::Body::Request:
      on_request(link, frame, *frame.body_as_Request());
      return;
    case fb::Body::Hold:
      on_hold(link, frame, *frame.body_as_Hold(), now);
      return;
    case fb::Body::Suppress:
      on_suppress(link, true);
      return;
    case fb::Body::Revive:
      on_suppress(link, false);
      return;
    case fb::Body::Kill:
      on_kill(link, frame, *frame.body_as_Kill(), now);
      return;
    case fb::Body::Reconcile: {
      const auto& message = *frame.body_as_Reconcile();
      on_reconcile(link, frame, message.live(), message.node_names(), now);
      return;
    }
    case fb::Body::Message:
      forward_to_node(link, *frame.body_as_Message());
      return;
    case fb::Body::Recall:
      on_recall(link, frame, *frame.body_as_Recall());
      return;
    case fb::Body::Lend:
      refuse_in_life(link, frame, fb::RefusedCode::Unsupported, fb::EnumNameBody(frame.body_type()),
                     "this version does not lend offers");
      return;
    default:
      refuse_in_life(link, frame, fb::RefusedCode::NotAllowed, fb::EnumNameBody(frame.body_type()),
                     "the master does not take this message from a framework");
  }
}

MasterCore::MasterCore(const MasterConfig& config, Epoch epoch, Now now, const MasterDefects& defects)
    : impl_(std::make_unique<Impl>(config, epoch, now, defects)) {}
MasterCore::~MasterCore() = default;

void MasterCore::on_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now) {
  impl_->on_frame(link, peer, frame, now);
}

void MasterCore::on_bad_frame(LinkId id, const Peer&, const FrameError& error, Now) {
  ++impl_->probe.frames_bad;
  impl_->probe.refuse(error.code);
  const Link* link = impl_->find_link(id);
  const FrameHead head{impl_->epoch, link != nullptr ? link->state.incarnation() : Incarnation{}, 0, 0};
  impl_->reply(id, refused_frame(head, {error.code, 0, 0, "frame", error.text}), fb::Body::Refused);
}

void MasterCore::on_link_lost(LinkId link, Now now) {
  impl_->probe.links_lost += impl_->find_link(link) != nullptr ? 1U : 0U;
  impl_->close_link(link, now);
}
void MasterCore::on_timer(Now now) { impl_->on_timer(now); }
Instant MasterCore::next_timer() const { return impl_->next_timer(); }
void MasterCore::flush(Now now, MasterOutputs& out) { impl_->flush(now, out); }
Epoch MasterCore::epoch() const { return impl_->epoch; }
bool MasterCore::settled() const { return impl_->settled; }
std::shared_ptr<const ClusterView> MasterCore::view(Now now) { return impl_->view(now); }
Status MasterCore::audit() const { return impl_->audit(); }

std::vector<MasterCore::NodeBooks> MasterCore::books() const {
  std::vector<NodeBooks> out;
  for (std::uint32_t at = 0; at < impl_->nodes.count(); ++at) {
    const auto& row = impl_->ledger.books(NodeIndex{at});
    out.push_back({impl_->nodes[NodeIndex{at}].name, row.capacity(), row.used, row.offered, row.free});
  }
  return out;
}

}  // namespace muster::master

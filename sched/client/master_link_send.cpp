// What goes to the master: one function per message.
#include <algorithm>

#include "sched/client/master_link_impl.hpp"

namespace muster::client {
namespace {

// Live attempts per Subscribe or Reconcile frame: well below the frame limit.
constexpr std::size_t kLivePerFrame = 20'000;

struct LiveList {
  std::vector<fb::LiveTask> tasks;
  std::vector<std::string> names;
};

[[nodiscard]] LiveList live_list(std::span<const LiveAttempt> live) {
  LiveList list;
  std::unordered_map<std::string, std::uint32_t> places;  // looked up, never iterated
  list.tasks.reserve(live.size());
  for (const LiveAttempt& attempt : live) {
    const auto [place, fresh] = places.emplace(attempt.node, static_cast<std::uint32_t>(list.names.size()));
    if (fresh) {
      list.names.push_back(attempt.node);
    }
    list.tasks.emplace_back(to_fb(attempt.attempt), place->second, attempt.boot);
  }
  return list;
}

[[nodiscard]] std::vector<std::unique_ptr<fb::WantedShapeT>> want_objects(const std::vector<Want>& wants) {
  std::vector<std::unique_ptr<fb::WantedShapeT>> all;
  for (const Want& want : wants) {
    auto object = std::make_unique<fb::WantedShapeT>();
    object->shape = std::make_unique<fb::ShapeT>(to_shape_object(want.shape));
    object->count = want.count;
    object->whole_rest = want.whole_rest;
    object->standing = want.standing;
    for (const NodeIndex node : want.nodes) {
      object->nodes.push_back(node.value());
    }
    all.push_back(std::move(object));
  }
  return all;
}

[[nodiscard]] std::vector<fb::OfferRef> refs(std::span<const OfferId> offers) {
  std::vector<fb::OfferRef> all;
  all.reserve(offers.size());
  for (const OfferId& id : offers) {
    all.push_back(to_fb(id));
  }
  return all;
}

[[nodiscard]] std::uint32_t ms32(Duration d) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(d.ms(), 0, 0xffff'ffff));
}

}  // namespace

void MasterLink::Impl::send_subscribe(std::vector<FrameBytes>& out) {
  const std::vector<LiveAttempt> live = framework.live_attempts();
  const std::size_t first = std::min(live.size(), kLivePerFrame);
  fb::SubscribeT subscribe;
  subscribe.framework = config.framework.value();
  subscribe.name = config.name;
  subscribe.role = config.role;
  subscribe.user = config.user;
  subscribe.failover_timeout_ms = static_cast<std::uint64_t>(config.failover_timeout.ms());
  subscribe.wants = want_objects(wants);
  subscribe.suppressed = suppressed;
  LiveList list = live_list(std::span(live).first(first));
  subscribe.live = std::move(list.tasks);
  subscribe.node_names = std::move(list.names);
  subscribe.version = kVersionText;
  subscribe.more_live = first < live.size();
  out.push_back(pack_frame<fb::Subscribe>(head(), subscribe));
  if (first < live.size()) {
    send_reconcile(std::span(live).subspan(first), false, out);
  }
}

void MasterLink::Impl::send_reconcile(std::span<const LiveAttempt> live, bool more, std::vector<FrameBytes>& out) {
  while (!live.empty()) {
    const std::size_t n = std::min(live.size(), kLivePerFrame);
    LiveList list = live_list(live.first(n));
    live = live.subspan(n);
    fb::ReconcileT reconcile;
    reconcile.live = std::move(list.tasks);
    reconcile.node_names = std::move(list.names);
    reconcile.more_live = more || !live.empty();
    out.push_back(pack_frame<fb::Reconcile>(head(), reconcile));
  }
}

void MasterLink::Impl::send_pending(std::vector<FrameBytes>& out) {
  for (const PendingSend& item : pending) {
    std::visit([&](const auto& message) { send(message, out); }, item);
  }
  pending.clear();
}

void MasterLink::Impl::send_acks(std::vector<FrameBytes>& out) {
  if (acks.empty()) {
    return;
  }
  flatbuffers::FlatBufferBuilder builder;
  std::vector<fb::AckEntry> entries;
  entries.reserve(acks.size());
  for (const auto& [node, seq] : acks) {
    entries.emplace_back(seq, node.value(), std::uint16_t{0}, std::uint16_t{0});
  }
  acks.clear();
  const auto list = builder.CreateVectorOfStructs(entries);
  out.push_back(finish_frame(builder, head(), fb::CreateAcknowledge(builder, list)));
}

void MasterLink::Impl::send(const PendingAccept& accept, std::vector<FrameBytes>& out) {
  flatbuffers::FlatBufferBuilder builder;
  ShapeTable shapes;
  std::vector<fb::LaunchEntry> launches;
  launches.reserve(accept.request.launches.size());
  std::vector<fb::AttemptId> predecessors;
  for (const LaunchTask& task : accept.request.launches) {
    if (task.after != AttemptId{}) {
      predecessors.push_back(to_fb(task.after));
    }
    const auto after = static_cast<std::uint16_t>(task.after != AttemptId{} ? predecessors.size() : 0);
    launches.emplace_back(to_fb(task.attempt), task.node.value(), task.index, task.first_rank, task.ranks, task.gang,
                          task.member, task.spec, shapes.place_of(task.resources), std::uint16_t{0}, after);
  }
  std::vector<flatbuffers::Offset<fb::SpecBytes>> specs;
  for (const FrameBytes& spec : accept.request.specs) {
    builder.ForceVectorAlignment(spec.size(), sizeof(std::uint8_t), 8);
    specs.push_back(fb::CreateSpecBytes(builder, builder.CreateVector(spec)));
  }
  const auto spec_list = builder.CreateVector(specs);
  const auto shape_list = shapes.build(builder);
  const auto launch_list = builder.CreateVectorOfStructs(launches);
  const auto offer_list = builder.CreateVectorOfStructs(refs(accept.request.offers));
  const auto predecessor_list = predecessors.empty() ? flatbuffers::Offset<flatbuffers::Vector<const fb::AttemptId*>>{}
                                                     : builder.CreateVectorOfStructs(predecessors);
  out.push_back(finish_frame(builder, head(),
                             fb::CreateAccept(builder, accept.number, offer_list, launch_list, spec_list, shape_list, 0,
                                              predecessor_list)));
}

void MasterLink::Impl::send(const PendingDecline& decline, std::vector<FrameBytes>& out) {
  fb::DeclineT body;
  body.offers = refs(decline.offers);
  body.filter_ms = ms32(decline.filter);
  out.push_back(pack_frame<fb::Decline>(head(), body));
}

void MasterLink::Impl::send(const PendingHold& hold, std::vector<FrameBytes>& out) {
  fb::HoldT body;
  body.offers = refs(hold.offers);
  body.claim = hold.claim.value();
  body.lease_ms = ms32(hold.lease);
  out.push_back(pack_frame<fb::Hold>(head(), body));
}

void MasterLink::Impl::send(const PendingKill& kill, std::vector<FrameBytes>& out) {
  fb::KillT body;
  body.attempts = kill.attempts;
  body.grace_ms = ms32(kill.options.grace);
  body.signal = static_cast<std::uint8_t>(kill.options.signal);
  body.only_signal = kill.options.only_signal;
  out.push_back(pack_frame<fb::Kill>(head(), body));
}

void MasterLink::Impl::send(const PendingRecall& recall, std::vector<FrameBytes>& out) {
  fb::RecallT body;
  body.attempts = recall.attempts;
  out.push_back(pack_frame<fb::Recall>(head(), body));
}

void MasterLink::Impl::send(const PendingReconcile& reconcile, std::vector<FrameBytes>& out) {
  send_reconcile(reconcile.live, false, out);
}

void MasterLink::Impl::send(const PendingMessage& message, std::vector<FrameBytes>& out) {
  fb::MessageT body;
  body.framework = config.framework.value();
  body.attempt = std::make_unique<fb::AttemptId>(to_fb(message.attempt));
  body.node = message.node.value();
  body.data = message.data;
  out.push_back(pack_frame<fb::Message>(head(), body));
}

void MasterLink::Impl::send(const PendingSuppress& suppress, std::vector<FrameBytes>& out) {
  if (suppress.suppressed) {
    out.push_back(pack_frame<fb::Suppress>(head(), fb::SuppressT{}));
  } else {
    out.push_back(pack_frame<fb::Revive>(head(), fb::ReviveT{}));
  }
}

void MasterLink::Impl::send(const PendingRequest& request, std::vector<FrameBytes>& out) {
  fb::RequestT body;
  body.wants = want_objects(request.wants);
  out.push_back(pack_frame<fb::Request>(head(), body));
}

}  // namespace muster::client

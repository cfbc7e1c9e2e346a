// Output to a framework: Subscribed, Inventory, Accepted, Rescind, Update, NodeLost, Offers, Message.
#include <algorithm>

#include "master/core/impl.hpp"
#include "wire/schema/offer_flags.hpp"

namespace muster::master {
namespace {

constexpr std::size_t kInventoryNodesPerFrame = 1000;
constexpr std::size_t kUpdateBytes = std::size_t{1} << 20U;  // a frame with so much takes no more: reports are large

}  // namespace

void MasterCore::Impl::emit_framework(Link& link, Now now, MasterOutputs& out) {
  const FrameworkIndex index = link.framework;
  FrameworkOut& todo = framework_out[index.value()];
  if (todo.subscribed_due) {
    todo.subscribed_due = false;
    const auto version = builder.CreateString(config.version);
    send(link, builder,
         fb::CreateSubscribed(builder, frameworks[index].id.value(), settled,
                              static_cast<std::uint32_t>(config.lease.ms()),
                              static_cast<std::uint32_t>(config.heartbeat.ms()), version),
         now, out);
  }
  emit_inventory(link, todo, now, out);
  std::size_t answered = 0;
  for (; answered < todo.answers.size() && can_send(link); ++answered) {
    const AcceptAnswer& answer = todo.answers[answered];
    const bool plain = answer.code == fb::RefusedCode::None;
    const auto subject = plain ? flatbuffers::Offset<flatbuffers::String>{} : builder.CreateString(answer.subject);
    const auto text = plain ? flatbuffers::Offset<flatbuffers::String>{} : builder.CreateString(answer.text);
    flatbuffers::Offset<flatbuffers::Vector<const fb::OfferRef*>> gone;
    if (!answer.gone.empty()) {
      gone = builder.CreateVectorOfStructs(answer.gone);
    }
    send(link, builder, fb::CreateAccepted(builder, answer.accept, answer.code, subject, text, gone), now, out);
  }
  todo.answers.erase(todo.answers.begin(), todo.answers.begin() + static_cast<std::ptrdiff_t>(answered));
  if (!todo.rescinds.empty()) {
    // In order; runs of one reason share a frame.
    std::vector<fb::OfferRef> run;
    for (std::size_t i = 0; i < todo.rescinds.size(); ++i) {
      run.push_back(to_fb(todo.rescinds[i].first));
      if (i + 1 == todo.rescinds.size() || todo.rescinds[i + 1].second != todo.rescinds[i].second ||
          run.size() >= config.records_per_frame_max) {
        send(link, builder,
             fb::CreateRescind(builder, builder.CreateVectorOfStructs(run), todo.rescinds[i].second), now, out);
        run.clear();
      }
    }
    todo.rescinds.clear();
  }
  emit_updates(link, todo, now, out);
  if (!todo.lost.empty()) {
    std::vector<std::uint32_t> lost;
    for (const NodeIndex node : todo.lost) {
      lost.push_back(node.value());
    }
    todo.lost.clear();
    const auto vector = builder.CreateVector(lost);
    const auto text = builder.CreateString("not heard for " + std::to_string((config.fence + config.fence_margin).ms()) +
                                           " ms: its tasks are over");
    send(link, builder, fb::CreateNodeLost(builder, vector, text), now, out);
  }
  emit_offers(link, todo, now, out);
  emit_messages(link, todo.messages, now, out);
}

void MasterCore::Impl::emit_inventory(Link& link, FrameworkOut& todo, Now now, MasterOutputs& out) {
  if (!todo.inventory_full && todo.inventory_version == nodes.version()) {
    return;
  }
  std::vector<NodeIndex> changed;
  bool full = todo.inventory_full;
  if (!full && !nodes.changes_since(todo.inventory_version, changed)) {
    full = true;
  }
  if (full) {
    changed.clear();
    for (std::uint32_t at = 0; at < nodes.count(); ++at) {
      changed.push_back(NodeIndex{at});
    }
  }
  todo.inventory_full = false;
  todo.inventory_version = nodes.version();
  std::size_t at = 0;
  do {
    std::vector<flatbuffers::Offset<fb::InventoryNode>> rows;
    const bool first = at == 0;
    for (; at < changed.size() && rows.size() < kInventoryNodesPerFrame; ++at) {
      const Node& node = nodes[changed[at]];
      std::vector<flatbuffers::Offset<flatbuffers::String>> attributes;
      for (const std::string& attribute : node.attributes) {
        attributes.push_back(builder.CreateString(attribute));
      }
      const auto name = builder.CreateString(node.name);
      const auto capacity = to_fb(builder, ledger.books(changed[at]).advertised());
      const auto list = builder.CreateVector(attributes);
      const auto switch_name = builder.CreateString(node.switch_name);
      const auto endpoint = builder.CreateString(node.endpoint);
      const auto reason = builder.CreateString(node.drain_reason);
      rows.push_back(fb::CreateInventoryNode(builder, changed[at].value(), name, node.state(), capacity, list,
                                             switch_name, endpoint, node.topology_hash, reason, 0, node.boot));
    }
    const auto vector = builder.CreateVector(rows);
    send(link, builder, fb::CreateInventory(builder, nodes.version(), full && first, at < changed.size(), vector), now,
         out);
  } while (at < changed.size());
}

void MasterCore::Impl::emit_updates(Link& link, FrameworkOut& todo, Now now, MasterOutputs& out) {
  auto& entries = update_entries;
  auto& details = update_details;
  const auto send_batch = [&] {
    if (entries.empty()) {
      return;
    }
    const auto rows = builder.CreateVectorOfStructs(entries);
    const auto texts = builder.CreateVector(details);
    probe.updates_sent += entries.size();
    send(link, builder, fb::CreateUpdate(builder, rows, texts), now, out);
    entries.clear();
    details.clear();
  };
  for (const Word& word : todo.words) {
    entries.emplace_back(to_fb(word.attempt), 0U, 0, 0, word.node.value(), 0, std::uint16_t{0}, std::uint16_t{0},
                         static_cast<std::uint8_t>(word.state), static_cast<std::uint8_t>(word.reason),
                         std::uint8_t{0}, std::uint8_t{0});
    if (entries.size() >= config.records_per_frame_max) {
      send_batch();
    }
  }
  todo.words.clear();
  while (!todo.updates.empty() && can_send(link)) {
    const QueuedUpdate next = todo.updates.front();
    todo.updates.pop();
    if (!tasks.holds(next.task)) {
      continue;
    }
    Task& task = tasks[next.task];
    if (next.seq != 0) {
      if (!task.unacknowledged || task.update.seq != next.seq) {
        continue;  // a later one holds all of it
      }
      task.queued = false;
    } else if (task.unacknowledged && task.queued) {
      continue;  // the stored update stands further back
    }
    std::uint16_t detail = 0;
    if (const UpdateText* text = tasks.text(task)) {
      const auto cpus = builder.CreateString(text->cpus);
      const auto words = builder.CreateString(text->text);
      flatbuffers::Offset<flatbuffers::Vector<std::uint8_t>> report;
      if (!text->report.empty()) {
        report = builder.CreateVector(reinterpret_cast<const std::uint8_t*>(text->report.data()), text->report.size());
      }
      details.push_back(fb::CreateUpdateDetail(builder, cpus, words, text->cpu_time_us, text->memory_peak_bytes,
                                               text->failed_rank, report));
      detail = static_cast<std::uint16_t>(details.size());
    }
    entries.emplace_back(to_fb(task.attempt), task.unacknowledged ? task.update.seq : 0U, task.update.started_ns,
                         task.update.ended_ns, task.node.value(), task.update.exit_code, std::uint16_t{0}, detail,
                         static_cast<std::uint8_t>(task.state), static_cast<std::uint8_t>(task.reason),
                         task.end_signal, std::uint8_t{0});
    if (entries.size() >= config.records_per_frame_max || builder.GetSize() > kUpdateBytes) {
      send_batch();
    }
  }
  send_batch();
}

void MasterCore::Impl::emit_offers(Link& link, FrameworkOut& todo, Now now, MasterOutputs& out) {
  if (todo.offers.empty()) {
    return;
  }
  auto& entries = offer_entries;
  auto& shapes = offer_shapes;
  const auto send_batch = [&] {
    if (entries.empty()) {
      return;
    }
    const auto rows = builder.CreateVectorOfStructs(entries);
    const auto vectors = shapes.build(builder);
    send(link, builder, fb::CreateOffers(builder, rows, vectors), now, out);
    entries.clear();
    shapes.clear();
  };
  for (const OfferId id : todo.offers) {
    const Offer* offer = ledger.find(id);
    if (offer == nullptr) {
      continue;
    }
    const auto lease_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(0, (offer->lease_end - now.mono).ms()));
    entries.emplace_back(id.slot, id.generation, offer->node.value(), lease_ms, shapes.place_of(offer->resources),
                         offer->tag.standing ? kStandingOffer : std::uint16_t{0}, 0U);
    if (entries.size() >= config.records_per_frame_max || shapes.full()) {
      send_batch();
    }
  }
  todo.offers.clear();
  send_batch();
}

}  // namespace muster::master

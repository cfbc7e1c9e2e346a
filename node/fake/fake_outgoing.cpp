// FakeNodes: registration, and everything that is due leaves, from the tables, as far as the links have credit.
#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "node/fake/impl.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node {
namespace {

constexpr std::size_t kRecordsPerFrameMax = 4096;
constexpr const char* kAttribute = "fake=true";

// Strings or tables of a frame that many records share, by what is in them.
class Shared {
 public:
  // 0-based place of `text`, made by `make` if it is new; 0 when a frame could not name more.
  template <class F>
  std::uint16_t place(const std::string& text, F&& make) {
    const auto [found, fresh] = places_.try_emplace(text, static_cast<std::uint16_t>(places_.size()));
    if (fresh && places_.size() > kPlacesMax) {
      places_.erase(found);
      return 0;
    }
    if (fresh) {
      make();
    }
    return found->second;
  }

 private:
  static constexpr std::size_t kPlacesMax = 65'000;
  std::unordered_map<std::string, std::uint16_t> places_;  // looked up, never iterated
};

// What people are told beside the state.
std::string words_of(const FakeTask& task) {
  if (task.state != TaskState::start_failed) {
    return {};
  }
  const std::string node = "node f" + std::to_string(task.node + 1);
  return task.reason == TaskReason::no_room ? node + " has no room" : node + " can't read the launch";
}

}  // namespace

void FakeNodes::Impl::flush(Now now, FakeOutputs& out) {
  for (std::uint32_t i = 0; i < groups.size(); ++i) {
    Group& of = groups[i];
    if (std::exchange(of.register_due, false) && of.link.phase() == FakeLink::Phase::opening) {
      send_register(of, now);
    }
    if (of.link.is_up()) {
      send_prepared(of, now);
      send_updates(of, now);
      of.link.send_own(now);
    }
    for (FrameBytes& frame : of.link.take_frames()) {
      out.to_master.push_back({i, std::move(frame)});
    }
  }
  out.memory_changed = std::exchange(memory_changed, false);
}

void FakeNodes::Impl::send_register(Group& of, Now now) {
  flatbuffers::FlatBufferBuilder builder(std::size_t{of.end - of.begin} * 256 + 1024);
  const auto boot_id = builder.CreateString(config.boot_id);
  const auto endpoint = builder.CreateString(config.endpoint);
  const auto version = builder.CreateString(kVersionText.data(), kVersionText.size());
  const auto attribute = builder.CreateString(kAttribute);
  const auto attributes = builder.CreateVector(&attribute, 1);
  Resources whole;
  whole.cpus_milli = config.cpus * 1000;
  whole.memory_bytes = config.memory_bytes;
  const auto capacity = to_fb(builder, whole);
  std::vector<flatbuffers::Offset<fb::NodeRegistration>> nodes;
  for (FakePlace place = of.begin; place < of.end; ++place) {
    std::vector<fb::TaskReport> reports;
    std::vector<std::uint32_t> uids;
    std::vector<flatbuffers::Offset<flatbuffers::String>> names;
    Shared name_places;
    ShapeTable shapes;
    for (std::uint32_t slot = book.first_of(place); slot != kNoPlace; slot = book.in_slot(slot).next) {
      const FakeTask& task = book.in_slot(slot);
      Resources held;
      held.cpus_milli = task.charged ? task.cpus_milli : 0;
      held.memory_bytes = task.charged ? task.memory_bytes : 0;
      const std::string& text = task.name ? *task.name : config.boot_id;  // of no use without a spec
      const std::uint16_t name = name_places.place(text, [&] { names.push_back(builder.CreateSharedString(text)); });
      reports.emplace_back(to_fb(task.key.attempt), task.key.framework.value(), shapes.place_of(held), name,
                           static_cast<std::uint8_t>(task.state), static_cast<std::uint8_t>(task.gang ? 1 : 0),
                           std::uint16_t{0});
      uids.push_back(task.uid);
    }
    const auto drain = memory.drained.find(place + 1);
    const bool drained = drain != memory.drained.end();
    const auto name = builder.CreateString(name_of(place));
    const auto reason = builder.CreateSharedString(drained ? drain->second : std::string());
    const auto tasks = builder.CreateVectorOfStructs(reports);
    const auto uid_vector = builder.CreateVector(uids);
    const auto shape_vector = shapes.build(builder);
    const auto name_vector = builder.CreateVector(names);
    fb::NodeRegistrationBuilder node(builder);
    node.add_name(name);
    node.add_boot_id(boot_id);
    node.add_capacity(capacity);
    node.add_attributes(attributes);
    node.add_endpoint(endpoint);
    node.add_drained(drained);
    node.add_drain_reason(reason);
    node.add_tasks(tasks);
    node.add_shapes(shape_vector);
    node.add_names(name_vector);
    node.add_version(version);
    node.add_highest_epoch(of.link.epoch().value());
    node.add_boot(boot);
    node.add_uids(uid_vector);
    nodes.push_back(node.Finish());
  }
  const auto list = builder.CreateVector(nodes);
  of.link.send(builder, fb::CreateRegister(builder, list), now);
}

void FakeNodes::Impl::send_prepared(Group& of, Now now) {
  std::size_t done = 0;
  while (done < of.prepared_due.size() && of.link.has_credit()) {
    std::vector<fb::AttemptRef> attempts;
    std::vector<std::uint64_t> frameworks;
    for (; done < of.prepared_due.size() && attempts.size() < kRecordsPerFrameMax; ++done) {
      const FakeTask* task = book.at(of.prepared_due[done]);
      if (task != nullptr && task->state == TaskState::prepared) {
        attempts.emplace_back(to_fb(task->key.attempt), index[task->node], 0U);
        frameworks.push_back(task->key.framework.value());
      }
    }
    if (attempts.empty()) {
      continue;
    }
    flatbuffers::FlatBufferBuilder builder(attempts.size() * 40 + 256);
    const auto rows = builder.CreateVectorOfStructs(attempts);
    const auto owners = builder.CreateVector(frameworks);
    of.link.send(builder, fb::CreatePrepared(builder, rows, owners), now);
  }
  of.prepared_due.erase(of.prepared_due.begin(), of.prepared_due.begin() + static_cast<std::ptrdiff_t>(done));
}

void FakeNodes::Impl::send_updates(Group& of, Now now) {
  if (of.queued > 0 && !of.lanes_due.empty()) {
    if (of.gather_until == Instant::never()) {
      of.gather_until = now.mono + config.updates_gather;
    }
    if (now.mono < of.gather_until) {
      return;
    }
  }
  of.gather_until = Instant::never();
  std::size_t done = 0;  // lanes
  while (done < of.lanes_due.size() && of.link.has_credit()) {
    flatbuffers::FlatBufferBuilder builder(16'384);
    std::vector<fb::UpdateEntry> entries;
    std::vector<std::uint64_t> frameworks;
    std::vector<flatbuffers::Offset<fb::UpdateDetail>> details;
    Shared detail_places;
    while (done < of.lanes_due.size() && entries.size() < kRecordsPerFrameMax) {
      const std::uint32_t lane = of.lanes_due[done];
      if (!outbox.has_unsent(lane)) {
        ++done;
        continue;
      }
      const FakeOutbox::Update update = outbox.next_unsent(lane);
      const FakeTask* task = book.at(update.task);
      if (task == nullptr || task->seq != update.seq) {
        continue;  // a later one holds all of it
      }
      const std::uint64_t owner = outbox.framework_of(lane).value();
      auto place = std::find(frameworks.rbegin(), frameworks.rend(), owner);
      if (place == frameworks.rend()) {
        frameworks.push_back(owner);
        place = frameworks.rbegin();
      }
      std::uint16_t detail = 0;
      const std::string words = words_of(*task);
      if (!task->cpus.empty() || !words.empty()) {
        detail = static_cast<std::uint16_t>(1 + detail_places.place(task->cpus + "|" + words, [&] {
                   const auto cpus = builder.CreateString(task->cpus);
                   details.push_back(fb::CreateUpdateDetail(builder, cpus, builder.CreateString(words)));
                 }));
      }
      entries.emplace_back(to_fb(task->key.attempt), task->seq, task->started.ns(), task->ended.ns(), index[task->node],
                           task->exit_code, static_cast<std::uint16_t>(std::distance(place, frameworks.rend()) - 1), detail,
                           static_cast<std::uint8_t>(task->state), static_cast<std::uint8_t>(task->reason), task->signal,
                           std::uint8_t{0});
    }
    if (entries.empty()) {
      continue;
    }
    const auto rows = builder.CreateVectorOfStructs(entries);
    const auto texts = builder.CreateVector(details);
    const auto owners = builder.CreateVector(frameworks);
    of.link.send(builder, fb::CreateUpdate(builder, rows, texts, owners), now);
  }
  of.lanes_due.erase(of.lanes_due.begin(), of.lanes_due.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace muster::node

// NodeCore: Register says what runs here, Registered what the master calls us.
#include <map>

#include "node/core/impl.hpp"
#include "node/exec/crc32c.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node {
namespace {

// Collects distinct values and their places. Place 0 when a frame could not name more.
template <class T>
class Places {
 public:
  std::uint16_t of(const T& value) {
    if (const auto at = places_.find(value); at != places_.end()) {
      return at->second;
    }
    if (values_.size() >= 65'535) {
      return 0;
    }
    const auto place = static_cast<std::uint16_t>(values_.size());
    values_.push_back(value);
    places_.emplace(value, place);
    return place;
  }
  [[nodiscard]] const std::vector<T>& values() const { return values_; }

 private:
  std::vector<T> values_;
  std::map<T, std::uint16_t> places_;
};

// Two boots of a node share a number once in four thousand million.
std::uint32_t boot_number(std::string_view boot_id) {
  const std::uint32_t number = crc32c(boot_id);
  return number != 0 ? number : 1;
}

}  // namespace

FrameBytes NodeCore::Impl::build_register() {
  flatbuffers::FlatBufferBuilder builder(4096);
  ShapeTable shapes;
  Places<std::string> names;
  std::vector<fb::TaskReport> reports;
  std::vector<std::uint32_t> uids;
  reports.reserve(book.tasks().size());
  for (const auto& [key, task] : book.tasks()) {
    // What the books could not charge twice is not restated twice: the master would refuse the node whole.
    const Resources charged = task.charged ? task.facts.shape : Resources{};
    const std::uint16_t shape = shapes.full() ? std::uint16_t{0} : shapes.place_of(charged);
    reports.emplace_back(to_fb(key.attempt), key.framework.value(), shape, names.of(task.name),
                         static_cast<std::uint8_t>(task.state), static_cast<std::uint8_t>(task.facts.gang ? 1 : 0),
                         std::uint16_t{0});
    uids.push_back(task.facts.uid);
  }
  std::vector<fb::PuPlace> pus;
  for (const Pu& pu : config.topology.pus) {
    pus.emplace_back(pu.os_index, pu.core, pu.l3, pu.numa, pu.package);
  }
  const std::uint64_t hash = config.topology.hash();
  const auto topology = fb::CreateTopology(builder, hash, builder.CreateVectorOfStructs(pus));
  const auto name = builder.CreateString(config.name);
  const auto boot_id = builder.CreateString(boot);
  const auto capacity = to_fb(builder, config.capacity);
  const auto attributes = builder.CreateVectorOfStrings(config.attributes);
  const auto switch_name = builder.CreateString(config.switch_name);
  const auto endpoint = builder.CreateString(config.endpoint);
  const auto drain_reason = builder.CreateString(memory.drain_reason);
  const auto tasks = builder.CreateVectorOfStructs(reports);
  const auto uid_vector = builder.CreateVector(uids);
  const auto shape_vector = shapes.build(builder);
  const auto name_vector = builder.CreateVectorOfStrings(names.values());
  const auto version = builder.CreateString(kVersionText.data(), kVersionText.size());
  const auto node = fb::CreateNodeRegistration(builder, name, boot_id, capacity, attributes, switch_name, endpoint, hash,
                                               topology, memory.drained, drain_reason, tasks, shape_vector, name_vector,
                                               version, memory.highest_epoch.value(), boot_number(boot),
                                               uid_vector);
  const auto nodes = builder.CreateVector(&node, 1);
  return finish_frame(builder, next_head(), fb::CreateRegister(builder, nodes));
}

void NodeCore::Impl::take_registered(const fb::Registered& registered, Now now) {
  if (phase == Phase::up) {
    return;  // said once per life
  }
  if (registered.nodes() == nullptr || registered.nodes()->size() != 1) {
    refused_text = "the master's Registered does not name this one node";
    close_life(now, config.register_retry);
    return;
  }
  phase = Phase::up;
  stale_incarnations = 0;
  refused_text.clear();
  index = NodeIndex(registered.nodes()->Get(0)->node());
  if (registered.heartbeat_ms() != 0) {
    heartbeat = Duration::from_ms(registered.heartbeat_ms());
  }
  if (registered.fence_ms() != 0) {
    fence = Duration::from_ms(registered.fence_ms());
    // The next agent may count before it hears a master: it must not count longer than that master does.
    memory_changed = memory_changed || memory.fence != fence;
    memory.fence = fence;
  }
  if (registered.prepare_silence_ms() != 0) {
    prepare_silence = Duration::from_ms(registered.prepare_silence_ms());
  }
  if (defects.drop_outbox_on_register) {
    outbox.clear();
  }
  outbox.resend_all();
}

}  // namespace muster::node

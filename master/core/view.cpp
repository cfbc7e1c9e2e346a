// The picture for readers: a copy of the last one with the changed chunks replaced.
#include "master/core/impl.hpp"

namespace muster::master {
namespace {

// Below so many chunks to make anew, waking threads costs more than they save (bench/micro: view).
constexpr std::size_t kParallelChunks = 16;

// Replaces the chunks that changed; row(place, rows) appends the place's row, if it has one. It reads only, so chunks
// may be made on several threads; each goes to its place.
template <class Row, class F>
void refresh(ViewRows<Row>& rows, ChunkMarks& marks, std::uint32_t places, const ParallelFor& parallel, F&& row) {
  using Chunk = typename ViewRows<Row>::Chunk;
  constexpr std::size_t kPlaces = ViewRows<Row>::kChunkPlaces;
  rows.resize_chunks(marks.chunks());
  std::vector<std::size_t> changed;
  for (std::size_t chunk = 0; chunk < marks.chunks(); ++chunk) {
    if (marks.take(chunk)) {
      changed.push_back(chunk);
    }
  }
  std::vector<std::shared_ptr<const Chunk>> fresh(changed.size());
  const auto make = [&](std::size_t i) {
    auto chunk = std::make_shared<Chunk>();
    const std::size_t end = std::min<std::size_t>(places, (changed[i] + 1) * kPlaces);
    for (std::size_t place = changed[i] * kPlaces; place < end; ++place) {
      row(static_cast<std::uint32_t>(place), *chunk);
    }
    fresh[i] = std::move(chunk);
  };
  if (parallel && changed.size() >= kParallelChunks) {
    parallel(changed.size(), make);
  } else {
    for (std::size_t i = 0; i < changed.size(); ++i) {
      make(i);
    }
  }
  for (std::size_t i = 0; i < changed.size(); ++i) {
    rows.replace_chunk(changed[i], std::move(fresh[i]));
  }
}

}  // namespace

std::shared_ptr<const ClusterView> MasterCore::Impl::view(Now now) {
  auto next = last_view ? std::make_shared<ClusterView>(*last_view) : std::make_shared<ClusterView>();
  next->epoch = epoch;
  next->settled = settled;
  next->time = now;
  next->uptime = now.mono - start;
  next->version = config.version;
  ++next->serial;
  next->links = static_cast<std::uint32_t>(links.size());
  next->probe = probe;

  refresh(next->nodes, node_marks, nodes.count(), config.parallel_for, [&](std::uint32_t place, auto& rows) {
    const Node& node = nodes[NodeIndex{place}];
    const muster::master::NodeBooks& books = ledger.books(NodeIndex{place});
    NodeView& row = rows.emplace_back();
    row.index = NodeIndex{place};
    row.name = node.name;
    row.state = node.state();
    row.reachable = node.attached() && !node.silent;
    row.capacity = books.capacity();
    row.used = books.used;
    row.offered = books.offered;
    row.free = books.free;
    row.tasks = books.tasks;
    row.offers = books.offers;
    row.drain_reason = node.drain_reason;
    row.endpoint = node.endpoint;
    row.switch_name = node.switch_name;
    row.attributes = node.attributes;
    row.boot_id = node.boot_id;
    row.version = node.version;
    row.topology_hash = node.topology_hash;
  });
  refresh(next->frameworks, framework_marks, frameworks.count(), {}, [&](std::uint32_t place, auto& rows) {
    const FrameworkIndex index{place};
    const FrameworkEntry& framework = frameworks[index];
    if (framework.has_left()) {
      return;
    }
    FrameworkView& row = rows.emplace_back();
    row.id = framework.id;
    row.name = framework.name;
    row.role = framework.role;
    row.user = framework.user;
    row.connected = framework.connected() && !framework.silent;
    row.suppressed = framework.suppressed;
    row.used = framework.used;
    row.offered = framework.offered;
    row.tasks = framework.tasks;
    row.offers = ledger.of(index).count;
    row.wants = allocator.wants_left(index);
    row.weight = allocator.weight(index);
    row.dominant_share = allocator.dominant_share(index);
  });
  refresh(next->offers, offer_marks, ledger.places(), config.parallel_for, [&](std::uint32_t place, auto& rows) {
    if (!ledger.is_open(place)) {
      return;
    }
    const Offer& offer = ledger.at(place);
    OfferView& row = rows.emplace_back();
    row.id = ledger.id_at(place);
    row.node = offer.node;
    row.node_name = nodes[offer.node].name;
    row.framework = frameworks[offer.framework].id;
    row.framework_name = frameworks[offer.framework].name;
    row.resources = offer.resources;
    row.held = offer.state == OfferState::held;
    row.lease_end = offer.lease_end;
  });
  refresh(next->tasks, task_marks, tasks.places(), config.parallel_for, [&](std::uint32_t place, auto& rows) {
    if (!tasks.used(place)) {
      return;
    }
    const Task& task = tasks.at(place);
    TaskView& row = rows.emplace_back();
    row.attempt = task.attempt;
    row.framework = frameworks[task.framework].id;
    row.framework_name = frameworks[task.framework].name;
    row.node = task.node;
    row.node_name = nodes[task.node].name;
    row.name = tasks.kind(task).name;
    row.state = task.state;
    row.reason = task.reason;
    row.exit_code = task.update.exit_code;
    row.shape = tasks.shape(task);
    row.holds_resources = task.charged;
    row.started = WallTime::from_ns(task.update.started_ns);
    row.ended = WallTime::from_ns(task.update.ended_ns);
    row.cpus = tasks.text(task) != nullptr ? tasks.text(task)->cpus : std::string{};
  });

  next->capacity = capacity_total;
  next->used = next->offered = Amounts{};
  for (std::uint32_t at = 0; at < frameworks.count(); ++at) {
    next->used.add(frameworks[FrameworkIndex{at}].used);
    next->offered.add(frameworks[FrameworkIndex{at}].offered);
  }
  last_view = next;
  return next;
}

}  // namespace muster::master

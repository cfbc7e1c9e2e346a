#include "node/core/node_core.hpp"

#include <algorithm>

#include "node/core/impl.hpp"

namespace muster::node {
namespace {

// An age beyond this says no more than "long ago", or that the wall clock was set.
constexpr Duration kContactAgeMax = Duration::from_seconds(3600);

}  // namespace

NodeCore::Impl::Impl(const NodeConfig& given, const NodeMemory& remembered, Now now,
                     [[maybe_unused]] const NodeDefects& given_defects)
    : config(given),
#ifdef MUSTER_DEFECTS
      defects(given_defects),
#endif
      memory(remembered),
      last_heard(now.mono),
      last_sent(now.mono),
      heartbeat(given.heartbeat),
      fence(remembered.fence == Duration{} ? given.fence : remembered.fence),
      prepare_silence(given.prepare_silence),
      last_contact(now.mono),
      binding(given.topology, given.machine_cpus),
      book(given.capacity, given.topology),
      outbox(given.updates_in_flight_max) {
  // Larger than every earlier one, also when the disk has forgotten them.
  const auto wall_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(0, now.wall.ns() / 1'000'000));
  memory.last_incarnation = std::max(memory.last_incarnation, Incarnation(wall_ms));
  outbox.start_from(Incarnation(memory.last_incarnation.value() + 1));
  if (memory.last_contact != WallTime{}) {
    const auto age = Duration::from_ns(std::max<std::int64_t>(0, now.wall.ns() - memory.last_contact.ns()));
    last_contact = now.mono - std::min(age, kContactAgeMax);
  }
}

NodeCore::NodeCore(const NodeConfig& config, const NodeMemory& memory, Now now, const NodeDefects& defects)
    : impl_(std::make_unique<Impl>(config, memory, now, defects)) {}
NodeCore::~NodeCore() = default;

void NodeCore::on_outputs_loaded(const std::vector<std::string>& records) {
  for (const std::string& record : records) {
    if (const auto output = decode_output(record)) {
      static_cast<void>(impl_->outputs.put(*output));
    }
  }
}

void NodeCore::on_launcher_hello(const LauncherHello& hello, Now now) { impl_->take_hello(hello, now); }

void NodeCore::on_launcher_event(const LauncherEvent& event, Now now) {
  if (impl_->launcher_up) {
    std::visit([&](const auto& what) { impl_->take_event(what, now); }, event);
  }
}

void NodeCore::on_launcher_lost(Now /*now*/) {
  impl_->launcher_up = false;
  impl_->to_launcher.clear();
}

void NodeCore::on_master_link_up(Now now) {
  impl_->transport_up = true;
  if (impl_->launcher_up) {
    impl_->open_life(now);
  }
}

void NodeCore::on_master_frame(const fb::Frame& frame, Now now) { impl_->take_frame(frame, now); }

void NodeCore::on_bad_master_frame(const FrameError& error, Now now) {
  ++impl_->frames_dropped;
  impl_->refused_text = "a frame of the master does not verify: " + error.text;
  Refusal refusal;
  refusal.code = error.code;
  refusal.subject = "frame";
  refusal.text = error.text;
  impl_->refusals.push_back({FrameHead{impl_->memory.highest_epoch, impl_->memory.last_incarnation, 0, 0}, false, refusal});
  if (impl_->phase == Impl::Phase::up) {
    // Whatever it was is missing now: the next life restates it.
    impl_->close_life(now, impl_->config.register_retry);
  }
}

void NodeCore::on_master_link_down(Now now) {
  impl_->transport_up = false;
  impl_->close_life(now, Duration{});
}

void NodeCore::on_leaving(Now now) { impl_->leave(now); }

bool NodeCore::is_registered() const { return impl_->phase == Impl::Phase::up; }

void NodeCore::on_user_frame(LinkId link, const Peer& /*peer*/, const fb::Frame& frame, Now now) {
  impl_->take_user_frame(link, frame, now);
}

void NodeCore::on_log_read(const LogRead& read, const Result<std::string>& data, Now /*now*/) {
  if (!data) {
    const bool not_yet = data.error().code == Errc::not_found && !read.task_ended;
    if (!not_yet) {
      Refusal refusal;
      refusal.code = data.error().code == Errc::not_found ? fb::RefusedCode::UnknownJob : fb::RefusedCode::Conflict;
      refusal.request = read.request;
      refusal.subject = read.path;
      refusal.text = "node " + impl_->config.name + " can't read the output: " + data.error().text;
      impl_->refuse_user(read.link, refusal);
      return;
    }
  }
  const std::string_view bytes = data ? std::string_view(*data) : std::string_view{};
  flatbuffers::FlatBufferBuilder builder(bytes.size() + 256);
  const auto content = builder.CreateVector(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const auto path = builder.CreateString(read.path);
  const bool at_end = bytes.size() < read.max_bytes;
  impl_->to_users.push_back(
      {read.link, finish_frame(builder, FrameHead{},
                               fb::CreateLogChunk(builder, read.request, read.offset, content, at_end,
                                                  at_end && read.task_ended, path))});
}

void NodeCore::on_timer(Now now) {
  impl_->link_timer(now);
  for (const CpuKey& key : impl_->book.due(now.mono)) {
    if (Task* task = impl_->book.find(key); task != nullptr) {
      impl_->deadline_passed(*task, now);
    }
  }
  if (impl_->fence_may_come() && now.mono - impl_->last_contact >= impl_->fence) {
    impl_->fence_now(now);
  }
}

Instant NodeCore::next_timer() const {
  Instant next = std::min({impl_->link_next_timer(), impl_->book.next_deadline(), impl_->gather_until});
  if (impl_->fence_may_come()) {
    next = std::min(next, impl_->last_contact + impl_->fence);
  }
  return next;
}

void NodeCore::flush(Now now, NodeOutputs& out) { impl_->flush(now, out); }

Status NodeCore::audit() const {
  if (Status book = impl_->book.audit(); !book) {
    return book;
  }
  std::size_t unacknowledged = 0;
  for (const auto& [key, task] : impl_->book.tasks()) {
    const std::string name = "attempt " + to_string(key.attempt);
    const bool held = impl_->outbox.holds(key, task.seq);
    unacknowledged += held ? 1 : 0;
    if (!task.live() && !held && !impl_->defects.drop_outbox_on_register) {
      return fail(Errc::conflict, name + " has ended, and its end is neither acknowledged nor in the outbox");
    }
    if (task.live() && !task.charged && task.state != TaskState::queued && task.text.empty()) {
      return fail(Errc::conflict, name + " lives and is not charged");
    }
  }
  if (unacknowledged != impl_->outbox.size()) {
    return fail(Errc::conflict, "the outbox holds " + std::to_string(impl_->outbox.size()) + " updates, the tasks know " +
                                    std::to_string(unacknowledged));
  }
  return {};
}

std::string NodeCore::status_text() const {
  const Impl& core = *impl_;
  std::string text = core.config.name + ": ";
  switch (core.phase) {
    case Impl::Phase::closed: text += core.launcher_up ? "not registered" : "waits for its launcher"; break;
    case Impl::Phase::opening: text += "registering"; break;
    case Impl::Phase::up: text += "registered"; break;
  }
  text += ", epoch " + std::to_string(core.memory.highest_epoch.value()) + ", " + std::to_string(core.book.live()) +
          " tasks" + (core.book.queued() == 0 ? std::string() : " (" + std::to_string(core.book.queued()) + " in line)") +
          ", uses " + (core.book.used().is_zero() ? std::string("nothing") : to_string(core.book.used())) + ", " +
          std::to_string(core.outbox.size()) + " updates unacknowledged";
  if (core.memory.drained) {
    text += ", drained";
  }
  if (!core.refused_text.empty()) {
    text += "; last refusal: " + core.refused_text;
  }
  return text;
}

}  // namespace muster::node

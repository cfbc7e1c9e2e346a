// FakeNodes: what the master says. Registered, Launch, Prepare, Go, Release, NodeKill, Acknowledge, NodeDrain.
#include <algorithm>
#include <optional>

#include "node/fake/impl.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node {
namespace {

constexpr std::uint32_t kIndexEnd = 1U << 24U;  // no master has so many nodes

template <class V>
[[nodiscard]] std::uint32_t size_of(const V* v) {
  return v == nullptr ? 0 : v->size();
}

// By default they end a process.
[[nodiscard]] bool is_deadly(std::uint8_t signal) { return signal == 1 || signal == 2 || signal == 9 || signal == 15; }

}  // namespace

// A Launch or a Prepare, with the specs and shapes that were read already.
struct FakeNodes::Impl::LaunchFrame {
  struct ReadSpec {
    FrameBytes storage;
    const fb::TaskSpec* spec{};
    std::shared_ptr<const std::string> name;
  };
  const Launches* launches;
  const Specs* specs;
  const Shapes* shapes;
  const flatbuffers::Vector<std::uint64_t>* frameworks;
  const flatbuffers::Vector<const fb::AttemptId*>* predecessors;
  bool prepare;
  std::vector<std::optional<ReadSpec>> read_specs{size_of(specs)};
  std::vector<std::optional<Resources>> read_shapes{size_of(shapes)};

  // Null: absent, or it can't be read.
  const ReadSpec* spec(std::uint16_t place) {
    if (place >= read_specs.size()) {
      return nullptr;
    }
    auto& read = read_specs[place];
    if (!read) {
      read.emplace();
      if (const auto verified = verify_spec(*specs->Get(place), read->storage)) {
        read->spec = *verified;
        read->name = std::make_shared<const std::string>(text_of((*verified)->name()));
      }
    }
    return read->spec == nullptr ? nullptr : &*read;
  }
  // Only cpus and memory: a simulated node has nothing else.
  const Resources* shape(std::uint16_t place) {
    if (place >= read_shapes.size()) {
      return nullptr;
    }
    auto& read = read_shapes[place];
    if (!read) {
      read = from_fb(*shapes->Get(place)).value_or(Resources{});
    }
    return &*read;
  }
  [[nodiscard]] AttemptId predecessor(const fb::LaunchEntry& entry) const {
    return entry.after() != 0 && entry.after() <= size_of(predecessors) ? from_fb(*predecessors->Get(entry.after() - 1U))
                                                                        : AttemptId{};
  }
};

FakePlace FakeNodes::Impl::place_of(const Group& of, std::uint32_t node_index) const {
  const FakePlace place = node_index < place_of_index.size() ? place_of_index[node_index] : kNoPlace;
  return place != kNoPlace && place >= of.begin && place < of.end && index[place] == node_index ? place : kNoPlace;
}

void FakeNodes::Impl::take_registered(Group& of, const fb::Registered& registered) {
  const bool right = size_of(registered.nodes()) == of.end - of.begin &&
                     std::all_of(registered.nodes()->begin(), registered.nodes()->end(),
                                 [](const fb::RegisteredNode* node) { return node->node() < kIndexEnd; });
  if (!right) {
    of.link.refuse({fb::RefusedCode::BadRequest, 0, 0, "Registered", "Registered does not name the nodes of this link"});
    return;
  }
  if (of.link.epoch() > memory.highest_epoch) {
    memory.highest_epoch = of.link.epoch();
    memory_changed = true;
  }
  for (FakePlace place = of.begin; place < of.end; ++place) {
    const std::uint32_t node_index = registered.nodes()->Get(place - of.begin)->node();
    if (node_index >= place_of_index.size()) {
      place_of_index.resize(std::max<std::size_t>(node_index + 1, index.size()), kNoPlace);
    }
    index[place] = node_index;
    place_of_index[node_index] = place;
    outbox.resend(place, [&](std::uint32_t lane) { of.lanes_due.push_back(lane); });
  }
}

void FakeNodes::Impl::take_message(Group& of, const fb::Frame& frame, Now now) {
  using enum fb::Body;
  switch (frame.body_type()) {
    case Launch: {
      const auto& body = *frame.body_as_Launch();
      take_launches(of, {body.launches(), body.specs(), body.shapes(), body.frameworks(), body.predecessors(), false}, now);
      break;
    }
    case Prepare: {
      const auto& body = *frame.body_as_Prepare();
      take_launches(of, {body.launches(), body.specs(), body.shapes(), body.frameworks(), nullptr, true}, now);
      break;
    }
    case Go: {
      const auto* attempts = frame.body_as_Go()->attempts();
      for (std::uint32_t i = 0; i < size_of(attempts); ++i) {
        const fb::NodeAttempt& entry = *attempts->Get(i);
        FakeTask* task = book.find({FrameworkId(entry.framework()), from_fb(entry.attempt())});
        if (task != nullptr && task->state == TaskState::prepared) {
          run(*task, now);
        }
      }
      break;
    }
    case Release: take_release(*frame.body_as_Release(), now); break;
    case NodeKill: take_kill(*frame.body_as_NodeKill(), now); break;
    case Acknowledge: take_acknowledge(of, *frame.body_as_Acknowledge()); break;
    case NodeDrain: take_drain(of, *frame.body_as_NodeDrain()); break;
    case Message: break;  // of a framework to an executor, and nothing executes here
    default:
      of.link.refuse({fb::RefusedCode::UnknownMessage, 0, frame.sequence(), fb::EnumNameBody(frame.body_type()),
                      std::string(fb::EnumNameBody(frame.body_type())) + " is not a message for a node"});
  }
}

void FakeNodes::Impl::take_launches(Group& of, const LaunchFrame& given, Now now) {
  LaunchFrame frame = given;
  for (std::uint32_t i = 0; i < size_of(frame.launches); ++i) {
    const fb::LaunchEntry& entry = *frame.launches->Get(i);
    const AttemptId attempt = from_fb(entry.attempt());
    const FakePlace node = place_of(of, entry.node());
    if (node == kNoPlace) {
      of.link.refuse({fb::RefusedCode::UnknownNode, 0, 0, "attempt " + to_string(attempt),
                      "node index " + std::to_string(entry.node()) + " is none of this link"});
      continue;
    }
    if (entry.framework() >= size_of(frame.frameworks)) {
      of.link.refuse({fb::RefusedCode::BadLaunch, 0, 0, "attempt " + to_string(attempt),
                      "the launch names a framework that the frame does not list"});
      continue;
    }
    const FakeKey key{FrameworkId(frame.frameworks->Get(entry.framework())), attempt};
    if (book.was_forgotten(key)) {
      continue;  // it ran, and its end is on record
    }
    if (FakeTask* known = book.find(key); known != nullptr) {
      answer_known(*known);
      continue;
    }
    ++counts.launched;
    ++counts.live;
    FakeTask& task = book.add(key, node);
    const auto* spec = frame.spec(entry.spec());
    const Resources* shape = frame.shape(entry.shape());
    if (spec == nullptr || shape == nullptr) {
      finish(task, {TaskState::start_failed, TaskReason::spawn_failed}, now);
      continue;
    }
    task.name = spec->name;
    task.cpus_milli = shape->cpus_milli;
    task.memory_bytes = shape->memory_bytes;
    task.time_limit_ms = spec->spec->time_limit_ms();
    task.uid = spec->spec->uid();
    task.gang = frame.prepare;
    task.requeueable = spec->spec->requeueable();
    of.requeueable += task.requeueable ? 1 : 0;
    launch(task, frame.predecessor(entry), now);
  }
}

void FakeNodes::Impl::launch(FakeTask& task, const AttemptId& after, Now now) {
  if (leaving) {
    finish(task, {TaskState::not_started, TaskReason::drained}, now);
  } else if (after != AttemptId{}) {
    launch_after(task, after, now);
  } else {
    begin(task, {}, now);
  }
}

void FakeNodes::Impl::launch_after(FakeTask& task, const AttemptId& after, Now now) {
  const FrameworkId framework = task.key.framework;
  // One that was taken out of the line while this was on its way stood behind another.
  task.after = after;
  FakeTask* before = book.find({framework, after});
  while (before != nullptr && before->ended_in_line) {
    task.after = before->after;
    before = book.find({framework, task.after});
  }
  if (before == nullptr || before->node != task.node ||
      (before->live() && (before->gang || before->successor != AttemptId{}))) {
    finish(task, {TaskState::not_started, TaskReason::predecessor_ended}, now);
  } else if (!before->live()) {
    task.after = AttemptId{};
    begin(task, {}, now);  // its cpus may have gone to others meanwhile
  } else {
    task.state = TaskState::queued;
    ++group(task).queued;
    before->successor = task.key.attempt;
  }
}

// Its turn has come: on `cpus` if they are free.
void FakeNodes::Impl::begin(FakeTask& task, const std::string& cpus, Now now) {
  task.state = TaskState::launching;
  if (!book.charge(task, cpus)) {
    finish(task, {TaskState::start_failed, TaskReason::no_room}, now);
  } else if (task.gang) {
    task.state = TaskState::prepared;
    Group& of = group(task);
    of.prepared_due.push_back(book.row_of(task));
    set_deadline(task, now.mono + of.link.terms().prepare_silence);
  } else {
    run(task, now);
  }
}

void FakeNodes::Impl::run(FakeTask& task, Now now) {
  task.state = TaskState::running;
  task.started = now.wall;
  Duration runs = config.duration;
  if (task.time_limit_ms != 0) {
    constexpr std::uint64_t kLimitMsMax = 100ULL * 366 * 86'400'000;
    runs = std::min(runs, Duration::from_ms(static_cast<std::int64_t>(std::min(task.time_limit_ms, kLimitMsMax))));
  }
  set_deadline(task, now.mono + runs);
  news(task);
}

// A launch that came again is answered with the state that its attempt has.
void FakeNodes::Impl::answer_known(FakeTask& task) {
  if (task.state == TaskState::prepared) {
    group(task).prepared_due.push_back(book.row_of(task));
  } else if (task.state != TaskState::queued) {
    news(task);
  }
}

void FakeNodes::Impl::take_release(const fb::Release& release, Now now) {
  for (std::uint32_t i = 0; i < size_of(release.attempts()); ++i) {
    const fb::NodeAttempt& entry = *release.attempts()->Get(i);
    FakeTask* task = book.find({FrameworkId(entry.framework()), from_fb(entry.attempt())});
    if (task == nullptr) {
      continue;
    }
    if (task->gang) {
      end_for(*task, task->state == TaskState::prepared ? TaskReason::released : TaskReason::gang_failed, 15, now);
    } else if (task->state == TaskState::queued) {
      finish(*task, {TaskState::not_started, TaskReason::recalled}, now);
    }
  }
}

void FakeNodes::Impl::take_kill(const fb::NodeKill& kill, Now now) {
  const std::uint8_t signal = kill.signal() == 0 || kill.signal() > 64 ? 15 : kill.signal();
  const auto reason = kill.reason() == 0 || kill.reason() > static_cast<std::uint8_t>(TaskReason::recalled)
                          ? TaskReason::kill_requested
                          : static_cast<TaskReason>(kill.reason());
  for (std::uint32_t i = 0; i < size_of(kill.attempts()); ++i) {
    const fb::NodeAttempt& entry = *kill.attempts()->Get(i);
    FakeTask* task = book.find({FrameworkId(entry.framework()), from_fb(entry.attempt())});
    if (task == nullptr) {
      continue;  // its end is on record
    }
    if (!kill.only_signal()) {
      end_for(*task, reason, signal, now);
    } else if (task->state == TaskState::running && is_deadly(signal)) {
      finish(*task, {TaskState::finished, TaskReason::none, signal}, now);
    }
  }
}

void FakeNodes::Impl::take_acknowledge(const Group& of, const fb::Acknowledge& ack) {
  for (std::uint32_t i = 0; i < size_of(ack.entries()); ++i) {
    const fb::AckEntry& entry = *ack.entries()->Get(i);
    const FakePlace node = place_of(of, entry.node());
    if (node == kNoPlace || entry.framework() >= size_of(ack.frameworks())) {
      continue;
    }
    const std::uint32_t lane = outbox.lane(node, FrameworkId(ack.frameworks()->Get(entry.framework())));
    if (lane == kNoPlace) {
      continue;
    }
    outbox.acknowledge(lane, entry.seq(), [&](const FakeRow& row, std::uint64_t seq) {
      FakeTask* task = book.at(row);
      if (task != nullptr && task->seq == seq && !task->live()) {
        book.forget(*task);
      }
    });
  }
}

void FakeNodes::Impl::take_drain(const Group& of, const fb::NodeDrain& drain) {
  const FakePlace node = place_of(of, drain.node());
  if (node == kNoPlace) {
    return;
  }
  memory_changed = true;
  if (drain.drained()) {
    memory.drained[node + 1] = text_of(drain.reason());
  } else {
    memory.drained.erase(node + 1);
  }
}

}  // namespace muster::node

// Updates of tasks: from nodes into rows, to frameworks in order, acknowledgements back.
#include "master/core/impl.hpp"

namespace muster::master {
namespace {

std::uint64_t channel_hash(NodeIndex node, FrameworkIndex framework) {
  return mix64((std::uint64_t{node.value()} << 32U) | framework.value());
}

bool is_update_state(TaskState state) {
  return state == TaskState::prepared || state == TaskState::running ||
         (is_terminal(state) && state <= TaskState::lost);
}

}  // namespace

void MasterCore::Impl::on_update(Link& link, const fb::Update& message, Now now) {
  if (message.entries() == nullptr) {
    return;
  }
  const auto* owners = message.frameworks();
  const auto* details = message.details();
  // Looked up when it changes: the updates of a node mostly follow each other.
  FrameworkIndex framework = kNoFramework;
  std::uint32_t channel = kNone;
  const fb::UpdateEntry* before = nullptr;
  for (const fb::UpdateEntry* entry : *message.entries()) {
    if (before == nullptr || before->node() != entry->node() || before->framework() != entry->framework()) {
      framework = owners != nullptr && entry->framework() < owners->size()
                      ? frameworks.find(FrameworkId{owners->Get(entry->framework())})
                      : kNoFramework;
      channel = framework != kNoFramework && speaks_for(link, NodeIndex{entry->node()})
                    ? channel_of(NodeIndex{entry->node()}, framework)
                    : kNone;
      before = entry;
    }
    if (channel == kNone || entry->seq() == 0) {
      ++probe.updates_foreign;
      continue;
    }
    const fb::UpdateDetail* detail = details != nullptr && entry->detail() != 0 && entry->detail() <= details->size()
                                         ? details->Get(entry->detail() - 1U)
                                         : nullptr;
    taking_updates = true;
    take_update(channel, *entry, detail, now);
  }
  taking_updates = false;
  release_run();
}

void MasterCore::Impl::take_update(std::uint32_t place, const fb::UpdateEntry& entry, const fb::UpdateDetail* detail,
                                   Now now) {
  const NodeIndex node = channels[place].node;
  const FrameworkIndex framework = channels[place].framework;
  const AttemptId attempt = from_fb(entry.attempt());
  const auto state = static_cast<TaskState>(entry.state());
  TaskIndex task = tasks.find(framework, attempt);
  if (entry.seq() <= channels[place].received) {
    ++probe.updates_repeated;
    if (entry.seq() <= channels[place].settled) {
      acknowledge_due(place);
    }
    if (defect(&MasterDefects::double_release) && !task.is_none() && is_terminal(state) &&
        is_terminal(tasks[task].state)) {
      ledger.corrupt_free(node, tasks.shape(tasks[task]));
    }
    return;
  }
  channels[place].received = entry.seq();
  bool known = !task.is_none() && tasks[task].node == node && is_update_state(state);
  if (task.is_none() && is_update_state(state) && reported_ended.erase({node, framework, attempt}) != 0 &&
      !frameworks[framework].gone) {
    task = tasks.add(framework, node, attempt);
    tasks[task].launch_sent = true;
    known = true;
  }
  if (!known) {
    ++probe.updates_foreign;
  } else if (tasks[task].declared) {
    // Its end has been told already; what the node says frees what it still held, and goes no further.
    if (is_terminal(state) && tasks[task].charged) {
      unbook(task);
    }
    if (is_terminal(state)) {
      tasks[task].kill_wanted = tasks[task].kill_due = false;
    }
    known = false;
  } else if (is_terminal(tasks[task].state)) {
    ++probe.updates_repeated;  // one end per attempt
    known = false;
  } else if (tasks[task].state == TaskState::queued && !is_terminal(state)) {
    ++probe.updates_foreign;  // its turn has not come: what it follows must end first
    known = false;
  }
  if (!known) {
    channels[place].pending.push({entry.seq(), TaskIndex{}});
    advance(place);
    return;
  }
  ++probe.updates;
  channels[place].pending.push({entry.seq(), task});
  apply_update(task, entry, detail, now);
  if (frameworks[framework].gone) {
    advance(place);
    if (tasks.holds(task) && is_terminal(tasks[task].state)) {
      remove_task(task);
    }
  }
}

void MasterCore::Impl::apply_update(TaskIndex index, const fb::UpdateEntry& entry, const fb::UpdateDetail* detail,
                                    Now now) {
  Task& task = tasks[index];
  const bool was_launching = task.state == TaskState::launching;
  task.state = static_cast<TaskState>(entry.state());
  task.reason = static_cast<TaskReason>(entry.reason());
  task.update.seq = entry.seq();
  task.update.started_ns = entry.started_ns();
  task.update.ended_ns = entry.ended_ns();
  task.update.exit_code = entry.exit_code();
  task.end_signal = entry.signal();
  if (detail != nullptr) {
    tasks.set_text(task, {std::string(text_of(detail->cpus())), std::string(text_of(detail->text())),
                          detail->cpu_time_us(), detail->memory_peak_bytes(), detail->failed_rank(),
                          detail->report() == nullptr ? std::string() : std::string(detail->report()->begin(), detail->report()->end())});
  } else {
    tasks.drop_text(task);
  }
  task.unacknowledged = !frameworks[task.framework].gone;
  confirm(task);
  task_marks.mark(index.slot);
  queue_update(index, entry.seq());
  if (is_terminal(task.state)) {
    end_task(index, now);
  } else if (task.state == TaskState::running) {
    gang_progress(index, now);
  } else if (was_launching) {
    gang_prepared(index, now);
  }
}

// It is over: its resources are free.
void MasterCore::Impl::end_task(TaskIndex index, Now now) {
  Task& task = tasks[index];
  ++probe.tasks_ended;
  if (task.charged && !hand_over(index)) {
    unbook(index);
  }
  leave_line(index);
  task.launch_due = task.go_due = task.release_due = task.kill_due = task.signal_due = false;
  task.kill_wanted = task.release_wanted = false;
  gang_progress(index, now);
}

void MasterCore::Impl::declare(TaskIndex index, TaskState state, TaskReason reason, Now now) {
  Task& task = tasks[index];
  task.state = state;
  task.reason = reason;
  task.declared = true;
  task.unacknowledged = false;
  task.update.ended_ns = now.wall.ns();
  confirm(task);
  task_marks.mark(index.slot);
  if (state == TaskState::lost) {
    ++probe.tasks_lost;
  }
  queue_update(index, 0);
  end_task(index, now);
  advance(channel_of(task.node, task.framework));
}

void MasterCore::Impl::confirm(Task& task) {
  task.confirmed = true;
  // A node may speak of what it was not sent yet: then it needs no launch, and there is nothing left to send.
  task.launch_sent = true;
  task.launch_due = false;
  if (task.spec != kNoSpec) {
    tasks.drop_spec(task.spec);
    task.spec = kNoSpec;
  }
}

// Its shape has been charged to the node: now to its framework.
void MasterCore::Impl::book(TaskIndex index) {
  Task& task = tasks[index];
  task.charged = true;
  task_marks.mark(index.slot);
  book_framework(task.framework, task.node, tasks.shape(task), 1);
}

void MasterCore::Impl::book_framework(FrameworkIndex index, NodeIndex node, const Resources& taken,
                                      std::uint32_t count) {
  FrameworkEntry& framework = frameworks[index];
  framework.used.add(taken);
  framework.tasks += count;
  allocator.charge(index, taken);
  allocator.node_taken(node);
  node_marks.mark(node.value());
  framework_marks.mark(index.value());
}

void MasterCore::Impl::charge_run(Run& run) {
  if (run.count == 0) {
    return;
  }
  const Resources& one = tasks.kind(run.kind).shape;
  const Resources several = run.count == 1 ? Resources{} : one.times(run.count);
  const Resources& taken = run.count == 1 ? one : several;
  ledger.charge(run.node, taken, run.count);
  book_framework(run.framework, run.node, taken, run.count);
  run.count = 0;
}

// While a frame of updates is taken, what ends is gathered: nobody looks at the books meanwhile.
void MasterCore::Impl::unbook(TaskIndex index) {
  Task& task = tasks[index];
  task.charged = false;
  task_marks.mark(index.slot);
  if (!ended_run.takes(task)) {
    release_run();
    ended_run = run_of(task);
  }
  ++ended_run.count;
  if (!taking_updates) {
    release_run();
  }
}

void MasterCore::Impl::release_run() {
  if (ended_run.count == 0) {
    return;
  }
  const auto [index, node, kind, count, alone] = std::exchange(ended_run, Run{});
  const Resources& one = tasks.kind(kind).shape;
  const Resources several = count == 1 ? Resources{} : one.times(count);
  const Resources& given = count == 1 ? one : several;
  ledger.release(node, given, count);
  FrameworkEntry& framework = frameworks[index];
  framework.used.remove(given);
  framework.tasks -= count;
  allocator.discharge(index, given);
  allocator.node_freed(node);
  node_marks.mark(node.value());
  framework_marks.mark(index.value());
}

void MasterCore::Impl::remove_task(TaskIndex index) {
  release_run();  // its kind may go with it
  leave_line(index);
  task_marks.mark(index.slot);
  tasks.remove(index);
}

void MasterCore::Impl::due(TaskIndex index) {
  Task& task = tasks[index];
  if (!task.listed) {
    task.listed = true;
    node_out[task.node.value()].tasks.push_back(index);
  }
  mark_dirty(task.node);
}

void MasterCore::Impl::want_kill(TaskIndex index, TaskReason reason, std::uint8_t signal, std::uint32_t grace_ms) {
  Task& task = tasks[index];
  task.kill_wanted = task.kill_due = true;
  task.kill_reason = static_cast<std::uint8_t>(reason);
  task.kill_signal = signal;
  task.kill_grace_ms = grace_ms;
  due(index);
}

void MasterCore::Impl::queue_update(TaskIndex index, std::uint64_t seq) {
  Task& task = tasks[index];
  if (!frameworks[task.framework].connected()) {
    return;  // its Subscribe will ask
  }
  task.queued = task.queued || seq != 0;
  auto& waiting = framework_out[task.framework.value()].updates;
  if (waiting.empty()) {
    mark_dirty(task.framework);  // otherwise its link is dirty, or will be once it has credit
  }
  waiting.push({index, seq});
}

void MasterCore::Impl::say(FrameworkIndex framework, const Word& word) {
  if (frameworks[framework].connected()) {
    framework_out[framework.value()].words.push_back(word);
    mark_dirty(framework);
  }
}

std::uint32_t MasterCore::Impl::channel_of(NodeIndex node, FrameworkIndex framework) {
  NodeOut& out = node_out[node.value()];
  if (out.recent_channel != kNone && channels[out.recent_channel].framework == framework) {
    return out.recent_channel;
  }
  const std::uint64_t hash = channel_hash(node, framework);
  const std::uint32_t found = channel_index.find(hash, [&](std::uint32_t at) {
    return channels[at].node == node && channels[at].framework == framework;
  });
  if (found != kNone) {
    return out.recent_channel = found;
  }
  const auto place = static_cast<std::uint32_t>(channels.size());
  Channel& channel = channels.emplace_back();
  channel.node = node;
  channel.framework = framework;
  channel_index.insert(hash, place);
  out.channels.push_back(place);
  return out.recent_channel = place;
}

// Moves past everything that nobody has to acknowledge any more.
void MasterCore::Impl::advance(std::uint32_t place) {
  const std::uint64_t before = channels[place].settled;
  while (!channels[place].pending.empty()) {
    const PendingUpdate next = channels[place].pending.front();
    if (tasks.holds(next.task)) {
      Task& task = tasks[next.task];
      if (task.unacknowledged && task.update.seq == next.seq) {
        if (next.seq > channels[place].acknowledged) {
          break;
        }
        task.unacknowledged = false;
        if (is_terminal(task.state)) {
          remove_task(next.task);
        }
      }
    }
    channels[place].settled = next.seq;
    channels[place].pending.pop();
  }
  if (channels[place].settled != before) {
    acknowledge_due(place);
  }
}

void MasterCore::Impl::acknowledge_due(std::uint32_t place) {
  Channel& channel = channels[place];
  if (!channel.ack_due && channel.settled != 0) {
    channel.ack_due = true;
    node_out[channel.node.value()].acks.push_back(place);
    mark_dirty(channel.node);
  }
}

void MasterCore::Impl::on_acknowledge(Link& link, const fb::Acknowledge& message) {
  if (message.entries() == nullptr) {
    return;
  }
  for (const fb::AckEntry* entry : *message.entries()) {
    const NodeIndex node{entry->node()};
    if (!nodes.has(node)) {
      continue;
    }
    const std::uint32_t place = channel_of(node, link.framework);
    const std::uint64_t seq = std::min(entry->seq(), channels[place].received);
    if (seq > channels[place].acknowledged) {
      channels[place].acknowledged = seq;
      advance(place);
    }
  }
}

}  // namespace muster::master

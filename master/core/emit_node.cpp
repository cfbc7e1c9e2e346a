// Output to links of nodes: Registered, drains, launches, Go, Release, kills, acknowledgements, messages.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::emit_nodes(Link& link, Now now, MasterOutputs& out) {
  if (link.registered_due) {
    std::vector<fb::RegisteredNode> rows;
    for (const NodeIndex node : link.registered) {
      rows.emplace_back(node.value(), 0U);
    }
    const auto ms = [](Duration d) { return static_cast<std::uint32_t>(d.ms()); };
    const auto vector = builder.CreateVectorOfStructs(rows);
    send(link, builder,
         fb::CreateRegistered(builder, vector, ms(config.heartbeat), ms(config.fence), ms(config.gang_silence * 2)),
         now, out);
    link.registered_due = false;
    link.registered.clear();
  }

  auto& [mark, launches, prepares, gos, releases, kills, acks, ack_frameworks] = node_frames;
  std::size_t orders = 0;  // in gos, releases and kills

  const auto send_launches = [&] {
    if (!launches.empty()) {
      send(link, launches.builder(), launches.finish<fb::Launch>(), now, out);
      launches.restart(++mark);
    }
    if (!prepares.empty()) {
      send(link, prepares.builder(), prepares.finish<fb::Prepare>(), now, out);
      prepares.restart(++mark);
    }
  };
  // What is ordered about an attempt follows its launch.
  const auto send_orders = [&] {
    send_launches();
    if (!gos.empty()) {
      send(link, builder, fb::CreateGo(builder, builder.CreateVectorOfStructs(gos)), now, out);
      gos.clear();
    }
    if (!releases.empty()) {
      send(link, builder, fb::CreateRelease(builder, builder.CreateVectorOfStructs(releases)), now, out);
      releases.clear();
    }
    for (const KillGroup& group : kills) {
      const auto attempts = builder.CreateVectorOfStructs(group.attempts);
      send(link, builder,
           fb::CreateNodeKill(builder, attempts, group.grace_ms, group.signal, group.only_signal, group.reason), now,
           out);
    }
    kills.clear();
    orders = 0;
  };
  const auto send_acks = [&] {
    if (!acks.empty()) {
      const auto entries = builder.CreateVectorOfStructs(acks);
      const auto owners = builder.CreateVector(ack_frameworks);
      send(link, builder, fb::CreateAcknowledge(builder, entries, owners), now, out);
      acks.clear();
      ack_frameworks.clear();
    }
  };
  const auto add_kill = [&](const Task& task, const fb::NodeAttempt& attempt, bool only_signal) {
    const std::uint32_t grace_ms = only_signal ? 0 : task.kill_grace_ms;
    const std::uint8_t signal = only_signal ? task.signal_number : task.kill_signal;
    const std::uint8_t reason = only_signal ? std::uint8_t{0} : task.kill_reason;
    auto group = std::find_if(kills.begin(), kills.end(), [&](const KillGroup& g) {
      return g.grace_ms == grace_ms && g.signal == signal && g.reason == reason && g.only_signal == only_signal;
    });
    if (group == kills.end()) {
      group = kills.insert(kills.end(), {grace_ms, signal, reason, only_signal, {}});
    }
    group->attempts.push_back(attempt);
    ++orders;
  };

  std::size_t done = 0;
  for (; done < link.dirty_nodes.size() && can_send(link); ++done) {
    const NodeIndex node = link.dirty_nodes[done];
    NodeOut& todo = node_out[node.value()];
    todo.listed = false;
    if (todo.drain_due) {
      todo.drain_due = false;
      const auto reason = builder.CreateString(nodes[node].drain_reason);
      send(link, builder, fb::CreateNodeDrain(builder, node.value(), nodes[node].drained, reason), now, out);
    }
    for (const TaskIndex index : todo.tasks) {
      if (!tasks.holds(index)) {
        continue;
      }
      Task& task = tasks[index];
      task.listed = false;
      const FrameworkId framework = frameworks[task.framework].id;
      const fb::NodeAttempt attempt(to_fb(task.attempt), framework.value(), node.value(), 0U);
      if (task.launch_due) {
        task.launch_due = false;
        task.launch_sent = true;
        ++probe.launches_sent;
        LaunchBatch& batch = task.two_step ? prepares : launches;
        batch.add(task, tasks, framework);
        if (batch.full(config.records_per_frame_max)) {
          send_launches();
        }
      }
      if (task.go_due) {
        task.go_due = false;
        task.go_sent = true;
        gos.push_back(attempt);
        ++orders;
      }
      if (task.release_due) {
        task.release_due = false;
        releases.push_back(attempt);
        ++orders;
      }
      if (task.signal_due) {
        task.signal_due = false;
        add_kill(task, attempt, true);
      }
      if (task.kill_due) {
        task.kill_due = false;
        add_kill(task, attempt, false);
      }
      if (orders >= config.records_per_frame_max) {
        send_orders();
      }
    }
    todo.tasks.clear();
    for (const std::uint32_t place : todo.acks) {
      Channel& channel = channels[place];
      channel.ack_due = false;
      const std::uint64_t owner = frameworks[channel.framework].id.value();
      auto at = std::find(ack_frameworks.begin(), ack_frameworks.end(), owner);
      if (at == ack_frameworks.end()) {
        at = ack_frameworks.insert(at, owner);
      }
      acks.emplace_back(channel.settled, node.value(), static_cast<std::uint16_t>(at - ack_frameworks.begin()),
                        std::uint16_t{0});
      if (acks.size() >= config.records_per_frame_max) {
        send_acks();
      }
    }
    todo.acks.clear();
    if (!todo.messages.empty()) {
      send_orders();
      emit_messages(link, todo.messages, now, out);
    }
  }
  send_orders();
  send_acks();
  link.dirty_nodes.erase(link.dirty_nodes.begin(), link.dirty_nodes.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace muster::master

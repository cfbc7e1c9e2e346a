// What goes wrong, when, and for how long.
#include <algorithm>

#include "tests/sim/cluster.hpp"

namespace muster::sim {
namespace {

Duration ms(std::int64_t n) { return Duration::from_ms(n); }
Duration seconds(std::int64_t n) { return Duration::from_seconds(n); }

}  // namespace

void Cluster::every(std::uint32_t per_minute, Duration span, std::function<void()> fault) {
  if (per_minute == 0) {
    return;
  }
  // Some runs have much of a fault, some none.
  static constexpr std::uint64_t kScales[] = {0, 30, 100, 100, 200};
  const std::uint64_t rate = per_minute * kScales[world_.prng.below(5)];
  if (rate == 0) {
    return;
  }
  const auto mean = seconds(60) * 100 / static_cast<std::int64_t>(rate);
  for (Duration at = world_.prng.between(Duration{}, mean * 2); at < span; at = at + world_.prng.between(ms(1), mean * 2)) {
    world_.after(at, [this, fault] {
      if (faults_on_) {
        fault();
      }
    });
  }
}

void Cluster::plan_faults(Duration span) {
  Prng& prng = world_.prng;
  const auto any_node = [this] { return static_cast<std::uint32_t>(world_.prng.below(nodes_.size())); };
  every(profile_.partitions, span, [this] { partition(); });
  every(profile_.resets, span, [this] {
    disconnect(client(static_cast<std::uint32_t>(world_.prng.below(nodes_.size() + 2))), world_.prng.percent(50));
  });
  every(profile_.master_crashes, span, [this] { crash_master(); });
  every(profile_.failovers, span, [this] { fail_over(); });
  every(profile_.gang_crashes, span, [this] { crash_client(*gang_, world_.prng.skewed(ms(50), seconds(20))); });
  every(profile_.rival_crashes, span, [this] { crash_client(*rival_, world_.prng.skewed(ms(50), seconds(20))); });
  every(profile_.agent_crashes, span, [this, any_node] { crash_client(*nodes_[any_node()], world_.prng.skewed(ms(50), seconds(4))); });
  every(profile_.launcher_crashes, span, [this, any_node] { crash_launcher(any_node()); });
  every(profile_.node_power_losses, span, [this, any_node] { lose_node_power(any_node()); });
  every(profile_.gang_power_losses, span, [this] { lose_gang_power(); });
  every(profile_.drains, span, [this, any_node] {
    const std::uint32_t node = any_node();
    operator_drain(node, false);
    drained_.insert(node);
    world_.after(world_.prng.between(ms(100), seconds(20)), [this, node] { operator_drain(node, true); });
  });
  if (profile_.agent_crashes != 0 && prng.percent(15)) {
    world_.after(prng.between(Duration{}, span), [this] {
      if (faults_on_) {
        crash_everything();
      }
    });
  }
}

// ---- masters

void Cluster::start_master(Duration delay) {
  world_.after(delay, [this] {
    if (active() != nullptr && active()->up() && !active()->superseded) {
      return;
    }
    // The election's record is durable before the first frame.
    epoch_ = Epoch(epoch_.value() + 1);
    for (auto& master : masters_) {
      if (!master->up()) {
        retired_masters_.push_back(std::move(master));  // timers still name it
      }
    }
    std::erase(masters_, nullptr);
    // One that heeds no epochs shows whether its clients do, once it is superseded.
    const bool old_version = profile_.failovers != 0 && world_.prng.percent(40);
    master::MasterDefects defects = defects_.master;
    defects.skip_epoch_check = defects.skip_epoch_check || old_version;
    // One that remembers less than it might repeats launches that reached their node.
    defects.repeat_known_launches = profile_.resets != 0 && world_.prng.percent(40);
    masters_.push_back(std::make_unique<SimMaster>(*this, epoch_.value(), epoch_, defects));
    masters_.back()->deliberately_old = old_version;
    masters_.back()->start();
    for (std::uint32_t id = 0; id < nodes_.size() + 2; ++id) {
      Client& each = client(id);
      if (each.up() && !(each.connection && each.connection->open)) {
        connect_soon(each, world_.prng.skewed(ms(1), ms(1000)));
      }
    }
  });
}

void Cluster::crash_master() {
  if (SimMaster* master = active(); master != nullptr && master->up()) {
    master->crash();
    on_master_crashed(*master);
  }
}

void Cluster::on_master_crashed(SimMaster& master) {
  for (std::uint32_t id = 0; id < nodes_.size() + 2; ++id) {
    Client& each = client(id);
    if (each.connection && each.connection->open && each.connection->master == master.number()) {
      disconnect(each, world_.prng.percent(70));
    }
  }
  if (!master.superseded) {
    start_master(faults_on_ ? world_.prng.skewed(ms(50), seconds(15)) : ms(100));
  }
}

void Cluster::fail_over() {
  SimMaster* old = active();
  if (old == nullptr || !old->up() || masters_.size() > 1) {
    return;
  }
  // The old master has lost its term and does not know yet; it ends well before the fence.
  old->superseded = true;
  world_.note("fail over from", old->number());
  start_master(Duration{});
  old_master_percent_ = static_cast<std::uint32_t>(world_.prng.between(10, 50));
  for (std::uint32_t id = 0; id < nodes_.size() + 2; ++id) {
    for (int move = 0; move < 3; ++move) {
      world_.after(world_.prng.between(Duration{}, seconds(20)), [this, id] {
        if (masters_.size() > 1) {
          disconnect(client(id), world_.prng.percent(70));
        }
      });
    }
  }
  world_.after(world_.prng.between(seconds(1), seconds(25)), [this] { end_old_master(); });
}

void Cluster::end_old_master() {
  for (const auto& master : masters_) {
    if (master->superseded && master->up()) {
      master->crash();
      on_master_crashed(*master);
    }
  }
}

// ---- clients and machines

void Cluster::restart_soon(Client& client, Duration delay) {
  world_.after(delay, [this, &client] {
    if (client.up() || (client.id() < nodes_.size() && !machines_[client.id()]->powered())) {
      return;
    }
    client.waiting.clear();
    client.start();
    if (client.id() < nodes_.size()) {
      SimNode& node = *nodes_[client.id()];
      world_.after(world_.prng.between(ms(1), ms(100)), [&node] { node.connect_launcher(); });
    }
    connect_soon(client, world_.prng.between(Duration::from_us(100), ms(50)));
  });
}

void Cluster::crash_client(Client& client, Duration down) {
  if (!client.up()) {
    return;
  }
  client.crash();
  disconnect(client, false);
  restart_soon(client, down);
}

void Cluster::on_client_crashed(Client& client) {
  disconnect(client, false);
  restart_soon(client, world_.prng.skewed(ms(50), seconds(4)));
}

void Cluster::crash_launcher(std::uint32_t node) {
  Machine& machine = *machines_[node];
  if (!machine.launcher_up()) {
    return;
  }
  machine.crash_launcher();
  ++crashes_;
  world_.after(world_.prng.skewed(ms(50), seconds(4)), [this, node] {
    machines_[node]->start_launcher();
    world_.after(world_.prng.between(ms(1), ms(100)), [this, node] { nodes_[node]->connect_launcher(); });
  });
}

void Cluster::lose_node_power(std::uint32_t node) {
  Machine& machine = *machines_[node];
  if (!machine.powered()) {
    return;
  }
  if (nodes_[node]->up()) {
    nodes_[node]->crash();
    disconnect(*nodes_[node], false);
  }
  machine.power_off();
  ++crashes_;
  const Duration down = world_.prng.percent(15) ? world_.prng.between(seconds(60), seconds(100)) : world_.prng.skewed(seconds(1), seconds(40));
  world_.after(down, [this, node] {
    machines_[node]->power_on();
    restart_soon(*nodes_[node], world_.prng.between(ms(10), seconds(2)));
  });
}

void Cluster::lose_gang_power() {
  if (gang_->up()) {
    gang_->lose_power();
    disconnect(*gang_, false);
    restart_soon(*gang_, world_.prng.skewed(seconds(1), seconds(30)));
  }
}

void Cluster::crash_everything() {
  crash_master();
  crash_client(*gang_, world_.prng.skewed(ms(50), seconds(5)));
  crash_client(*rival_, world_.prng.skewed(ms(50), seconds(5)));
  const bool launchers = world_.prng.percent(50);
  for (std::uint32_t node = 0; node < nodes_.size(); ++node) {
    crash_client(*nodes_[node], world_.prng.skewed(ms(50), seconds(4)));
    if (launchers) {
      crash_launcher(node);
    }
  }
}

// ---- partitions

void Cluster::partition() {
  Prng& prng = world_.prng;
  Partition cut;
  const std::uint64_t clients = nodes_.size() + 2;
  if (prng.percent(20)) {
    for (std::uint32_t id = 0; id < clients; ++id) {
      if (prng.percent(50)) {
        cut.clients.insert(id);
      }
    }
  } else {
    cut.clients.insert(static_cast<std::uint32_t>(prng.below(clients)));
  }
  const std::uint64_t ways = prng.below(4);
  cut.up = ways != 0;
  cut.down = ways != 1;
  cut.stalls = prng.percent(50);
  const Duration lasts = prng.percent(12) ? prng.between(seconds(50), seconds(100)) : prng.skewed(ms(100), seconds(20));
  const std::uint64_t number = ++next_partition_;
  world_.note("partition", number, [&] {
    std::string text;
    for (const std::uint32_t id : cut.clients) {
      text += client(id).name() + " ";
    }
    return text + (cut.up ? "up " : "") + (cut.down ? "down " : "") + (cut.stalls ? "stalls" : "drops");
  });
  partitions_[number] = std::move(cut);
  world_.after(lasts, [this, number] { heal(number); });
}

void Cluster::heal(std::uint64_t number) {
  const auto it = partitions_.find(number);
  if (it == partitions_.end()) {
    return;
  }
  const Partition healed = std::move(it->second);
  partitions_.erase(it);
  world_.note("healed", number);
  for (const std::uint32_t id : healed.clients) {
    Client& each = client(id);
    const SharedConnection connection = each.connection;
    if (!connection || !connection->open) {
      continue;
    }
    if (!healed.stalls && network_->quality().ordered) {
      disconnect(each, world_.prng.percent(70));  // a stream with a hole does not live on
      continue;
    }
    if (blocked(id, true) == Blocked::no) {
      network_->resume(connection, connection->to_master, [this, connection](const SharedFrame& frame) { deliver_to_master(connection, frame); });
    }
    if (blocked(id, false) == Blocked::no) {
      network_->resume(connection, connection->to_client, [this, connection](const SharedFrame& frame) { deliver_to_client(connection, frame); });
    }
  }
}

void Cluster::stop_faults() {
  world_.note("faults stop", 0);
  faults_on_ = false;
  network_->become_perfect();
  std::vector<std::uint64_t> open;
  for (const auto& [number, cut] : partitions_) {
    open.push_back(number);
  }
  for (const std::uint64_t number : open) {
    heal(number);
  }
  end_old_master();
  for (std::uint32_t node = 0; node < nodes_.size(); ++node) {
    if (drained_.contains(node)) {
      // Until it has come through: the node may be away now.
      for (int again = 0; again < 12; ++again) {
        world_.after(seconds(1 + 10 * again), [this, node] { operator_drain(node, true); });
      }
    }
  }
  users_.wind_down();
  rival_->wind_down();
}

}  // namespace muster::sim

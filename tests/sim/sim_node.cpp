#include "tests/sim/sim_node.hpp"

#include <algorithm>
#include <utility>

#include "tests/sim/cluster.hpp"

namespace muster::sim {

SimNode::SimNode(Cluster& cluster, std::uint32_t id, Machine& machine, const node::NodeDefects& defects)
    : Client(cluster, "node n" + std::to_string(id), id), machine_(machine), defects_(defects) {
  machine_.on_forget = [this](const TaskKey& key) {
    const AttemptTruth* attempt = cluster_.truth().find(key);
    const auto it = acknowledged_.find(key.framework);
    if (attempt == nullptr || !attempt->terminal_seq || it == acknowledged_.end() || it->second < *attempt->terminal_seq) {
      violated("forgotten before acknowledged", this->name() + " forgets " + to_string(key) + ", whose end nobody has acknowledged");
    }
  };
}

void SimNode::make_core() {
  node::NodeConfig config;
  config.name = "n" + std::to_string(id());
  config.capacity = machine_.capacity();
  const std::uint32_t cpus = machine_.capacity().cpus_milli / 1000;
  config.topology = make_topology({.packages = 1, .numas_per_package = 1, .l3s_per_numa = 1, .cores_per_l3 = cpus, .pus_per_core = 1});
  for (std::uint32_t cpu = 0; cpu < cpus; ++cpu) {
    config.machine_cpus.push_back(cpu);
  }
  config.boot_id = machine_.boot_id();
  config.endpoint = "ipc://n" + std::to_string(id());
  core_ = std::make_unique<node::NodeCore>(config, memory_, cluster_.world().clock(), defects_);
}

void SimNode::drop_core() {
  core_.reset();
  machine_.disconnect();
}

void SimNode::on_timer() { core_->on_timer(cluster_.world().clock()); }
void SimNode::on_crashed_in_flush() { cluster_.on_client_crashed(*this); }

void SimNode::connect_launcher() {
  if (!up() || !machine_.launcher_up()) {
    return;
  }
  machine_.connect({.hello =
                        [this, life = life()](const node::LauncherHello& hello) {
                          if (up() && this->life() == life) {
                            cluster_.world().note("launcher's hello", id(), [&] { return std::to_string(hello.tasks.size()) + " tasks"; });
                            core_->on_launcher_hello(hello, cluster_.world().clock());
                            after_input();
                          }
                        },
                    .event =
                        [this, life = life()](const node::LauncherEvent& event) {
                          if (up() && this->life() == life) {
                            cluster_.world().note("launcher's event", id(), [&] { return std::to_string(event.index()); });
                            core_->on_launcher_event(event, cluster_.world().clock());
                            after_input();
                          }
                        },
                    .lost =
                        [this, life = life()] {
                          if (up() && this->life() == life) {
                            core_->on_launcher_lost(cluster_.world().clock());
                            after_input();
                          }
                        }});
}

void SimNode::link_up() {
  core_->on_master_link_up(cluster_.world().clock());
  after_input();
}

void SimNode::link_down() {
  core_->on_master_link_down(cluster_.world().clock());
  after_input();
}

void SimNode::receive(const Connection& from, const FrameBytes& bytes) {
  const Network::Received received = Network::verify(bytes);
  World& world = cluster_.world();
  world.note("node gets", id(), [&] { return received.frame == nullptr ? "a malformed frame" : cluster_.describe(*received.frame); });
  world.trace.mix(bytes);
  if (received.frame == nullptr) {
    core_->on_bad_master_frame(received.error, world.clock());
  } else {
    if (const auto* ack = received.frame->body_as_Acknowledge(); ack != nullptr && ack->entries() != nullptr && ack->frameworks() != nullptr) {
      for (const fb::AckEntry* entry : *ack->entries()) {
        if (entry->framework() < ack->frameworks()->size()) {
          std::uint64_t& seq = acknowledged_[FrameworkId(ack->frameworks()->Get(entry->framework()))];
          seq = std::max(seq, entry->seq());
        }
      }
    }
    core_->on_master_frame(*received.frame, world.clock());
  }
  (void)from;
  after_input();
}

void SimNode::collect(std::vector<std::function<void()>>& actions) {
  node::NodeOutputs outputs;
  core_->flush(cluster_.world().clock(), outputs);
  if (outputs.memory) {
    actions.push_back([this, memory = *outputs.memory] {
      if (memory.highest_epoch < memory_.highest_epoch || memory.last_incarnation < memory_.last_incarnation) {
        violated("memory goes back", name() + " persists a lower epoch or incarnation than before");
      }
      memory_ = memory;
    });
  }
  for (FrameBytes& bytes : outputs.to_master) {
    actions.push_back([this, frame = std::make_shared<FrameBytes>(std::move(bytes))] {
      look_at_sent(*frame);
      send_to_master(std::move(*frame));
    });
  }
  for (node::LauncherCommand& command : outputs.to_launcher) {
    actions.push_back([this, shared = std::make_shared<const node::LauncherCommand>(std::move(command))] { machine_.send(*shared); });
  }
}

void SimNode::look_at_sent(const FrameBytes& bytes) {
  const Network::Received sent = Network::verify(bytes);
  if (sent.frame == nullptr) {
    violated("malformed output", name() + " sends a frame that does not verify: " + sent.error.text);
  }
  const fb::Frame& frame = *sent.frame;
  if (frame.body_type() != fb::Body::Register && frame.body_type() != fb::Body::Refused) {
    const auto registered_by = cluster_.life_epoch(id(), Incarnation(frame.incarnation()));
    if (registered_by && *registered_by < memory_.highest_epoch) {
      violated("node serves a superseded master", name() + " sends " + cluster_.describe(frame) + " to a master of epoch " +
                                                      std::to_string(registered_by->value()) + ", and has seen " +
                                                      std::to_string(memory_.highest_epoch.value()));
    }
  }
  if (const auto* update = frame.body_as_Update(); update != nullptr && update->entries() != nullptr && update->frameworks() != nullptr) {
    for (const fb::UpdateEntry* entry : *update->entries()) {
      const FrameworkId framework(update->frameworks()->Get(entry->framework()));
      cluster_.truth().on_node_update({framework, from_fb(entry->attempt())}, *entry);
    }
  }
}

}  // namespace muster::sim

// A node's agent process on its simulated machine.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "node/core/node_core.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/machine.hpp"

namespace muster::sim {

// Owned by one run.
class SimNode final : public Client {
 public:
  SimNode(Cluster& cluster, std::uint32_t id, Machine& machine, const node::NodeDefects& defects);

  [[nodiscard]] Machine& machine() { return machine_; }
  [[nodiscard]] const node::NodeCore* core() const { return core_.get(); }
  // Connects to the launcher, if both are there.
  void connect_launcher();

  void link_up() override;
  void link_down() override;
  void receive(const Connection& from, const FrameBytes& bytes) override;

 protected:
  void make_core() override;
  void drop_core() override;
  [[nodiscard]] Instant next_timer() const override { return core_->next_timer(); }
  void on_timer() override;
  [[nodiscard]] Status audit() const override { return core_->audit(); }
  void collect(std::vector<std::function<void()>>& actions) override;
  void on_crashed_in_flush() override;

 private:
  void look_at_sent(const FrameBytes& bytes);

  Machine& machine_;
  node::NodeDefects defects_;
  node::NodeMemory memory_;  // on the node's disk, synced before anything else leaves
  std::unique_ptr<node::NodeCore> core_;
  std::map<FrameworkId, std::uint64_t> acknowledged_;
};

}  // namespace muster::sim

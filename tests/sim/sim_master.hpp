// A master process in the simulator, and what the checker reads from its frames.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>

#include "master/core/master_core.hpp"
#include "tests/sim/offers_seen.hpp"
#include "tests/sim/role.hpp"

namespace muster::sim {

// Owned by one run.
class SimMaster final : public Role {
 public:
  SimMaster(Cluster& cluster, std::uint64_t number, Epoch epoch, const master::MasterDefects& defects)
      : Role(cluster, "master of epoch " + std::to_string(epoch.value())), number_(number), epoch_(epoch), defects_(defects) {}

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] Epoch epoch() const { return epoch_; }
  [[nodiscard]] const master::MasterCore& core() const { return *core_; }
  [[nodiscard]] std::optional<std::uint32_t> machine_of(std::uint32_t node_index) const;
  [[nodiscard]] const OffersSeen& offers() const { return offers_; }

  bool superseded{};             // a newer master has started
  bool deliberately_old{};       // knows no epochs: its clients must look after themselves

  // The transport.
  void add_link(const SharedConnection& connection) { links_[connection->link] = connection; }
  void lose_link(const SharedConnection& connection);
  void receive(const SharedConnection& connection, const FrameBytes& bytes);

 protected:
  void make_core() override;
  void drop_core() override;
  [[nodiscard]] Instant next_timer() const override { return core_->next_timer(); }
  void on_timer() override;
  [[nodiscard]] Status audit() const override;
  void collect(std::vector<std::function<void()>>& actions) override;
  void on_crashed_in_flush() override;

 private:
  void look_at_delivered(const Connection& connection, const fb::Frame& frame);
  void look_at_sent(const Connection& connection, const fb::Frame& frame);
  void check_books() const;

  std::uint64_t number_;
  Epoch epoch_;
  master::MasterDefects defects_;
  std::unique_ptr<master::MasterCore> core_;
  std::map<LinkId, SharedConnection> links_;
  std::set<LinkId> told_of_successor_;
  std::map<std::uint32_t, std::uint32_t> machines_;  // by NodeIndex
  OffersSeen offers_;
};

}  // namespace muster::sim

// The gang framework's process in the simulator, with its store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "sched/gang/gang_core.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/store.hpp"

namespace muster::sim {

// Owned by one run.
class SimGang final : public Client {
 public:
  SimGang(Cluster& cluster, std::uint32_t id, SimStore& store, const gang::GangDefects& defects)
      : Client(cluster, "gang", id), store_(store), defects_(defects) {}

  // A user's frame arrives, or a user's connection is gone.
  void user_frame(LinkId link, const FrameBytes& bytes);
  void user_lost(LinkId link);
  // Its machine loses power: a batch that was not committed is gone, whole.
  void lose_power();
  [[nodiscard]] std::string status() const { return core_->status_text(); }

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
  struct Heard {  // an end that was delivered, by node
    std::uint64_t seq{};
    AttemptId attempt;
  };
  void look_at_sent(const FrameBytes& bytes);
  void look_at_answer(const FrameBytes& bytes);
  void give_to_store(gang::StoreBatch batch);

  SimStore& store_;
  gang::GangDefects defects_;
  std::unique_ptr<gang::GangCore> core_;
  std::uint64_t starts_{};
  std::shared_ptr<const gang::StoreBatch> committing_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::vector<Heard>> heard_;  // by master and NodeIndex
};

}  // namespace muster::sim

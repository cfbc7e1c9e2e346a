// A second framework on the real MasterLink: launches small tasks, declines, holds, kills, and now and then asks for
// what it must not get.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sched/client/master_link.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/truth.hpp"

namespace muster::sim {

// Owned by one run.
class SimRival final : public Client, private client::Framework {
 public:
  SimRival(Cluster& cluster, std::uint32_t id) : Client(cluster, "rival", id) {}

  // No more new work; kills what runs.
  void wind_down();
  [[nodiscard]] bool idle() const { return live_.empty(); }
  [[nodiscard]] std::string live_text() const;

  void link_up() override;
  void link_down() override;
  void receive(const Connection& from, const FrameBytes& bytes) override;

 protected:
  void make_core() override;
  void drop_core() override { link_.reset(); }
  [[nodiscard]] Instant next_timer() const override { return link_->next_timer(); }
  void on_timer() override;
  [[nodiscard]] Status audit() const override { return {}; }
  void collect(std::vector<std::function<void()>>& actions) override;
  void on_crashed_in_flush() override;

 private:
  void on_registered(Epoch epoch, Now now) override;
  void on_offers(std::span<const client::Offer> offers, Now now) override;
  void on_rescinded(std::span<const OfferId> offers, fb::RescindReason reason, Now now) override;
  void on_accepted(const client::AcceptAnswer& answer, Now now) override;
  void on_update(std::span<const client::TaskUpdate> updates, Now now) override;
  std::vector<client::LiveAttempt> live_attempts() override;

  void want();
  void take(std::vector<client::Offer> offers);
  [[nodiscard]] FrameBytes spec() const;
  [[nodiscard]] AttemptId fresh_attempt() { return {0x8000'0000'0000'0000ULL, ++attempts_}; }

  // On its disk
  struct MeantFor {
    std::string node;
    std::uint32_t boot{};
  };
  std::map<AttemptId, MeantFor> live_;
  std::uint64_t attempts_{};
  std::uint64_t starts_{};
  Epoch highest_epoch_;
  bool winding_down_{};
  // In its process
  std::unique_ptr<client::MasterLink> link_;
  std::deque<client::Offer> kept_;      // held for a while
  std::deque<OfferId> resolved_;        // to be misused
  std::map<std::uint64_t, std::vector<AttemptId>> asked_;  // accepts without answer
};

}  // namespace muster::sim

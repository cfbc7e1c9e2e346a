// The book's example as a stage: one master, one node of 4 cpus and 4096 MB, two frameworks, real cores and
// frames between them, virtual time, random delays.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "master/core/master_core.hpp"
#include "node/core/node_core.hpp"
#include "sched/client/master_link.hpp"
#include "tests/sim/world.hpp"

namespace muster::sim {

// A framework that remembers what it hears. Owned by one stage.
class BookFramework final : public client::Framework {
 public:
  std::map<OfferId, client::Offer> offers;       // open, as far as it knows
  std::map<std::uint64_t, client::AcceptAnswer> answers;
  std::map<AttemptId, client::TaskUpdate> tasks; // last word about each
  bool registered{};

  void on_registered(Epoch, Now) override {
    registered = true;
    offers.clear();
  }
  void on_offers(std::span<const client::Offer> made, Now) override {
    for (const client::Offer& offer : made) {
      offers[offer.id] = offer;
    }
  }
  void on_rescinded(std::span<const OfferId> gone, fb::RescindReason, Now) override {
    for (const OfferId& id : gone) {
      offers.erase(id);
    }
  }
  void on_accepted(const client::AcceptAnswer& answer, Now) override { answers[answer.accept] = answer; }
  void on_update(std::span<const client::TaskUpdate> updates, Now) override {
    for (const client::TaskUpdate& update : updates) {
      tasks[update.attempt] = update;
    }
  }
};

// Owned by one test.
class BookStage {
 public:
  explicit BookStage(std::uint64_t seed);
  ~BookStage();

  // Plays the example once with random turns. Throws Violation.
  void play();
  [[nodiscard]] World& world() { return world_; }

 private:
  struct Party;  // one core with its timer and its way to the master
  enum : std::size_t { kMaster, kNode, kFirst, kSecond, kParties };

  void poke(std::size_t party);
  void flush(std::size_t party);
  void arm(std::size_t party);
  void to_master(std::size_t from, FrameBytes bytes);
  void from_master(std::size_t to, FrameBytes bytes);
  void command(const node::LauncherCommand& command);
  void end_task(const AttemptId& attempt, TaskState state, std::int32_t exit_code);

  // Runs until `condition`; at most `limit`. False if it never came true.
  bool run_until(const std::function<bool()>& condition, Duration limit);
  void need(bool condition, const std::string& what);
  void need_books(const Resources& used);
  [[nodiscard]] master::MasterCore::NodeBooks books() const;
  [[nodiscard]] client::Offer only_offer(std::size_t party, const Resources& expected, const char* what);
  void request(std::size_t party, std::vector<client::Want> wants);
  void decline(std::size_t party, const client::Offer& offer, Duration filter);
  [[nodiscard]] client::LaunchTask task(const client::Offer& offer, const Resources& resources);
  [[nodiscard]] std::uint64_t accept(std::size_t party, const client::Offer& offer, std::vector<client::LaunchTask> tasks);
  void finish_all(std::size_t party);
  void wander(std::size_t party);     // a declined, slept-over or shared offer before the real turn
  void overlap_ports();

  World world_;
  std::unique_ptr<master::MasterCore> master_;
  std::unique_ptr<node::NodeCore> node_;
  BookFramework frameworks_[kParties];
  std::unique_ptr<client::MasterLink> links_[kParties];
  struct Clockwork {
    bool flush_waits{};
    Instant timer_at = Instant::never();
    Instant last_to_master;
    Instant last_from_master;
  };
  Clockwork clocks_[kParties];
  std::map<AttemptId, FrameworkId> running_;
  std::uint64_t attempts_{};
};

}  // namespace muster::sim

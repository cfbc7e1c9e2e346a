// One master's offers as its frames show them: each is made once and resolved once, and an Accept that is
// answered with None was covered by open offers.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/truth.hpp"
#include "wire/model/resources.hpp"
#include "wire/schema/frame.hpp"

namespace muster::sim {

// Owned by one run, one for each master process.
class OffersSeen {
 public:
  // Sent by the master to a framework's client.
  void on_offers(std::uint32_t client, const fb::Offers& offers);
  void on_rescind(std::uint32_t client, const fb::Rescind& rescind);
  void on_accepted(std::uint32_t client, const fb::Accepted& accepted);
  void on_subscribed(std::uint32_t client);
  // Delivered to the master.
  void on_accept_delivered(std::uint32_t client, FrameworkId framework, const fb::Accept& accept);
  void on_decline_delivered(std::uint32_t client, const fb::Decline& decline);

  [[nodiscard]] std::uint64_t made() const { return offers_.size(); }
  // The cpus of all that is open of standing wants.
  [[nodiscard]] std::uint64_t standing_cpus_milli() const;

 private:
  enum class State : std::uint8_t { open, declined, accepted, rescinded, dropped };
  struct Offer {
    std::uint32_t client{};
    std::uint32_t node{};
    Resources resources;
    bool standing{};
    State state{State::open};
  };
  struct Launch {
    TaskKey key;
    std::uint32_t node{};
    Resources shape;
    bool in_line{};  // needs no offer
  };
  struct Accept {
    std::vector<OfferId> offers;
    std::vector<Launch> launches;
  };
  std::map<OfferId, Offer> offers_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, Accept> accepts_;  // by client and number
  std::set<TaskKey> taken_;
};

}  // namespace muster::sim

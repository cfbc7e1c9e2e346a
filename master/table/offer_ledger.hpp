// OfferLedger: the books of every node (capacity = used + offered + free, to the unit) and all offers. Pure.
// Nothing else moves resources between the three.
//
//   free ─ open() ─► open ─ hold() ─► held
//    ▲                 └──────┬────────┘
//    └─── close(): the offer is over, all of it is free again; what an accept takes is then charge()d
//
// Offers of a node and of a framework are linked in order of their making; offers by lease end are too.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "master/table/ids.hpp"
#include "master/table/slots.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"

namespace muster::master {

enum class OfferState : std::uint8_t { open, held };

// Which want of which request an offer was cut to.
struct OfferTag {
  std::uint32_t request{};  // the framework's request number
  std::uint16_t want{};     // place in it, among those that are standing or among those that are not
  bool standing{};
  std::uint32_t pieces{};
};

struct Offer {
  NodeIndex node{kNoNode};
  FrameworkIndex framework{kNoFramework};
  OfferState state{OfferState::open};
  OfferTag tag;
  Resources resources;
  Instant lease_end;
  // Neighbours among the offers of the node, of the framework, and by lease end.
  std::uint32_t node_prev{kNone}, node_next{kNone};
  std::uint32_t framework_prev{kNone}, framework_next{kNone};
  std::uint32_t lease_prev{kNone}, lease_next{kNone};
};

struct alignas(64) NodeBooks {
  Resources free;
  Resources offered;
  Resources used;
  std::uint32_t offer_head{kNone}, offer_tail{kNone};
  std::uint32_t offers{};
  std::uint32_t tasks{};                       // charges
  std::shared_ptr<const Resources> stated;     // what it advertises: one for all nodes that are alike and came in a row
  std::unique_ptr<const Resources> grown;      // while tasks of before a shrink still run

  [[nodiscard]] const Resources& advertised() const { return *stated; }
  // As booked: used + offered + free.
  [[nodiscard]] const Resources& capacity() const { return grown ? *grown : *stated; }
};

class OfferLedger {
 public:
  // ---- nodes
  void add_node();  // the next NodeIndex, with nothing
  // REQUIRES no open offers on the node. What is used stays used, even beyond the new capacity.
  void set_capacity(NodeIndex node, const Resources& advertised);
  [[nodiscard]] const NodeBooks& books(NodeIndex node) const { return nodes_[node.value()]; }
  [[nodiscard]] const Resources& free(NodeIndex node) const { return nodes_[node.value()].free; }
  [[nodiscard]] std::uint32_t node_count() const { return static_cast<std::uint32_t>(nodes_.size()); }
  // A task takes from what is free; or several, which take `shape` together. REQUIRES: it fits.
  void charge(NodeIndex node, const Resources& shape, std::uint32_t tasks = 1);
  // A task that runs whatever the books say: capacity grows if it must. False (and nothing done) if it can't
  // be booked at all: a port in use twice, or a sum beyond its field.
  [[nodiscard]] bool charge_running(NodeIndex node, const Resources& shape);
  void release(NodeIndex node, const Resources& shape, std::uint32_t tasks = 1);

  // ---- offers
  // REQUIRES: resources fit into free(node).
  OfferId open(NodeIndex node, FrameworkIndex framework, Resources resources, OfferTag tag, Instant lease_end);
  // The offer, or nullptr if it is over or never was.
  [[nodiscard]] const Offer* find(OfferId id) const;
  [[nodiscard]] const Offer& at(std::uint32_t slot) const { return offers_[slot]; }
  [[nodiscard]] OfferId id_at(std::uint32_t slot) const { return {slot, offers_.generation(slot)}; }
  [[nodiscard]] bool is_open(std::uint32_t slot) const { return offers_.used(slot); }
  void hold(OfferId id, Instant lease_end);
  // Ends it: its resources are free. REQUIRES find(id).
  void close(OfferId id);
  [[nodiscard]] std::uint32_t places() const { return offers_.places(); }
  [[nodiscard]] std::uint32_t count() const { return offers_.count(); }

  struct FrameworkOffers {
    std::uint32_t head{kNone}, tail{kNone};
    std::uint32_t count{};
  };
  [[nodiscard]] FrameworkOffers of(FrameworkIndex framework) const;
  // The offers of a node or framework in order of their making, for loops that close them.
  void list_node(NodeIndex node, std::vector<OfferId>& out) const;
  void list_framework(FrameworkIndex framework, std::vector<OfferId>& out) const;

  // ---- leases
  [[nodiscard]] Instant next_lease_end() const;
  // All offers whose lease ended by `now`, in order of lease end.
  void list_expired(Instant now, std::vector<OfferId>& out) const;

  // Recomputes everything that is kept twice. `names` of the nodes are for the error.
  [[nodiscard]] Status audit(const std::vector<Resources>& used_by_tasks,
                             const std::vector<std::string>& names) const;

  // For deliberate defects of test builds only: books that no longer balance.
  void corrupt_free(NodeIndex node, const Resources& more);
  void corrupt_forget(OfferId id);
  void corrupt_charge(NodeIndex node, const Resources& shape);

 private:
  void link(std::uint32_t slot);
  void unlink(std::uint32_t slot);
  void lease_link(std::uint32_t slot);
  void lease_unlink(std::uint32_t slot);
  void settle_capacity(NodeBooks& books);

  std::vector<NodeBooks> nodes_;
  std::shared_ptr<const Resources> recent_stated_ = std::make_shared<const Resources>();
  std::vector<FrameworkOffers> frameworks_;
  Slots<Offer> offers_;
  std::uint32_t lease_head_{kNone}, lease_tail_{kNone};  // open offers: leases are alike, so the list is sorted
  std::set<std::pair<Instant, std::uint32_t>> held_;     // few
};

}  // namespace muster::master

// Drf: weighted dominant-resource fairness. Pure: called by the core.
//
// Who is next: the role with the smallest dominant share divided by its weight, in it the framework with the
// smallest dominant share, then the one whose request is older. A share is what is used and what is offered. The next
// one gets one offer on one node; then the order is looked at anew.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "master/allocator/allocator.hpp"
#include "master/allocator/decline_filters.hpp"
#include "master/allocator/node_classes.hpp"

namespace muster::master {

class Drf final : public Allocator {
 public:
  // REQUIRES: the ledger outlives this.
  explicit Drf(const OfferLedger& ledger) : ledger_(ledger) {}

  void set_offerable(NodeIndex node, bool offerable) override;
  void node_freed(NodeIndex node) override;
  void node_taken(NodeIndex node) override;
  void set_capacity(const Amounts& total) override { total_ = total; }
  void set_role(FrameworkIndex framework, std::string_view role) override;
  void set_active(FrameworkIndex framework, bool active) override;
  void set_wants(FrameworkIndex framework, std::vector<Want> wants) override;
  void pieces_back(FrameworkIndex framework, const OfferTag& tag) override;
  void charge(FrameworkIndex framework, const Resources& resources) override;
  void discharge(FrameworkIndex framework, const Resources& resources) override;
  [[nodiscard]] std::uint32_t wants_left(FrameworkIndex framework) const override;
  [[nodiscard]] double dominant_share(FrameworkIndex framework) const override;
  void filter(FrameworkIndex framework, NodeIndex node, Instant until) override;
  void drop_filters(FrameworkIndex framework) override;
  [[nodiscard]] Instant next_filter_end() const override { return filters_.next_end(); }
  void end_filters(Instant now) override;
  void set_weight(std::string_view role, double weight) override;
  void set_quota(std::string_view role, const Amounts& limit) override;
  [[nodiscard]] double weight(FrameworkIndex framework) const override;
  [[nodiscard]] bool poorer_waits(FrameworkIndex holder) const override;
  [[nodiscard]] std::uint64_t wanted_by_poorer(FrameworkIndex holder, NodeIndex node, Instant now) override;
  [[nodiscard]] bool has_work() const override {
    return !dirty_nodes_.empty() || !dirty_frameworks_.empty() || standing_due_;
  }
  void allocate(Instant now, Sink& sink) override;

 private:
  struct WantState {
    Want want;
    std::uint64_t left{};
    // Where the search over all nodes stands.
    std::uint32_t search_class{};
    std::uint32_t search_from{};
    bool searched{};
  };
  struct Framework {
    std::uint32_t role{};
    bool active{};
    bool dirty{};
    bool in_running{};               // in running_
    std::uint32_t request{};         // number of the present set of wants
    std::uint64_t age{};             // when it was asked, in requests
    std::uint64_t left{};            // pieces over all wants that are not standing
    std::vector<WantState> wants;
    std::uint64_t standing_left{};
    std::uint64_t standing_open{};   // pieces offered
    std::vector<WantState> standing;
    Amounts charged;
  };
  struct Role {
    std::string name;
    double weight{1.0};
    Amounts quota;
    bool has_quota{};
    bool blocked{};                  // its quota refused something since its charge last shrank
    Amounts charged;
    std::vector<FrameworkIndex> members;
  };

  Framework& at(FrameworkIndex framework);
  [[nodiscard]] const Framework* find(FrameworkIndex framework) const;
  Role& role_named(std::string_view name);
  void make_dirty(FrameworkIndex framework);
  void make_dirty(NodeIndex node);
  void place_node(NodeIndex node);
  [[nodiscard]] bool offerable(NodeIndex node) const {
    return node.value() < offerable_.size() && offerable_[node.value()] != 0;
  }
  // A framework's place in the order of who is next; smaller ones come first. Ages are unique.
  struct Rank {
    double role_share{};  // divided by its weight
    double share{};
    std::uint64_t age{};
    FrameworkIndex framework;
    auto operator<=>(const Rank&) const = default;
  };
  [[nodiscard]] Rank rank_of(FrameworkIndex framework) const;
  // An offer to `framework` has made its share and its role's grow.
  void rank_again(std::vector<Rank>& ranks, FrameworkIndex framework) const;
  [[nodiscard]] bool poorer(FrameworkIndex a, FrameworkIndex b) const;
  void drop_satisfied();
  // Pieces of a want that may go on the node now; 0 if none.
  [[nodiscard]] std::uint64_t pieces_for(const Framework& framework, const WantState& want, NodeIndex node);
  [[nodiscard]] std::uint64_t quota_left(const Framework& framework, const WantState& want);
  // Makes one offer of the node to the framework, if any want can use it.
  bool offer_node(FrameworkIndex framework, NodeIndex node, Instant now, Sink& sink);
  void make_offer(FrameworkIndex framework, WantState& want, NodeIndex node, std::uint64_t pieces, Sink& sink);
  // Looks through the nodes for one the framework can use, from where it stopped.
  bool search(FrameworkIndex framework, Instant now, Sink& sink);
  [[nodiscard]] bool search_want(FrameworkIndex framework, WantState& want, Instant now, Sink& sink);
  static void search_anew(WantState& want);
  void standing_back(Framework& row, const OfferTag& tag);
  void allocate_wants(Instant now, Sink& sink);
  // Standing offers make way for wants of others. False: there was none.
  bool reclaim_standing(Sink& sink);
  void allocate_standing(Instant now, Sink& sink);
  void allocate_nodes(Instant now, Sink& sink);
  void allocate_frameworks(Instant now, Sink& sink);

  const OfferLedger& ledger_;
  Amounts total_;
  std::vector<Framework> frameworks_;
  std::vector<Role> roles_;
  std::map<std::string, std::uint32_t, std::less<>> role_by_name_;
  DeclineFilters filters_;
  NodeClasses classes_;
  std::vector<std::uint8_t> offerable_;
  std::vector<std::uint8_t> node_dirty_;
  std::vector<NodeIndex> dirty_nodes_;
  std::vector<FrameworkIndex> dirty_frameworks_;
  std::vector<FrameworkIndex> running_;  // active, with pieces left
  std::vector<Rank> ranks_;              // of allocate's present step
  std::vector<NodeIndex> nodes_scratch_;
  std::uint64_t requests_{};
  std::uint32_t standing_frameworks_{};  // that have standing wants
  std::uint64_t standing_open_{};        // pieces offered, also of wants that stand no more
  bool standing_due_{};                  // something changed for them
};

}  // namespace muster::master

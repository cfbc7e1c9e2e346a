// Allocator: which framework is offered what. Pure. Requests are stored here and offers are cut to them. Replaceable.
//
// Event-driven: the core tells what changed (a node has more free, a request is new, a filter ran out) and
// allocate() looks at that only. Nothing changed costs nothing. The same calls in the same order give the same
// offers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "master/table/amounts.hpp"
#include "master/table/ids.hpp"
#include "master/table/offer_ledger.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"

namespace muster::master {

// A shape asked for, `count` pieces beyond the open offers, each on one node.
struct Want {
  Resources shape;               // not zero
  std::uint32_t count{1};
  bool whole_rest{};             // everything free on a node where at least one piece fits
  std::vector<NodeIndex> nodes;  // only these; empty: any
  // These pieces are kept offered, whatever becomes of the offers, while no want of any framework that is not standing
  // is unmet; and they are taken back for those of others.
  bool standing{};
};

inline constexpr std::uint32_t kStandingPiecesMax = 1024;  // of a framework, over all its standing wants

class Allocator {
 public:
  // Where offers go. Books each at once, so that the ledger's free shrinks before the next is cut.
  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void offer(NodeIndex node, FrameworkIndex framework, Resources resources, OfferTag tag) = 0;
    // Ends its standing offers, but for those it holds.
    virtual void reclaim_standing(FrameworkIndex framework) = 0;
  };
  virtual ~Allocator() = default;

  // ---- nodes
  virtual void set_offerable(NodeIndex node, bool offerable) = 0;
  // free(node) of the ledger has grown: it is offered again.
  virtual void node_freed(NodeIndex node) = 0;
  // free(node) of the ledger has shrunk or its capacity has changed.
  virtual void node_taken(NodeIndex node) = 0;
  // The cluster's sum, what shares are parts of.
  virtual void set_capacity(const Amounts& total) = 0;

  // ---- frameworks
  virtual void set_role(FrameworkIndex framework, std::string_view role) = 0;
  // Reachable, with room on its link, not suppressed.
  virtual void set_active(FrameworkIndex framework, bool active) = 0;
  // Replaces the whole earlier set.
  virtual void set_wants(FrameworkIndex framework, std::vector<Want> wants) = 0;
  // Pieces of an offer that ended other than by an accept, or of a standing want: wanted again, unless the request was
  // replaced.
  virtual void pieces_back(FrameworkIndex framework, const OfferTag& tag) = 0;
  // What it uses and is offered counts as its share.
  virtual void charge(FrameworkIndex framework, const Resources& resources) = 0;
  virtual void discharge(FrameworkIndex framework, const Resources& resources) = 0;
  [[nodiscard]] virtual std::uint32_t wants_left(FrameworkIndex framework) const = 0;  // shapes
  [[nodiscard]] virtual double dominant_share(FrameworkIndex framework) const = 0;

  // ---- decline filters
  virtual void filter(FrameworkIndex framework, NodeIndex node, Instant until) = 0;
  virtual void drop_filters(FrameworkIndex framework) = 0;
  [[nodiscard]] virtual Instant next_filter_end() const = 0;
  virtual void end_filters(Instant now) = 0;

  // ---- policy
  virtual void set_weight(std::string_view role, double weight) = 0;       // > 0; 1 unless set
  virtual void set_quota(std::string_view role, const Amounts& limit) = 0; // a part that is 0 is not limited
  [[nodiscard]] virtual double weight(FrameworkIndex framework) const = 0;

  // Does any framework with a smaller weighted share than `holder` want more?
  [[nodiscard]] virtual bool poorer_waits(FrameworkIndex holder) const = 0;
  // Pieces that frameworks with a smaller weighted share than `holder` still want and could use on `node`, were it free.
  [[nodiscard]] virtual std::uint64_t wanted_by_poorer(FrameworkIndex holder, NodeIndex node, Instant now) = 0;

  // Anything for allocate() to look at?
  [[nodiscard]] virtual bool has_work() const = 0;
  virtual void allocate(Instant now, Sink& sink) = 0;
};

}  // namespace muster::master

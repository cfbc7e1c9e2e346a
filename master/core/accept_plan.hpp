// AcceptPlan: what checking an Accept has found out and applying it goes by. Internal. Pure. One plan is used for all
// Accepts, one after the other, so that none allocates.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "master/core/link.hpp"
#include "master/table/ids.hpp"
#include "wire/model/resources.hpp"
#include "wire/schema/frame.hpp"

namespace muster::master {

struct AcceptPlan {
  // A launch that follows another attempt; or why it alone is not taken.
  struct Successor {
    AttemptId after;
    TaskReason refused{TaskReason::none};
  };
  // What the named offers hold together on one node.
  struct Pool {
    NodeIndex node;
    Resources left;
  };
  std::vector<OfferId> offers;
  std::vector<OfferId> sorted_offers;
  std::vector<Resources> shapes;
  std::vector<std::uint8_t> dropped;  // launches left out; of a deliberate defect only
  std::vector<Successor> lines;       // by launch, if any is a successor
  std::vector<Pool> pools;            // sorted by node
  std::vector<AttemptId> attempts;    // sorted; only if they did not come so
  std::vector<SpecIndex> specs;       // by their place in the Accept, once added
  bool successors{};
  bool repeated{};

  void clear() {
    offers.clear();
    sorted_offers.clear();
    shapes.clear();
    dropped.clear();
    lines.clear();
    pools.clear();
    attempts.clear();
    specs.clear();
    successors = repeated = false;
  }
};

inline AcceptAnswer refused(const fb::Accept& message, fb::RefusedCode code, std::string subject, std::string text) {
  return {message.accept(), code, std::move(subject), std::move(text), {}};
}

}  // namespace muster::master

// AcceptPlan: what checking an Accept has found out and applying it goes by. Internal. Pure.
#pragma once

#include "master/core/impl.hpp"

namespace muster::master {

struct MasterCore::Impl::AcceptPlan {
  // A launch that follows another attempt; or why it alone is not taken.
  struct Successor {
    AttemptId after;
    TaskReason refused{TaskReason::none};
  };
  std::vector<OfferId> offers;
  std::vector<Resources> shapes;
  std::vector<std::uint8_t> dropped;  // launches left out; of a deliberate defect only
  std::vector<Successor> lines;       // by launch, if any is a successor
  bool successors{};
  bool repeated{};
};

inline AcceptAnswer refused(const fb::Accept& message, fb::RefusedCode code, std::string subject, std::string text) {
  return {message.accept(), code, std::move(subject), std::move(text), {}};
}

}  // namespace muster::master

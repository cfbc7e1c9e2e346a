// OfferEntry.flags.
#pragma once

#include <cstdint>

namespace muster {

inline constexpr std::uint16_t kStandingOffer = 1;  // kept without a use for it; goes back when others want it

}  // namespace muster

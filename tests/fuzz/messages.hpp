// Messages made at random: well-formed, with values that are mostly plausible and sometimes absurd. Pure.
#pragma once

#include <string>
#include <vector>

#include "tests/fuzz/random.hpp"
#include "wire/schema/frame.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::fuzz {

// What a peer has learnt from the master, so that its messages get past the first check.
struct Learnt {
  std::vector<fb::OfferEntry> offers;     // this peer's own
  std::vector<fb::AttemptRef> tasks;      // this peer's own: what it was told to start
  std::uint64_t update_seq{};             // this peer's own: the next
  std::vector<fb::AttemptId> attempts;    // anybody's, as the rest
  std::vector<std::uint32_t> nodes;
  std::vector<std::string> node_names;
};

enum class Role : std::uint8_t { node, framework, operator_ };

struct Identity {
  Role role{};
  std::uint64_t framework{};
  std::vector<std::string> node_names;  // of a node link
};

// The opening of a life: Register or Subscribe.
[[nodiscard]] FrameBytes opening(Random& random, const Identity& who, const Learnt& learnt, const FrameHead& head);
// Any message that this role may send, and at times one that it may not.
[[nodiscard]] FrameBytes message(Random& random, const Identity& who, const Learnt& learnt, const FrameHead& head);

}  // namespace muster::fuzz

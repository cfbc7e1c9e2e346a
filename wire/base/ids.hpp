// Every id of the system as its own type.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

#include "wire/base/strong.hpp"

namespace muster {

// The number of the active master's term. Grows at every election; 0 = none seen yet.
using Epoch = Strong<struct EpochTag, std::uint64_t>;
// One life of a link: chosen by the connecting peer, larger at every (re-)registration,
// across restarts too. Frames of an older incarnation are refused.
using Incarnation = Strong<struct IncarnationTag, std::uint64_t>;
// Chosen once by the framework and kept in its store.
using FrameworkId = Strong<struct FrameworkIdTag, std::uint64_t>;
// Dense index of a node in the active master's table, valid within one epoch. A name keeps its index.
using NodeIndex = Strong<struct NodeIndexTag, std::uint32_t>;
// A connection as its shell numbers it; never reused while the process lives.
using LinkId = Strong<struct LinkIdTag, std::uint64_t>;
using JobId = Strong<struct JobIdTag, std::uint64_t>;
using ClaimId = Strong<struct ClaimIdTag, std::uint64_t>;

// An offer's place in the ledger. A stale generation is recognised in O(1).
struct OfferId {
  std::uint32_t slot{};
  std::uint32_t generation{};
  constexpr auto operator<=>(const OfferId&) const = default;
};

// One try at running a task on one node; the idempotency key of a launch. Opaque to the master and
// the nodes. Frameworks choose it, unique for all time within the framework. The gang packs
//   hi = job << 16 | try        lo = member << 32 | array index
// so that the elements of an array on one-node jobs are consecutive.
struct AttemptId {
  std::uint64_t hi{};
  std::uint64_t lo{};
  constexpr auto operator<=>(const AttemptId&) const = default;
};

[[nodiscard]] std::string to_string(const AttemptId& id);
[[nodiscard]] std::string to_string(const OfferId& id);

// Mixes all bits (splitmix64's finaliser): table keys are often consecutive.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) {
  x ^= x >> 30U;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27U;
  x *= 0x94d049bb133111ebULL;
  x ^= x >> 31U;
  return x;
}

}  // namespace muster

template <>
struct std::hash<muster::AttemptId> {
  std::size_t operator()(const muster::AttemptId& id) const noexcept {
    return muster::mix64(id.hi * 0x9e3779b97f4a7c15ULL + id.lo);
  }
};
template <>
struct std::hash<muster::OfferId> {
  std::size_t operator()(const muster::OfferId& id) const noexcept {
    return muster::mix64((std::uint64_t{id.slot} << 32U) | id.generation);
  }
};

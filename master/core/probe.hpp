// Probe: the master core's counters, in one place. Written by the core's thread; readers get a copy in the
// view. Every counter only grows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wire/schema/frame.hpp"

namespace muster::master {

struct Probe {
  static constexpr std::size_t kMessages = static_cast<std::size_t>(fb::Body::MAX) + 1;
  static constexpr std::size_t kCodes = 32;  // RefusedCode values; larger ones share the last place

  std::array<std::uint64_t, kMessages> frames_in{};   // by fb::Body
  std::array<std::uint64_t, kMessages> frames_out{};  // by fb::Body
  std::array<std::uint64_t, kCodes> refused{};        // by RefusedCode, Accepted's codes too
  std::uint64_t frames_bad{};                         // did not verify
  std::uint64_t frames_dropped{};                     // duplicates and frames of another life
  std::uint64_t gaps{};
  std::uint64_t stale_epochs_heard{};                 // peers that told us of a higher epoch

  std::uint64_t registrations{};
  std::uint64_t nodes_lost{};
  std::uint64_t subscriptions{};

  std::uint64_t offers_made{};
  std::uint64_t offers_accepted{};
  std::uint64_t offers_declined{};
  std::uint64_t offers_expired{};
  std::uint64_t offers_rescinded{};
  std::uint64_t offers_held{};
  std::uint64_t accepts{};          // taken whole
  std::uint64_t accepts_repeated{}; // answered again
  std::uint64_t accepts_refused{};

  std::uint64_t launches{};         // tasks booked by accepts
  std::uint64_t launches_sent{};    // entries in Launch and Prepare, repeats too
  std::uint64_t updates{};          // taken from nodes
  std::uint64_t updates_repeated{}; // seen already
  std::uint64_t updates_foreign{};  // about tasks the node was not given
  std::uint64_t updates_sent{};     // entries to frameworks
  std::uint64_t kills{};
  std::uint64_t tasks_ended{};
  std::uint64_t tasks_lost{};       // by the master's own word

  std::uint64_t gangs{};            // begun in two steps
  std::uint64_t gangs_started{};    // Go sent
  std::uint64_t gangs_released{};   // before Go
  std::uint64_t gangs_failed{};     // after Go

  std::uint64_t queued{};           // launches that were put in line
  std::uint64_t handed_over{};      // of those, took their predecessor's resources
  std::uint64_t out_of_line{};      // launches that could not be put in line: told not_started
  std::uint64_t recalled{};         // taken out of the line by the master itself

  std::uint64_t messages_forwarded{};
  std::uint64_t messages_shed{};    // more than its receiver takes

  std::uint64_t queries_shed{};     // operators' queries beyond their budget: told to come again
  std::uint64_t links_stalled{};    // links that ran out of credit or fell silent; their output waits in the tables
  std::uint64_t links_lost{};       // broke, or took no more frames
  std::uint64_t links_deaf{};       // closed: they sent on and read nothing

  void refuse(fb::RefusedCode code) {
    const auto at = static_cast<std::size_t>(code);
    ++refused[at < kCodes ? at : kCodes - 1];
  }
};

}  // namespace muster::master

// FakeOutbox: which tasks' updates are not acknowledged, for many nodes at once. Pure.
//
// A lane is a node's updates to one framework, numbered. An update's content is the task's present state; a newer one of
// the task makes the older an empty place.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "node/fake/fake_book.hpp"

namespace muster::node {

class FakeOutbox {
 public:
  struct Update {
    std::uint64_t seq{};
    FakeRow task;
  };

  explicit FakeOutbox(std::uint32_t nodes) : first_lane_(nodes, kNoPlace) {}

  // All sequences given out from now on are larger than `incarnation` × 2^20.
  void start_from(Incarnation incarnation);
  // The task has news: its new sequence. `fresh` is set to the lane if it had nothing unsent before.
  [[nodiscard]] std::uint64_t put(const FakeTask& task, std::uint32_t& fresh);

  // ---- a lane
  [[nodiscard]] std::uint32_t lane(FakePlace node, FrameworkId framework) const;  // kNoPlace: none
  [[nodiscard]] FakePlace node_of(std::uint32_t lane) const { return lanes_[lane].node; }
  [[nodiscard]] FrameworkId framework_of(std::uint32_t lane) const { return lanes_[lane].framework; }
  [[nodiscard]] bool has_unsent(std::uint32_t lane) const { return lanes_[lane].sent < lanes_[lane].updates.size(); }
  // REQUIRES has_unsent().
  [[nodiscard]] Update next_unsent(std::uint32_t lane) {
    Lane& l = lanes_[lane];
    return l.updates[l.sent++];
  }
  // Calls f(row, seq) for everything up to `seq`, which is on record now.
  template <class F>
  void acknowledge(std::uint32_t lane, std::uint64_t seq, F&& f) {
    // f may add lanes, never updates: what is forgotten has ended.
    Lane& l = lanes_[lane];
    std::size_t end = l.begin;
    while (end < l.updates.size() && l.updates[end].seq <= seq) {
      f(l.updates[end].task, l.updates[end].seq);
      ++end;
    }
    pending_ -= end - l.begin;
    l.begin = end;
    l.sent = std::max(l.sent, end);
    shrink(l);
  }
  // A new life: everything of this node is to be sent again. Calls f(lane) for lanes that have something.
  template <class F>
  void resend(FakePlace node, F&& f) {
    for (std::uint32_t at = first_lane_[node]; at != kNoPlace; at = lanes_[at].next) {
      lanes_[at].sent = lanes_[at].begin;
      if (has_unsent(at)) {
        f(at);
      }
    }
  }
  [[nodiscard]] std::size_t pending() const { return pending_; }

 private:
  struct Lane {
    FrameworkId framework;
    FakePlace node{};
    std::uint32_t next{kNoPlace};     // of its node
    std::uint64_t last{};             // sequence
    std::size_t begin{};              // in updates: what is before is acknowledged
    std::size_t sent{};               // the first that has not left in this life
    std::vector<Update> updates;
  };
  static void shrink(Lane& lane);

  std::uint64_t base_{1};
  std::size_t pending_{};
  std::vector<std::uint32_t> first_lane_;  // by node
  std::vector<Lane> lanes_;
};

}  // namespace muster::node

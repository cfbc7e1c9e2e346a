// StatusOutbox: which attempts' updates are not acknowledged, by sequence. Pure.
//
// An update's content is the task's present state, which stays in the task book; a newer update of an attempt
// takes the place of the older one. Sequences are counted per framework and grow across restarts of the agent:
// they start at the agent's first incarnation × 2^20, and the owner moves the persisted incarnation on before
// the next block is used (see reserve()). Incarnations themselves never go back, even when the disk was wiped,
// because they start from the wall clock's milliseconds.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "node/topology/cpu_map.hpp"
#include "wire/base/ids.hpp"

namespace muster::node {

class StatusOutbox {
 public:
  static constexpr unsigned kBlockBits = 20;

  explicit StatusOutbox(std::uint32_t in_flight_max) : in_flight_max_(in_flight_max) {}

  // All sequences given out from now on are larger than `incarnation` × 2^20.
  void start_from(Incarnation incarnation);

  // The attempt has news. `seq_before` is what put() returned for it earlier (0 = none, or acknowledged).
  [[nodiscard]] std::uint64_t put(const CpuKey& key, std::uint64_t seq_before);
  // What `seq` and all before it of this framework were: they are on record now.
  struct Acked {
    CpuKey key;
    std::uint64_t seq{};
  };
  [[nodiscard]] std::vector<Acked> acknowledge(FrameworkId framework, std::uint64_t seq);
  // Drops one, as if acknowledged.
  void drop(const CpuKey& key, std::uint64_t seq);

  // The next ones to send, in order per framework, within the window; at most `most`.
  [[nodiscard]] std::vector<Acked> take(std::size_t most);
  [[nodiscard]] bool has_unsent() const;  // take() would return something
  // A new life of the link: everything is to be sent again.
  void resend_all();
  void clear();

  // The smallest incarnation that covers all sequences used: persist it before they leave.
  [[nodiscard]] Incarnation reserve() const { return Incarnation(highest_ >> kBlockBits); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool holds(const CpuKey& key, std::uint64_t seq) const;

 private:
  struct Lane {
    std::uint64_t last{};                     // sequence
    std::uint64_t sent{};                     // all up to here have left in this life
    std::size_t in_flight{};                  // of pending, ≤ sent
    std::map<std::uint64_t, AttemptId> pending;
  };
  void erase(Lane& lane, std::map<std::uint64_t, AttemptId>::iterator at);

  std::uint32_t in_flight_max_;
  std::uint64_t base_{1};
  std::uint64_t highest_{};
  std::size_t size_{};
  std::map<FrameworkId, Lane> lanes_;
};

}  // namespace muster::node

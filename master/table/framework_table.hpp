// FrameworkTable: who the frameworks are, by FrameworkIndex. Pure. What they want and what they are due is in
// the allocator; their offers are in the OfferLedger, their tasks in the TaskTable.
//
//   (named by a node's report) ─► known ─ Subscribe ─► connected ─ link lost ─► known ─ failover timeout ─► gone
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "master/table/amounts.hpp"
#include "master/table/ids.hpp"
#include "wire/base/time.hpp"

namespace muster::master {

struct FrameworkEntry {
  FrameworkId id;
  std::string name;
  std::string role;
  std::string user;
  std::string version;
  Incarnation incarnation;       // of its last life
  LinkId link;                   // 0: none open
  Instant last_heard;            // when its link was lost
  bool subscribed{};             // in this epoch
  bool reported{};               // a node named it before it subscribed
  bool silent{};
  bool suppressed{};
  bool gone{};                   // its failover timeout has passed
  bool owned{};
  std::uint32_t owner_uid{};
  Duration failover_timeout{};   // 0 = never
  Instant timer_at{Instant::never()};  // its armed timer
  // Books over all nodes.
  Amounts used;
  Amounts offered;
  std::uint32_t tasks{};         // that hold resources
  std::uint32_t queued{};        // that wait in line

  [[nodiscard]] bool connected() const { return link.value() != 0; }
  // Its row is kept, should it come back, but lists leave it out.
  [[nodiscard]] bool has_left() const { return gone && tasks == 0 && queued == 0; }
};

class FrameworkTable {
 public:
  [[nodiscard]] FrameworkIndex find(FrameworkId id) const;
  // The framework's index, added (known only by its id) if new.
  FrameworkIndex find_or_add(FrameworkId id);
  [[nodiscard]] FrameworkEntry& operator[](FrameworkIndex framework) { return entries_[framework.value()]; }
  [[nodiscard]] const FrameworkEntry& operator[](FrameworkIndex framework) const {
    return entries_[framework.value()];
  }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(entries_.size()); }

 private:
  std::vector<FrameworkEntry> entries_;
  std::unordered_map<FrameworkId, FrameworkIndex> by_id_;  // looked up, never iterated
};

}  // namespace muster::master

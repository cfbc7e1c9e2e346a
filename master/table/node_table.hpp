// NodeTable: who the nodes are and what is known of them, by NodeIndex. Pure. A name keeps its index for the
// whole epoch. What a node has and has given is in the OfferLedger.
//
//   (unheard) ─ Register ─► up ─ silence ─► up, silent ─ fence + margin ─► lost ─ Register ─► up
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "master/table/ids.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::master {

struct Node {
  // Its link.
  Incarnation incarnation;          // of its last life
  LinkId link;                      // 0: none open
  Instant last_heard;               // when its link was lost; while it has one, the link knows better
  bool silent{};                    // has a link, but nothing comes
  bool lost{};
  bool owned{};                     // registered over a local link
  std::uint32_t owner_uid{};
  Instant timer_at{Instant::never()};  // its armed timer
  // Identity: what its last Register said.
  std::string name;
  std::string boot_id;
  std::uint32_t boot{};             // its boot number; 0 = it does not say
  std::string switch_name;
  std::string endpoint;
  std::string version;
  std::vector<std::string> attributes;
  std::uint64_t topology_hash{};
  // Drain: an operator's word to this master outlives what the node restates.
  bool drained{};
  bool operator_spoke{};
  std::string drain_reason;
  // Place in the inventory's history of changes.
  std::uint64_t changed_version{};

  [[nodiscard]] bool attached() const { return link.value() != 0; }
  // Gets offers.
  [[nodiscard]] bool offerable() const { return attached() && !silent && !lost && !drained; }
  [[nodiscard]] fb::NodeState state() const {
    return lost ? fb::NodeState::Lost : drained ? fb::NodeState::Draining : fb::NodeState::Up;
  }
};

class NodeTable {
 public:
  // The node's index, or kNoNode.
  [[nodiscard]] NodeIndex find(std::string_view name) const;
  // REQUIRES: the name is new.
  NodeIndex add(std::string_view name);
  [[nodiscard]] bool has(NodeIndex node) const { return node.value() < nodes_.size(); }
  [[nodiscard]] Node& operator[](NodeIndex node) { return nodes_[node.value()]; }
  [[nodiscard]] const Node& operator[](NodeIndex node) const { return nodes_[node.value()]; }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(nodes_.size()); }

  // ---- the inventory's history: version n is the n-th change
  void note_change(NodeIndex node);
  [[nodiscard]] std::uint64_t version() const { return version_; }
  // The nodes changed after `since`, each once, oldest change first. False: too long ago, send all.
  [[nodiscard]] bool changes_since(std::uint64_t since, std::vector<NodeIndex>& out) const;

 private:
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::vector<Node> nodes_;
  std::unordered_map<std::string, NodeIndex, NameHash, std::equal_to<>> by_name_;  // looked up, never iterated
  std::vector<std::pair<std::uint64_t, NodeIndex>> history_;
  std::uint64_t version_{};
  std::uint64_t history_from_{};  // changes up to this one are not in history_
};

}  // namespace muster::master

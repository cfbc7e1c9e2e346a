// DeclineFilters: "not to me from this node before then". Pure.
#pragma once

#include <cstdint>
#include <set>
#include <unordered_map>
#include <vector>

#include "master/table/ids.hpp"
#include "wire/base/time.hpp"

namespace muster::master {

class DeclineFilters {
 public:
  // A later end replaces an earlier one; an earlier end is ignored.
  void add(FrameworkIndex framework, NodeIndex node, Instant until);
  [[nodiscard]] bool blocks(FrameworkIndex framework, NodeIndex node, Instant now) const;
  // The nodes that were blocked are appended to `out`, in order of node.
  void drop(FrameworkIndex framework, std::vector<NodeIndex>& out);
  [[nodiscard]] Instant next_end() const { return by_end_.empty() ? Instant::never() : by_end_.begin()->end; }
  // Ends what has run out; the nodes are appended to `out` in order of end.
  void end(Instant now, std::vector<NodeIndex>& out);
  [[nodiscard]] std::size_t size() const { return by_end_.size(); }

 private:
  struct Ending {
    Instant end;
    FrameworkIndex framework;
    NodeIndex node;
    auto operator<=>(const Ending&) const = default;
  };
  static std::uint64_t key_of(FrameworkIndex framework, NodeIndex node) {
    return mix64((std::uint64_t{framework.value()} << 32U) | node.value());
  }
  std::unordered_map<std::uint64_t, Instant> ends_;      // looked up, never iterated; mix64 loses nothing
  std::set<Ending> by_end_;
  std::vector<std::set<NodeIndex>> by_framework_;
};

}  // namespace muster::master

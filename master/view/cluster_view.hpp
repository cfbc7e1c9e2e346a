// ClusterView: the immutable picture of the master's tables that every reader gets. Pure data: built by
// MasterCore::view() on the core's thread, read by any.
//
// Rows stand in chunks; a chunk that did not change since the last view is shared with it. Within a table rows
// are in order of their id, places that hold nothing are left out.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "master/core/probe.hpp"
#include "master/table/amounts.hpp"
#include "wire/base/ids.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/frame.hpp"

namespace muster::master {

// The rows of one table.
template <class Row>
class ViewRows {
 public:
  using Chunk = std::vector<Row>;
  static constexpr std::size_t kChunkPlaces = 256;  // table places per chunk, empty ones counted

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const std::vector<std::shared_ptr<const Chunk>>& chunks() const { return chunks_; }
  // Calls f(row) in order of id.
  template <class F>
  void for_each(F&& f) const {
    for (const auto& chunk : chunks_) {
      for (const Row& row : *chunk) {
        f(row);
      }
    }
  }

  // For the builder.
  void resize_chunks(std::size_t chunks) {
    while (chunks_.size() > chunks) {
      size_ -= chunks_.back()->size();
      chunks_.pop_back();
    }
    while (chunks_.size() < chunks) {
      chunks_.push_back(std::make_shared<const Chunk>());
    }
  }
  void replace_chunk(std::size_t at, Chunk rows) {
    size_ -= chunks_[at]->size();
    size_ += rows.size();
    chunks_[at] = std::make_shared<const Chunk>(std::move(rows));
  }
  void replace_chunk(std::size_t at, std::shared_ptr<const Chunk> rows) {
    size_ -= chunks_[at]->size();
    size_ += rows->size();
    chunks_[at] = std::move(rows);
  }

 private:
  std::vector<std::shared_ptr<const Chunk>> chunks_;
  std::size_t size_{};
};

struct NodeView {
  NodeIndex index;
  std::string name;
  fb::NodeState state{};
  bool reachable{};            // registered on an open link and not silent
  Resources capacity;          // used + offered + free, exactly
  Resources used;
  Resources offered;
  Resources free;
  std::uint32_t tasks{};       // that hold resources
  std::uint32_t offers{};
  std::string drain_reason;
  std::string endpoint;
  std::string switch_name;
  std::vector<std::string> attributes;
  std::string boot_id;
  std::string version;
  std::uint64_t topology_hash{};
  bool operator==(const NodeView&) const = default;
};

struct FrameworkView {
  FrameworkId id;
  std::string name;
  std::string role;
  std::string user;
  bool connected{};
  bool suppressed{};
  Amounts used;
  Amounts offered;
  std::uint32_t tasks{};
  std::uint32_t offers{};
  std::uint32_t wants{};       // shapes it still asks for
  double weight{1.0};          // of its role
  double dominant_share{};
  bool operator==(const FrameworkView&) const = default;
};

struct OfferView {
  OfferId id;
  NodeIndex node;
  std::string node_name;
  FrameworkId framework;
  std::string framework_name;
  Resources resources;
  bool held{};
  Instant lease_end;           // compare with ClusterView::time.mono
  bool operator==(const OfferView&) const = default;
};

struct TaskView {
  AttemptId attempt;
  FrameworkId framework;
  std::string framework_name;
  NodeIndex node;
  std::string node_name;
  std::string name;            // of its job, "" if this master did not launch it
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  Resources shape;
  bool holds_resources{};
  WallTime started;            // 0 = never
  WallTime ended;
  std::string cpus;            // bound on the node, once running
  bool operator==(const TaskView&) const = default;
};

struct ClusterView {
  Epoch epoch;
  bool settled{};
  Now time;                    // when it was taken: its age is the reader's clock minus time.mono
  Duration uptime;             // of this master
  std::string version;
  std::uint64_t serial{};      // grows with every view

  ViewRows<NodeView> nodes;
  ViewRows<FrameworkView> frameworks;
  ViewRows<OfferView> offers;
  ViewRows<TaskView> tasks;

  Amounts capacity;            // over the nodes that are not lost
  Amounts used;
  Amounts offered;
  std::uint32_t links{};
  Probe probe;
};

}  // namespace muster::master

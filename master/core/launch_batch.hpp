// LaunchBatch: one Launch or Prepare under construction. Pure. What many launches share is written once.
#pragma once

#include <vector>

#include "master/table/framework_table.hpp"
#include "master/table/task_table.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::master {

class LaunchBatch {
 public:
  // `mark` tells this batch's specifications from another's: different for every batch.
  explicit LaunchBatch(std::uint64_t mark) : mark_(mark) {}

  void add(const Task& task, TaskTable& tasks, FrameworkId framework);
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  // Specifications may be large: a frame has its limit.
  [[nodiscard]] bool full(std::size_t records_max) const {
    return entries_.size() >= records_max || spec_bytes_ >= kSpecBytesMax || shapes_.full();
  }
  // The body, finished in builder(); then restart().
  template <class BodyTable>
  [[nodiscard]] flatbuffers::Offset<BodyTable> finish() {
    const auto entries = builder_.CreateVectorOfStructs(entries_);
    const auto specs = builder_.CreateVector(specs_);
    const auto shapes = shapes_.build(builder_);
    const auto frameworks = builder_.CreateVector(frameworks_);
    const auto predecessors = predecessors_.empty() ? flatbuffers::Offset<flatbuffers::Vector<const fb::AttemptId*>>{}
                                                    : builder_.CreateVectorOfStructs(predecessors_);
    typename BodyTable::Builder body(builder_);
    if constexpr (requires { body.add_predecessors(predecessors); }) {
      if (!predecessors_.empty()) {
        body.add_predecessors(predecessors);
      }
    }
    body.add_launches(entries);
    body.add_specs(specs);
    body.add_shapes(shapes);
    body.add_frameworks(frameworks);
    return body.Finish();
  }
  void restart(std::uint64_t mark);
  [[nodiscard]] flatbuffers::FlatBufferBuilder& builder() { return builder_; }

 private:
  static constexpr std::size_t kSpecBytesMax = 1U << 20U;
  std::uint64_t mark_;
  flatbuffers::FlatBufferBuilder builder_;
  std::vector<fb::LaunchEntry> entries_;
  std::vector<fb::AttemptId> predecessors_;
  std::vector<flatbuffers::Offset<fb::SpecBytes>> specs_;
  std::vector<std::uint64_t> frameworks_;
  ShapeTable shapes_;
  std::size_t spec_bytes_{};
};

}  // namespace muster::master

#include "master/core/launch_batch.hpp"

#include <algorithm>

namespace muster::master {

void LaunchBatch::add(const Task& task, TaskTable& tasks, FrameworkId framework) {
  Spec& spec = tasks.spec(task.spec);
  if (spec.frame_mark != mark_) {
    spec.frame_mark = mark_;
    spec.frame_place = static_cast<std::uint16_t>(specs_.size());
    builder_.ForceVectorAlignment(spec.bytes.size(), 1, 8);
    specs_.push_back(fb::CreateSpecBytes(builder_, builder_.CreateVector(spec.bytes)));
    spec_bytes_ += spec.bytes.size();
  }
  auto place = std::find(frameworks_.rbegin(), frameworks_.rend(), framework.value());
  if (place == frameworks_.rend()) {
    frameworks_.push_back(framework.value());
    place = frameworks_.rbegin();
  }
  std::uint16_t after = 0;
  if (task.state == TaskState::queued) {
    predecessors_.push_back(to_fb(tasks[task.predecessor].attempt));
    after = static_cast<std::uint16_t>(predecessors_.size());
  }
  const auto framework_place = static_cast<std::uint16_t>(frameworks_.rend() - place - 1);
  const TaskKind& kind = tasks.kind(task);
  const TaskPart part = tasks.part(task);
  entries_.emplace_back(to_fb(task.attempt), task.node.value(), task.array_index, part.first_rank, kind.ranks,
                        part.gang_number, part.member, spec.frame_place, shapes_.place_of(kind.shape), framework_place,
                        after);
}

void LaunchBatch::restart(std::uint64_t mark) {
  mark_ = mark;
  builder_.Clear();
  entries_.clear();
  predecessors_.clear();
  specs_.clear();
  frameworks_.clear();
  shapes_.clear();
  spec_bytes_ = 0;
}

}  // namespace muster::master

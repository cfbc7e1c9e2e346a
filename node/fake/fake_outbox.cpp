#include "node/fake/fake_outbox.hpp"

#include <algorithm>

namespace muster::node {
namespace {

constexpr unsigned kBlockBits = 20;
constexpr std::size_t kShrinkAbove = 64;

}  // namespace

void FakeOutbox::start_from(Incarnation incarnation) { base_ = std::max(base_, incarnation.value() << kBlockBits); }

std::uint32_t FakeOutbox::lane(FakePlace node, FrameworkId framework) const {
  std::uint32_t at = first_lane_[node];
  while (at != kNoPlace && lanes_[at].framework != framework) {
    at = lanes_[at].next;
  }
  return at;
}

std::uint64_t FakeOutbox::put(const FakeTask& task, std::uint32_t& fresh) {
  std::uint32_t at = lane(task.node, task.key.framework);
  if (at == kNoPlace) {
    at = static_cast<std::uint32_t>(lanes_.size());
    Lane& lane = lanes_.emplace_back();
    lane.framework = task.key.framework;
    lane.node = task.node;
    lane.next = first_lane_[task.node];
    first_lane_[task.node] = at;
  }
  Lane& lane = lanes_[at];
  fresh = has_unsent(at) ? kNoPlace : at;
  lane.last = std::max(lane.last, base_) + 1;
  lane.updates.push_back({lane.last, {task.slot, task.generation}});
  ++pending_;
  return lane.last;
}

void FakeOutbox::shrink(Lane& lane) {
  if (lane.begin == lane.updates.size()) {
    lane.updates.clear();
    lane.begin = lane.sent = 0;
    if (lane.updates.capacity() > 4 * kShrinkAbove) {
      lane.updates.shrink_to_fit();
    }
  } else if (lane.begin > kShrinkAbove && lane.begin > lane.updates.size() / 2) {
    lane.updates.erase(lane.updates.begin(), lane.updates.begin() + static_cast<std::ptrdiff_t>(lane.begin));
    lane.sent -= lane.begin;
    lane.begin = 0;
  }
}

}  // namespace muster::node

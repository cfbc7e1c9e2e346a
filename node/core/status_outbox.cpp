#include "node/core/status_outbox.hpp"

#include <algorithm>

namespace muster::node {

void StatusOutbox::start_from(Incarnation incarnation) {
  base_ = std::max(base_, incarnation.value() << kBlockBits);
  highest_ = std::max(highest_, base_);
}

void StatusOutbox::erase(Lane& lane, std::map<std::uint64_t, AttemptId>::iterator at) {
  if (at->first <= lane.sent) {
    --lane.in_flight;
  }
  lane.pending.erase(at);
  --size_;
}

std::uint64_t StatusOutbox::put(const CpuKey& key, std::uint64_t seq_before) {
  Lane& lane = lanes_[key.framework];
  if (const auto at = lane.pending.find(seq_before); at != lane.pending.end() && at->second == key.attempt) {
    erase(lane, at);
  }
  lane.last = std::max(lane.last, base_) + 1;
  highest_ = std::max(highest_, lane.last);
  lane.pending.emplace_hint(lane.pending.end(), lane.last, key.attempt);
  ++size_;
  return lane.last;
}

std::vector<StatusOutbox::Acked> StatusOutbox::acknowledge(FrameworkId framework, std::uint64_t seq) {
  std::vector<Acked> acked;
  const auto lane = lanes_.find(framework);
  if (lane == lanes_.end()) {
    return acked;
  }
  auto& pending = lane->second.pending;
  while (!pending.empty() && pending.begin()->first <= seq) {
    acked.push_back({CpuKey{framework, pending.begin()->second}, pending.begin()->first});
    erase(lane->second, pending.begin());
  }
  return acked;
}

void StatusOutbox::drop(const CpuKey& key, std::uint64_t seq) {
  const auto lane = lanes_.find(key.framework);
  if (lane == lanes_.end()) {
    return;
  }
  if (const auto at = lane->second.pending.find(seq); at != lane->second.pending.end() && at->second == key.attempt) {
    erase(lane->second, at);
  }
}

std::vector<StatusOutbox::Acked> StatusOutbox::take(std::size_t most) {
  std::vector<Acked> out;
  for (auto& [framework, lane] : lanes_) {
    auto at = lane.pending.upper_bound(lane.sent);
    while (at != lane.pending.end() && out.size() < most && lane.in_flight < in_flight_max_) {
      out.push_back({CpuKey{framework, at->second}, at->first});
      lane.sent = at->first;
      ++lane.in_flight;
      ++at;
    }
  }
  return out;
}

bool StatusOutbox::has_unsent() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [this](const auto& entry) {
    const Lane& lane = entry.second;
    return !lane.pending.empty() && lane.pending.rbegin()->first > lane.sent && lane.in_flight < in_flight_max_;
  });
}

void StatusOutbox::resend_all() {
  for (auto& [framework, lane] : lanes_) {
    lane.sent = 0;
    lane.in_flight = 0;
  }
}

void StatusOutbox::clear() {
  for (auto& [framework, lane] : lanes_) {
    lane.pending.clear();
    lane.in_flight = 0;
  }
  size_ = 0;
}

bool StatusOutbox::holds(const CpuKey& key, std::uint64_t seq) const {
  const auto lane = lanes_.find(key.framework);
  if (lane == lanes_.end()) {
    return false;
  }
  const auto at = lane->second.pending.find(seq);
  return at != lane->second.pending.end() && at->second == key.attempt;
}

}  // namespace muster::node

#include "sched/gang/lines.hpp"

#include <algorithm>

#include "wire/base/check.hpp"

namespace muster::gang {

LineKind line_kind(std::uint32_t uid, const Resources& need) {
  return {.uid = uid,
          .cpus_milli = need.cpus_milli,
          .gpus = need.gpus,
          .memory_bytes = need.memory_bytes,
          .disk_bytes = need.disk_bytes};
}

void Lines::open(const AttemptId& first, const LineKind& kind, const std::string& node) {
  const std::uint64_t id = next_++;
  lines_.emplace(id, Line{kind, node, {first}});
  by_kind_[kind].emplace(0, id);
  by_attempt_[first] = id;
}

void Lines::append(const AttemptId& tail, const AttemptId& attempt) {
  const std::uint64_t id = by_attempt_.at(tail);
  Line& line = lines_.at(id);
  check(line.attempts.back() == tail, "lines: an attempt that others follow is followed");
  auto& places = by_kind_[line.kind];
  places.erase({line.attempts.size() - 1, id});
  line.attempts.push_back(attempt);
  places.emplace(line.attempts.size() - 1, id);
  by_attempt_[attempt] = id;
}

std::optional<AttemptId> Lines::remove(const AttemptId& attempt) {
  const auto found = by_attempt_.find(attempt);
  if (found == by_attempt_.end()) {
    return std::nullopt;
  }
  const std::uint64_t id = found->second;
  by_attempt_.erase(found);
  Line& line = lines_.at(id);
  const auto kind = by_kind_.find(line.kind);
  kind->second.erase({line.attempts.size() - 1, id});
  const auto place = std::find(line.attempts.begin(), line.attempts.end(), attempt);
  const bool was_first = place == line.attempts.begin();
  line.attempts.erase(place);
  if (line.attempts.empty()) {
    lines_.erase(id);
    if (kind->second.empty()) {
      by_kind_.erase(kind);
    }
    return std::nullopt;
  }
  kind->second.emplace(line.attempts.size() - 1, id);
  return was_first ? std::optional(line.attempts.front()) : std::nullopt;
}

std::vector<Lines::Tail> Lines::tails(const LineKind& kind, std::size_t queued) const {
  std::vector<Tail> out;
  const auto places = by_kind_.find(kind);
  if (places == by_kind_.end()) {
    return out;
  }
  for (auto it = places->second.lower_bound({queued, 0}); it != places->second.end() && it->first == queued; ++it) {
    const Line& line = lines_.at(it->second);
    out.push_back({line.attempts.back(), line.node});
  }
  return out;
}

}  // namespace muster::gang

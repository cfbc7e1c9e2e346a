#include "sched/gang/array_state.hpp"

#include <algorithm>

#include "wire/base/check.hpp"

namespace muster::gang {

ArrayIndexes::ArrayIndexes(std::vector<Range> ranges) : ranges_(std::move(ranges)) {
  check(!ranges_.empty(), "array: no elements");
  std::uint64_t size = 0;
  for (const Range& range : ranges_) {
    check(range.first <= range.last && range.step >= 1, "array: a range is empty");
    starts_.push_back(static_cast<std::uint32_t>(size));
    size += (range.last - range.first) / range.step + 1U;
  }
  check(size < 0xffff'ffffU, "array: too many elements");
  size_ = static_cast<std::uint32_t>(size);
}

std::uint32_t ArrayIndexes::index_of(std::uint32_t ordinal) const {
  check(ordinal < size_, "array: no such element");
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), ordinal);
  const auto place = static_cast<std::size_t>(next - starts_.begin()) - 1;
  return ranges_[place].first + (ordinal - starts_[place]) * ranges_[place].step;
}

std::uint32_t ArrayIndexes::lower_bound(std::uint32_t index) const {
  for (std::size_t i = 0; i < ranges_.size(); ++i) {
    const Range& range = ranges_[i];
    if (index <= range.first) {
      return starts_[i];
    }
    const std::uint32_t steps = (index - range.first + range.step - 1) / range.step;
    if (index <= range.last && range.first + steps * range.step <= range.last) {
      return starts_[i] + steps;
    }
  }
  return size_;
}

std::optional<std::uint32_t> ArrayIndexes::ordinal_of(std::uint32_t index) const {
  const std::uint32_t ordinal = lower_bound(index);
  if (ordinal >= size_ || index_of(ordinal) != index) {
    return std::nullopt;
  }
  return ordinal;
}

ArrayState::ArrayState(ArrayIndexes indexes) : indexes_(std::move(indexes)), pending_(indexes_.size()) {}

const ArrayState::Skipped* ArrayState::skipped_at(std::uint32_t ordinal) const {
  auto next = skipped_.upper_bound(ordinal);
  if (next == skipped_.begin()) {
    return nullptr;
  }
  --next;
  return next->second.last >= ordinal ? &next->second : nullptr;
}

// Moves the cursor over what is no longer plainly pending.
void ArrayState::advance() {
  while (cursor_ < size()) {
    if (const Skipped* skipped = skipped_at(cursor_)) {
      cursor_ = skipped->last + 1;
    } else if (!ahead_.empty() && *ahead_.begin() == cursor_) {
      ahead_.erase(ahead_.begin());
      ++cursor_;
    } else {
      return;
    }
  }
}

std::optional<ArrayState::Startable> ArrayState::peek() const {
  if (!retries_.empty()) {
    return Startable{retries_.begin()->first, retries_.begin()->second};
  }
  if (cursor_ < size()) {
    return Startable{cursor_, 1};
  }
  return std::nullopt;
}

void ArrayState::start(std::uint32_t ordinal) {
  if (const auto retry = retries_.find(ordinal); retry != retries_.end()) {
    retries_.erase(retry);
  } else {
    check(ordinal == cursor_ && cursor_ < size(), "array: an element starts out of turn");
    ++cursor_;
    advance();
  }
  --pending_;
  ++running_;
}

void ArrayState::retry(std::uint32_t ordinal, std::uint32_t next_try) {
  check(running_ > 0, "array: nothing runs that could be retried");
  const bool fresh = retries_.emplace(ordinal, next_try).second;
  check(fresh, "array: an element is retried twice");
  --running_;
  ++pending_;
}

void ArrayState::record_end(std::uint32_t ordinal, const EndRecord& record) {
  std::unique_ptr<Chunk>& chunk = ends_[ordinal / kChunk];
  if (!chunk) {
    chunk = std::make_unique<Chunk>();
  }
  (*chunk)[ordinal % kChunk] = record;
  ++by_state_[static_cast<std::size_t>(record.state)];
}

void ArrayState::end(std::uint32_t ordinal, const EndRecord& record) {
  check(running_ > 0, "array: an element that does not run ends");
  check(record.state >= fb::JobState::Completed, "array: an end without a final state");
  --running_;
  record_end(ordinal, record);
}

void ArrayState::skip(std::uint32_t first, std::uint32_t last, fb::JobState state, WallTime at) {
  skipped_[first] = Skipped{last, state, at};
  by_state_[static_cast<std::size_t>(state)] += last - first + 1;
  pending_ -= last - first + 1;
}

std::vector<ArrayState::Cancelled> ArrayState::cancel_pending(std::uint32_t first, std::uint32_t last,
                                                              fb::JobState state, WallTime at) {
  std::vector<Cancelled> done;
  last = std::min(last, size() - 1);
  for (auto it = retries_.lower_bound(first); it != retries_.end() && it->first <= last;) {
    const std::uint32_t ordinal = it->first;
    EndRecord record;
    record.ended_ns = at.ns();
    record.state = state;
    record.try_number = static_cast<std::uint16_t>(it->second - 1);
    it = retries_.erase(it);
    --pending_;
    record_end(ordinal, record);
    done.push_back({ordinal, ordinal});
  }
  for (std::uint32_t at_ordinal = std::max(first, cursor_); at_ordinal <= last;) {
    if (const Skipped* skipped = skipped_at(at_ordinal)) {
      at_ordinal = skipped->last + 1;
      continue;
    }
    const auto ahead = ahead_.lower_bound(at_ordinal);
    if (ahead != ahead_.end() && *ahead == at_ordinal) {
      ++at_ordinal;
      continue;
    }
    std::uint32_t stop = last;
    if (const auto next = skipped_.upper_bound(at_ordinal); next != skipped_.end()) {
      stop = std::min(stop, next->first - 1);
    }
    if (ahead != ahead_.end()) {
      stop = std::min(stop, *ahead - 1);
    }
    skip(at_ordinal, stop, state, at);
    done.push_back({at_ordinal, stop});
    at_ordinal = stop + 1;
  }
  advance();
  return done;
}

void ArrayState::take_out(std::uint32_t ordinal) {
  check(ordinal >= cursor_ && skipped_at(ordinal) == nullptr && !ahead_.contains(ordinal),
        "array: an element is restored twice");
  ahead_.insert(ordinal);
  advance();
}

void ArrayState::restore_running(std::uint32_t ordinal) {
  take_out(ordinal);
  --pending_;
  ++running_;
}

void ArrayState::restore_retry(std::uint32_t ordinal, std::uint32_t next_try) {
  take_out(ordinal);
  retries_.emplace(ordinal, next_try);
}

void ArrayState::restore_ended(std::uint32_t ordinal, const EndRecord& record) {
  take_out(ordinal);
  --pending_;
  record_end(ordinal, record);
}

fb::JobState ArrayState::state_of(std::uint32_t ordinal) const {
  if (const auto end = end_of(ordinal)) {
    return end->state;
  }
  if (retries_.contains(ordinal) || (ordinal >= cursor_ && !ahead_.contains(ordinal))) {
    return fb::JobState::Pending;
  }
  return fb::JobState::Running;
}

std::optional<EndRecord> ArrayState::end_of(std::uint32_t ordinal) const {
  if (const auto chunk = ends_.find(ordinal / kChunk); chunk != ends_.end()) {
    const EndRecord& record = (*chunk->second)[ordinal % kChunk];
    if (record.state >= fb::JobState::Completed) {
      return record;
    }
  }
  if (const Skipped* skipped = skipped_at(ordinal)) {
    EndRecord record;
    record.ended_ns = skipped->at.ns();
    record.state = skipped->state;
    return record;
  }
  return std::nullopt;
}

std::uint32_t ArrayState::next_try(std::uint32_t ordinal) const {
  const auto retry = retries_.find(ordinal);
  return retry == retries_.end() ? 1 : retry->second;
}

}  // namespace muster::gang

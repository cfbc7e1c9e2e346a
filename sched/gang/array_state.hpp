// ArrayState: where each element of a job stands, without a row per element that has not run. Pure.
//
//   pending ── start ──► running ── end ──► ended
//      ▲                    │
//      └────── retry ───────┘              pending ── cancel ──► ended (never had an attempt, or only failed starts)
//
// Elements are addressed by ordinal (0 … size-1, in ascending index order). Pending ones are a cursor, a short list of
// retries and the ranges cancelled ahead of the cursor; ended ones cost 24 bytes each. A job that is no array has one
// element, index 0.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::gang {

// Maps ordinals to indexes and back. Pure.
class ArrayIndexes {
 public:
  struct Range { std::uint32_t first{}, last{}, step{1}; };
  ArrayIndexes() : ArrayIndexes(std::vector<Range>{{0, 0, 1}}) {}
  // REQUIRES ascending, disjoint ranges with first ≤ last and step ≥ 1, 2^32-1 elements at most (check()).
  explicit ArrayIndexes(std::vector<Range> ranges);
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::uint32_t index_of(std::uint32_t ordinal) const;
  [[nodiscard]] std::optional<std::uint32_t> ordinal_of(std::uint32_t index) const;
  // The first ordinal whose index is ≥ index; size() if none.
  [[nodiscard]] std::uint32_t lower_bound(std::uint32_t index) const;
  [[nodiscard]] std::uint32_t min() const { return ranges_.front().first; }
  [[nodiscard]] std::uint32_t max() const { return index_of(size_ - 1); }

 private:
  std::vector<Range> ranges_;
  std::vector<std::uint32_t> starts_;  // ordinal of each range's first
  std::uint32_t size_{};
};

// What is kept in memory of an ended element. `place` names its node list in the job's table.
struct EndRecord {
  static constexpr std::uint32_t kNeverStarted = 0xffff'ffff;
  static constexpr std::uint16_t kNone = 0xffff;
  std::int64_t ended_ns{};
  std::uint32_t duration_ms{kNeverStarted};
  std::int16_t exit_code{};
  std::uint16_t reason{kNone};  // place in the job's texts
  std::uint16_t nodes{kNone};   // place in the job's node lists
  std::uint16_t try_number{};
  fb::JobState state{};
  std::uint8_t signal{};
  std::uint16_t reserved{};
};
static_assert(sizeof(EndRecord) == 24);

class ArrayState {
 public:
  static constexpr std::size_t kStates = 10;
  explicit ArrayState(ArrayIndexes indexes);

  struct Startable { std::uint32_t ordinal{}; std::uint32_t try_number{1}; };
  // Retries first, then by ordinal.
  [[nodiscard]] std::optional<Startable> peek() const;
  void start(std::uint32_t ordinal);                              // REQUIRES that peek() named it
  void retry(std::uint32_t ordinal, std::uint32_t next_try);      // a running one is pending again
  void end(std::uint32_t ordinal, const EndRecord& record);       // a running one has ended
  struct Cancelled { std::uint32_t first{}, last{}; };            // ordinals
  // Ends what is pending of these ordinals; returns the ranges that it ended.
  std::vector<Cancelled> cancel_pending(std::uint32_t first, std::uint32_t last, fb::JobState state, WallTime at);

  // For reloading, before anything else: an element that stands elsewhere than pending-and-never-tried.
  void restore_running(std::uint32_t ordinal);
  void restore_retry(std::uint32_t ordinal, std::uint32_t next_try);
  void restore_ended(std::uint32_t ordinal, const EndRecord& record);

  [[nodiscard]] const ArrayIndexes& indexes() const { return indexes_; }
  [[nodiscard]] std::uint32_t size() const { return indexes_.size(); }
  [[nodiscard]] std::uint32_t pending() const { return pending_; }
  [[nodiscard]] std::uint32_t running() const { return running_; }
  [[nodiscard]] std::uint32_t ended() const { return size() - pending_ - running_; }
  [[nodiscard]] std::uint32_t ended(fb::JobState state) const { return by_state_[static_cast<std::size_t>(state)]; }
  // Pending, Running or the end's state.
  [[nodiscard]] fb::JobState state_of(std::uint32_t ordinal) const;
  // Of an ended element.
  [[nodiscard]] std::optional<EndRecord> end_of(std::uint32_t ordinal) const;
  // The next try of a pending element.
  [[nodiscard]] std::uint32_t next_try(std::uint32_t ordinal) const;

 private:
  static constexpr std::uint32_t kChunk = 1024;
  using Chunk = std::array<EndRecord, kChunk>;
  struct Skipped { std::uint32_t last{}; fb::JobState state{}; WallTime at; };

  void record_end(std::uint32_t ordinal, const EndRecord& record);
  void advance();
  // The skipped range that holds ordinal.
  [[nodiscard]] const Skipped* skipped_at(std::uint32_t ordinal) const;
  void skip(std::uint32_t first, std::uint32_t last, fb::JobState state, WallTime at);
  void take_out(std::uint32_t ordinal);  // restore: it is no longer plainly pending

  ArrayIndexes indexes_;
  std::uint32_t cursor_{};                          // ordinals ≥ cursor_ have had no attempt, but for those in ahead_
  std::map<std::uint32_t, std::uint32_t> retries_;  // ordinal → next try
  std::map<std::uint32_t, Skipped> skipped_;        // by first ordinal: ended without an attempt
  std::set<std::uint32_t> ahead_;                   // restored beyond the cursor: not plainly pending
  std::map<std::uint32_t, std::unique_ptr<Chunk>> ends_;
  std::array<std::uint32_t, kStates> by_state_{};
  std::uint32_t pending_{};
  std::uint32_t running_{};
};

}  // namespace muster::gang

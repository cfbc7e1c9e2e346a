// Goal: ArrayState is what a row per element would be. Method: random operations on both, compared after each.
#include "sched/gang/array_state.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace muster;
using namespace muster::gang;

namespace {

struct Row {
  fb::JobState state{fb::JobState::Pending};
  std::uint32_t next_try{1};
};

std::vector<ArrayIndexes::Range> random_ranges(std::mt19937_64& random) {
  std::vector<ArrayIndexes::Range> ranges;
  std::uint32_t at = static_cast<std::uint32_t>(random() % 5);
  const std::size_t count = 1 + random() % 4;
  for (std::size_t i = 0; i < count; ++i) {
    const auto step = static_cast<std::uint32_t>(1 + random() % 3);
    const auto last = at + static_cast<std::uint32_t>(random() % 40);
    ranges.push_back({at, last, step});
    at = last + 1 + static_cast<std::uint32_t>(random() % 4);
  }
  return ranges;
}

EndRecord end_as(fb::JobState state) {
  EndRecord end;
  end.state = state;
  return end;
}

}  // namespace

TEST_CASE("indexes and ordinals agree over stepped ranges", "[gang]") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    std::mt19937_64 random(seed);
    const auto ranges = random_ranges(random);
    const ArrayIndexes indexes(ranges);
    std::vector<std::uint32_t> all;
    for (const auto& range : ranges) {
      for (std::uint32_t i = range.first; i <= range.last; i += range.step) {
        all.push_back(i);
      }
    }
    REQUIRE(indexes.size() == all.size());
    for (std::uint32_t i = 0; i < all.back() + 3; ++i) {
      const auto place = std::lower_bound(all.begin(), all.end(), i);
      CHECK(indexes.lower_bound(i) == place - all.begin());
      const bool there = place != all.end() && *place == i;
      CHECK(indexes.ordinal_of(i).has_value() == there);
      if (there) {
        CHECK(indexes.index_of(static_cast<std::uint32_t>(place - all.begin())) == i);
      }
    }
  }
}

TEST_CASE("an array state equals a row per element", "[gang]") {
  using S = fb::JobState;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    ArrayState state{ArrayIndexes(random_ranges(random))};
    std::vector<Row> rows(state.size());
    if (seed % 3 == 0) {  // some were restored
      for (std::uint32_t i = 0; i < state.size(); ++i) {
        switch (random() % 8) {
          case 0: state.restore_running(i); rows[i].state = S::Running; break;
          case 1: state.restore_ended(i, end_as(S::Failed)); rows[i].state = S::Failed; break;
          case 2: state.restore_retry(i, 4); rows[i].next_try = 4; break;
          default: break;
        }
      }
    }
    const auto any_running = [&]() -> std::optional<std::uint32_t> {
      std::vector<std::uint32_t> running;
      for (std::uint32_t i = 0; i < rows.size(); ++i) {
        if (rows[i].state == S::Running) {
          running.push_back(i);
        }
      }
      return running.empty() ? std::nullopt : std::optional(running[random() % running.size()]);
    };
    for (int step = 0; step < 200; ++step) {
      switch (random() % 6) {
        case 0: case 1: case 2:
          if (const auto next = state.peek()) {
            REQUIRE(rows[next->ordinal].state == S::Pending);
            REQUIRE(rows[next->ordinal].next_try == next->try_number);
            state.start(next->ordinal);
            rows[next->ordinal].state = S::Running;
          } else {
            REQUIRE(state.pending() == 0);
          }
          break;
        case 3:
          if (const auto i = any_running()) {
            const S end = random() % 2 == 0 ? S::Completed : S::Failed;
            state.end(*i, end_as(end));
            rows[*i].state = end;
          }
          break;
        case 4:
          if (const auto i = any_running()) {
            rows[*i].state = S::Pending;
            state.retry(*i, ++rows[*i].next_try);
          }
          break;
        default:
          if (random() % 10 == 0) {
            const auto a = static_cast<std::uint32_t>(random() % rows.size());
            const auto b = static_cast<std::uint32_t>(a + random() % (rows.size() - a));
            std::size_t ended = 0;
            for (const auto& range : state.cancel_pending(a, b, S::Cancelled, WallTime::from_ns(5))) {
              ended += range.last - range.first + 1;
            }
            std::size_t expected = 0;
            for (std::uint32_t i = a; i <= b; ++i) {
              if (rows[i].state == S::Pending) {
                rows[i].state = S::Cancelled;
                ++expected;
              }
            }
            REQUIRE(ended == expected);
          }
          break;
      }
      std::uint32_t pending = 0;
      std::uint32_t running = 0;
      std::uint32_t failed = 0;
      for (std::uint32_t i = 0; i < rows.size(); ++i) {
        REQUIRE(state.state_of(i) == rows[i].state);
        pending += rows[i].state == S::Pending ? 1U : 0U;
        running += rows[i].state == S::Running ? 1U : 0U;
        failed += rows[i].state == S::Failed ? 1U : 0U;
        if (rows[i].state == S::Pending) {
          REQUIRE(state.next_try(i) == rows[i].next_try);
        }
      }
      REQUIRE(state.pending() == pending);
      REQUIRE(state.running() == running);
      REQUIRE(state.ended(S::Failed) == failed);
    }
  }
}

// Goal: two threads that sleep whenever their ring is empty or full never sleep through anything. Method: bursts of seeded
// sizes through a small ring, both ends parked when there is nothing to do; a lost wake-up stops it for ever (the test then
// fails by its deadline). Run under TSan too; all orders of the steps are in interleaving_test.cpp.
#include <catch2/catch.hpp>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/ring/frame_ring.hpp"
#include "wire/ring/parker.hpp"
#include "wire/ring/room_call.hpp"
#include "wire/ring/spsc_ring.hpp"

using namespace muster;

namespace {

Instant deadline() { return SystemClock{}.now().mono + Duration::from_seconds(30); }
bool passed(Instant t) { return SystemClock{}.now().mono > t; }

}  // namespace

TEST_CASE("a producer and a consumer of frames that sleep when they can't go on lose nothing") {
  constexpr std::uint32_t kCount = 20'000;
  auto opened = Parker::open();
  auto other = Parker::open();
  REQUIRE(opened);
  REQUIRE(other);
  Parker& producer = **opened;
  Parker& consumer = **other;
  FrameRing ring(4096);
  RoomCall room;
  const Instant end = deadline();
  const auto size_of = [](std::uint32_t i) { return 4 + static_cast<std::size_t>(mix64(i) % 900); };
  std::thread sender([&] {
    for (std::uint32_t i = 0; i < kCount && !passed(end);) {
      const bool sent = room.try_or_ask([&] {
        const auto space = ring.reserve(size_of(i));
        if (space.empty()) {
          return false;
        }
        std::memcpy(space.data(), &i, sizeof i);
        ring.commit(space.size());
        return true;
      });
      if (!sent) {
        producer.park_until(end, [&] { return !room.asked(); });
        continue;
      }
      ++i;
      consumer.wake();
      if (mix64(i) % 64 == 0) {
        std::this_thread::yield();  // let it fall asleep
      }
    }
  });
  std::uint32_t taken = 0;
  std::uint32_t wrong = 0;
  while (taken < kCount && !passed(end)) {
    const auto record = ring.peek();
    if (record.data() == nullptr) {
      consumer.park_until(end, [&] { return !ring.empty(); });
      continue;
    }
    std::uint32_t number = 0;
    std::memcpy(&number, record.data(), sizeof number);
    wrong += number == taken && record.size() == size_of(taken) ? 0U : 1U;
    ring.release();
    ++taken;
    if (room.answer()) {
      producer.wake();
    }
  }
  sender.join();
  CHECK(taken == kCount);
  CHECK(wrong == 0);
}

TEST_CASE("many wakers of one sleeper lose nothing") {
  constexpr std::uint64_t kEach = 5000;
  auto opened = Parker::open();
  REQUIRE(opened);
  Parker& sleeper = **opened;
  const Instant end = deadline();
  std::array<SpscRing<std::uint64_t>, 3> rings{SpscRing<std::uint64_t>(4), SpscRing<std::uint64_t>(4),
                                               SpscRing<std::uint64_t>(4)};
  std::vector<std::thread> wakers;
  for (auto& ring : rings) {
    wakers.emplace_back([&] {
      for (std::uint64_t i = 0; i < kEach && !passed(end);) {
        if (ring.push(i)) {
          ++i;
          sleeper.wake();
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  std::array<std::uint64_t, 3> next{};
  std::uint64_t wrong = 0;
  while (next[0] + next[1] + next[2] < 3 * kEach && !passed(end)) {
    bool any = false;
    for (std::size_t at = 0; at < rings.size(); ++at) {
      std::uint64_t value = 0;
      while (rings[at].take(value)) {
        wrong += value == next[at]++ ? 0U : 1U;
        any = true;
      }
    }
    if (!any) {
      sleeper.park_until(end, [&] { return !rings[0].empty() || !rings[1].empty() || !rings[2].empty(); });
    }
  }
  for (auto& waker : wakers) {
    waker.join();
  }
  CHECK(next == std::array<std::uint64_t, 3>{kEach, kEach, kEach});
  CHECK(wrong == 0);
}

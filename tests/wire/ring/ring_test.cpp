// Goal: rings lose, repeat, reorder and tear nothing, and say when they are full. Method: small rings, so that
// every wrap happens; two real threads with a seeded mix of sizes (run under TSan too).
#include <catch2/catch.hpp>

#include <cstring>
#include <random>
#include <string>
#include <thread>

#include "wire/base/ids.hpp"
#include "wire/ring/frame_ring.hpp"
#include "wire/ring/spsc_ring.hpp"

using namespace muster;

TEST_CASE("a value ring is first in, first out, and full at its capacity") {
  SpscRing<std::string> ring(3);
  REQUIRE(ring.capacity() == 4);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      CHECK(ring.push("value " + std::to_string(i)));
    }
    std::string extra = "extra";
    CHECK_FALSE(ring.push(extra));
    CHECK(extra == "extra");
    std::string out;
    for (int i = 0; i < 4; ++i) {
      REQUIRE(ring.take(out));
      CHECK(out == "value " + std::to_string(i));
    }
    CHECK_FALSE(ring.take(out));
    CHECK(ring.empty());
  }
}

TEST_CASE("two threads move values through a small ring whole and in order") {
  constexpr std::uint64_t kCount = 50'000;
  SpscRing<std::uint64_t> ring(8);
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kCount;) {
      if (ring.push(i * 3)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < kCount;) {
    std::uint64_t value = 0;
    if (ring.take(value)) {
      wrong += value == i * 3 ? 0U : 1U;
      ++i;
    } else {
      std::this_thread::yield();
    }
  }
  producer.join();
  CHECK(wrong == 0);
}

TEST_CASE("a frame ring bounds its records and takes one of the largest size when empty") {
  FrameRing ring(4096);
  CHECK(ring.reserve(ring.record_bytes_max() + 1).empty());
  for (int round = 0; round < 50; ++round) {
    const std::size_t size = ring.record_bytes_max() - static_cast<std::size_t>(round * 37);
    auto room = ring.reserve(size);
    REQUIRE(room.size() == size);
    CHECK(reinterpret_cast<std::uintptr_t>(room.data()) % 8 == 0);
    std::memset(room.data(), round, room.size());
    CHECK(ring.peek().data() == nullptr);
    ring.commit(size - 1);
    const auto seen = ring.peek();
    REQUIRE(seen.size() == size - 1);
    CHECK(seen.front() == round);
    CHECK(seen.back() == round);
    ring.release();
    CHECK(ring.empty());
  }
  const auto nothing = ring.reserve(0);
  (void)nothing;
  ring.commit(0);
  CHECK(ring.peek().data() != nullptr);
  CHECK(ring.peek().empty());
  ring.release();
  CHECK(ring.peek().data() == nullptr);
}

TEST_CASE("a full frame ring refuses, and takes again what was released") {
  FrameRing ring(4096);
  int taken = 0;
  while (!ring.reserve(100).empty()) {
    ring.commit(100);
    ++taken;
  }
  CHECK(taken == 4096 / 112);
  (void)ring.peek();
  ring.release();
  CHECK(ring.reserve(100).size() == 100);
}

TEST_CASE("two threads move records of mixed sizes whole and in order") {
  constexpr std::uint32_t kCount = 30'000;
  FrameRing ring(4096);
  const auto size_of = [](std::uint32_t i) { return static_cast<std::size_t>(mix64(i) % 700); };
  std::thread producer([&] {
    for (std::uint32_t i = 0; i < kCount;) {
      const std::size_t size = 4 + size_of(i);
      const auto room = ring.reserve(size);
      if (room.empty()) {
        std::this_thread::yield();
        continue;
      }
      std::memcpy(room.data(), &i, 4);
      std::memset(room.data() + 4, static_cast<int>(i & 0xffU), size - 4);
      ring.commit(size);
      ++i;
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint32_t i = 0; i < kCount;) {
    const auto record = ring.peek();
    if (record.data() == nullptr) {
      std::this_thread::yield();
      continue;
    }
    std::uint32_t number = 0;
    std::memcpy(&number, record.data(), 4);
    bool good = number == i && record.size() == 4 + size_of(i) &&
                reinterpret_cast<std::uintptr_t>(record.data()) % 8 == 0;
    for (const std::uint8_t byte : record.subspan(4)) {
      good = good && byte == (i & 0xffU);
    }
    wrong += good ? 0U : 1U;
    ring.release();
    ++i;
  }
  producer.join();
  CHECK(wrong == 0);
}

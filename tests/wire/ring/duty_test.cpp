// Goal: a duty sleeps when idle, wakes for work and for its timer, and never misses a wake-up. Method: a ping-pong of two
// duties that stops for ever at the first lost wake-up (the test would then fail by its deadline).
#include <catch2/catch.hpp>

#include <thread>

#include "wire/ring/duty.hpp"
#include "wire/ring/spsc_ring.hpp"

using namespace muster;

namespace {

Instant now() { return SystemClock{}.now().mono; }

template <class Done>
bool eventually(Done done) {
  const Instant deadline = now() + Duration::from_seconds(20);
  while (!done()) {
    if (now() > deadline) {
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

TEST_CASE("two duties that only wake each other never stop") {
  for (const std::uint32_t spins : {0U, 50U}) {
    constexpr std::uint64_t kRounds = 10'000;
    auto ping_parker = Parker::open();
    auto pong_parker = Parker::open();
    REQUIRE(ping_parker);
    REQUIRE(pong_parker);
    Parker& ping = **ping_parker;
    Parker& pong = **pong_parker;
    SpscRing<std::uint64_t> to_pong(4);
    SpscRing<std::uint64_t> to_ping(4);
    std::atomic<std::uint64_t> rounds{0};
    const auto relay = [](SpscRing<std::uint64_t>& in, SpscRing<std::uint64_t>& out, Parker& other) {
      std::uint64_t value = 0;
      std::size_t done = 0;
      while (in.take(value)) {
        if (value + 1 < kRounds * 2) {
          if (out.push(value + 1)) {  // never full: one value is on its way
            other.wake();
          }
        }
        ++done;
      }
      return done;
    };
    {
      DutyThread a({.do_work =
                        [&] {
                          const auto done = relay(to_ping, to_pong, pong);
                          rounds += done;
                          return done;
                        },
                    .has_work = [&] { return !to_ping.empty(); },
                    .next_timer = {}},
                   {.name = "ping", .spins_max = spins}, ping);
      DutyThread b({.do_work =
                        [&] {
                          const auto done = relay(to_pong, to_ping, ping);
                          rounds += done;
                          return done;
                        },
                    .has_work = [&] { return !to_pong.empty(); },
                    .next_timer = {}},
                   {.name = "pong", .spins_max = spins}, pong);
      CHECK(to_ping.push(0));
      ping.wake();
      CHECK(eventually([&] { return rounds.load() == kRounds * 2; }));
    }
    CHECK(rounds.load() == kRounds * 2);
  }
}

TEST_CASE("a duty is called at its timer without any work") {
  auto parker = Parker::open();
  REQUIRE(parker);
  std::atomic<int> fired{0};
  Instant next = now() + Duration::from_ms(5);
  const Instant begin = now();
  {
    DutyThread duty({.do_work =
                         [&] {
                           if (now() >= next) {
                             ++fired;
                             next = next + Duration::from_ms(5);
                           }
                           return std::size_t{0};
                         },
                     .has_work = [] { return false; },
                     .next_timer = [&] { return next; }},
                    {.name = "timer"}, **parker);
    CHECK(eventually([&] { return fired.load() >= 4; }));
  }
  CHECK((now() - begin).ms() >= 20);
}

TEST_CASE("a late notification costs one short sleep, not a busy loop") {
  auto parker = Parker::open();
  REQUIRE(parker);
  Parker& p = **parker;
  std::atomic<bool> in_wait{false};
  std::thread waker([&] {
    eventually([&] { return in_wait.load(); });
    p.wake();
  });
  p.park([] { return false; },
         [&] {
           in_wait = true;
           waker.join();  // the notification has come; the wait ends for another reason
         });
  int waits = 0;
  const Instant begin = now();
  p.park([] { return false; }, [&] { ++waits; });
  p.park_until(begin + Duration::from_ms(20), [] { return false; });
  CHECK(waits == 1);
  CHECK((now() - begin).ms() >= 20);
}

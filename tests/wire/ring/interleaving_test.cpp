// Goal: rings, parkers and published values are right in every order of their threads' steps: at the wrap, full, empty, and
// when somebody goes to sleep. Method: the very classes of the product over a model of memory, all orders of small programs;
// and the same programs with a step weakened or two exchanged, which must be found out.
// (Not under ThreadSanitizer, which can't follow fibers; nothing here runs on two threads.)
#if !defined(__SANITIZE_THREAD__)

#include <catch2/catch.hpp>

#include "tests/wire/ring/interleaving.hpp"
#include "wire/ring/frame_ring.hpp"
#include "wire/ring/parker.hpp"
#include "wire/ring/published.hpp"
#include "wire/ring/return_stack.hpp"
#include "wire/ring/room_call.hpp"
#include "wire/ring/spsc_ring.hpp"

using namespace muster;
using namespace muster::interleaving;

namespace {

// ---- rings of values

// Begins `passed` values after the start, so that positions wrap; `filled` of them are in the ring already.
template <class Atomics>
Outcome explore_values(int passed, int filled, int pushes, int takes) {
  return explore([=](Run& run) {
    auto ring = std::make_shared<SpscRing<Plain<int>, Atomics>>(2);
    auto pushed = std::make_shared<int>(0);
    auto taken = std::make_shared<int>(0);
    for (int i = 0; i < passed + filled; ++i) {
      run.expect(ring->push(Plain<int>((*pushed)++)), "there is room");
      if (Plain<int> value; i < passed && ring->take(value)) {
        ++*taken;
      }
    }
    run.thread([=] {
      for (int i = 0; i < pushes; ++i) {
        Plain<int> value(*pushed);
        *pushed += ring->push(value) ? 1 : 0;
      }
    });
    const auto take = [=, &run] {
      Plain<int> value;
      if (ring->take(value)) {
        run.expect(value.get() == (*taken)++, "first in, first out");
        return true;
      }
      return false;
    };
    run.thread([=] {
      for (int i = 0; i < takes; ++i) {
        take();
      }
    });
    run.at_end([=, &run] {
      while (take()) {
      }
      run.expect(*taken == *pushed, "what was pushed is taken once");
      run.expect(*pushed >= std::min(2, passed + filled + pushes), "an empty ring takes what it has room for");
    });
  });
}

// ---- rings of frames: `before` and `sizes` are bytes of records

template <class Atomics>
Outcome explore_frames(std::vector<std::size_t> before, std::size_t released, std::vector<std::size_t> sizes, int peeks) {
  return explore([=](Run& run) {
    auto ring = std::make_shared<BasicFrameRing<Atomics>>(4096);
    auto sent = std::make_shared<std::vector<std::size_t>>();
    auto seen = std::make_shared<std::size_t>(0);
    const auto put = [=](std::size_t bytes) {
      const auto room = ring->reserve(bytes);
      if (room.empty()) {
        return;
      }
      Atomics::wrote(room.data());
      std::memcpy(room.data(), &bytes, sizeof bytes);
      sent->push_back(bytes);
      ring->commit(bytes);
    };
    const auto take = [=, &run] {
      const auto record = ring->peek();
      if (record.data() == nullptr) {
        return false;
      }
      Atomics::reads(record.data());
      std::size_t bytes = 0;
      std::memcpy(&bytes, record.data(), sizeof bytes);
      run.expect(*seen < sent->size() && bytes == (*sent)[*seen] && bytes == record.size(), "whole and in order");
      ++*seen;
      ring->release();
      return true;
    };
    for (std::size_t i = 0; i < before.size(); ++i) {
      put(before[i]);
      if (i < released) {
        take();
      }
    }
    run.thread([=] {
      for (const std::size_t bytes : sizes) {
        put(bytes);
      }
    });
    run.thread([=] {
      for (int i = 0; i < peeks; ++i) {
        take();
      }
    });
    run.at_end([=, &run] {
      while (take()) {
      }
      run.expect(*seen == sent->size(), "what was committed is seen once");
      run.expect(ring->empty(), "an emptied ring is empty");
    });
  });
}

// ---- sleeping

// What the eventfd is to the product's parker: a flag to sleep on. It is right whatever else is weakened.
struct Bell {
  std::shared_ptr<Model<>::Atomic<std::uint64_t>> rung = std::make_shared<Model<>::Atomic<std::uint64_t>>(0);
  void notify() const { rung->exchange(1, std::memory_order_seq_cst); }
  void drain() const { rung->exchange(0, std::memory_order_seq_cst); }
};

// Asks for work first and says that it sleeps then.
template <class Atomics>
class CarelessParker : public BasicParker<Atomics, Bell> {
 public:
  using BasicParker<Atomics, Bell>::BasicParker;
  template <class Ready, class Wait>
  void park(Ready&& ready, Wait&& wait) {
    if (ready()) {
      return;
    }
    this->sleeping_.exchange(true, std::memory_order_seq_cst);
    wait();
    this->sleeping_.exchange(false, std::memory_order_seq_cst);
    this->wakeup_.drain();
  }
};

// A producer that sleeps while the ring is full, a consumer that sleeps while it is empty.
template <class Atomics, class Sleeper>
Outcome explore_sleepers(int filled, int values) {
  return explore([=](Run& run) {
    struct Side {
      Bell bell;
      Sleeper parker{bell};
    };
    auto ring = std::make_shared<SpscRing<Plain<int>, Atomics>>(2);
    auto producer = std::make_shared<Side>();
    auto consumer = std::make_shared<Side>();
    for (int i = 0; i < filled; ++i) {
      run.expect(ring->push(Plain<int>(i)), "there is room");
    }
    run.thread([=] {
      for (int i = filled; i < values; ++i) {
        while (!ring->push(Plain<int>(i))) {
          producer->parker.park([&] { return !ring->full(); },
                                [&] { producer->bell.rung->wait_for(); });
        }
        consumer->parker.wake();
      }
    });
    run.thread([=, &run] {
      Plain<int> value;
      for (int i = 0; i < values; ++i) {
        while (!ring->take(value)) {
          consumer->parker.park([&] { return !ring->empty(); }, [&] { consumer->bell.rung->wait_for(); });
        }
        run.expect(value.get() == i, "first in, first out");
        producer->parker.wake();
      }
    });
  });
}

// A producer that is called only when it has asked. `looks` before it lies down: has the call come already?
Outcome explore_room_call(bool looks) {
  return explore([=](Run& run) {
    struct Side {
      Bell bell;
      BasicParker<Model<>, Bell> parker{bell};
      BasicRoomCall<Model<>> room;
    };
    auto ring = std::make_shared<SpscRing<Plain<int>, Model<>>>(2);
    auto side = std::make_shared<Side>();
    for (int i = 0; i < 2; ++i) {
      run.expect(ring->push(Plain<int>(i)), "there is room");
    }
    run.thread([=] {
      for (int i = 2; i < 4; ++i) {
        while (!side->room.try_or_ask([&] { return ring->push(Plain<int>(i)); })) {
          side->parker.park([&] { return looks && !side->room.asked(); }, [&] { side->bell.rung->wait_for(); });
        }
      }
    });
    run.thread([=, &run] {
      Plain<int> value;
      for (int i = 0; i < 2; ++i) {
        run.expect(ring->take(value) && value.get() == i, "first in, first out");
        if (side->room.answer()) {
          side->parker.wake();
        }
      }
    });
  });
}

// ---- published values

// Freed memory stays readable here, and says so.
struct Picture {
  explicit Picture(int n) : number(n) {}
  ~Picture() { *static_cast<volatile int*>(&number) = -1; }
  static void* operator new(std::size_t) { return &memory[used++ % memory.size()]; }
  static void operator delete(void*) {}
  int number;
  static inline std::size_t used = 0;
  static inline std::array<std::uint64_t, 64> memory{};
};

template <class Atomics>
Outcome explore_published(int readers, int publishes) {
  return explore([=](Run& run) {
    auto published = std::make_shared<Published<Picture, Atomics, 2>>();
    published->publish(std::make_unique<Picture>(1));
    run.thread([=] {
      for (int i = 0; i < publishes; ++i) {
        published->publish(std::make_unique<Picture>(2 + i));
      }
    });
    for (int i = 0; i < readers; ++i) {
      run.thread([=, &run] {
        const auto reading = published->read();
        run.expect(static_cast<bool>(reading), "there is a value for every reader");
        run.pause();
        // Not through the model: whether it is still there is the question.
        run.expect(reading.get() != nullptr && *static_cast<const volatile int*>(&reading->number) > 0,
                   "a value is not freed while somebody reads it");
      });
    }
    run.at_end([=, &run] { run.expect(published->reclaim() == 0, "nothing is kept that nobody reads"); });
  });
}

// Two who give things back, and the owner, who takes twice and gives one of them out again.
template <class Atomics>
Outcome explore_returns() {
  struct Thing {
    Thing* next{};
    int number{};
  };
  return explore([](Run& run) {
    auto things = std::make_shared<std::array<Thing, 3>>();
    auto stack = std::make_shared<ReturnStack<Thing, Atomics>>();
    auto seen = std::make_shared<std::array<int, 3>>();
    for (int i = 0; i < 3; ++i) {
      (*things)[static_cast<std::size_t>(i)].number = i;
    }
    const auto take = [=] {
      Thing* first = nullptr;
      for (Thing* thing = stack->take_all(); thing != nullptr;) {
        Atomics::reads(&thing->next);
        Thing* const after = thing->next;
        ++(*seen)[static_cast<std::size_t>(thing->number)];
        first = thing;
        thing = after;
      }
      return first;
    };
    run.thread([=] { stack->give(&(*things)[0]); });
    run.thread([=] {
      stack->give(&(*things)[1]);
      stack->give(&(*things)[2]);
    });
    run.thread([=] {
      if (Thing* const again = take(); again != nullptr) {
        --(*seen)[static_cast<std::size_t>(again->number)];
        stack->give(again);
      }
      take();
    });
    run.at_end([=, &run] {
      take();
      run.expect(*seen == std::array<int, 3>{1, 1, 1}, "what is given back comes once");
    });
  });
}

}  // namespace

TEST_CASE("the explorer sees stores that loads overtake, unless they are sequentially consistent") {
  const auto both_miss = [](std::memory_order order) {
    return explore([order](Run& run) {
      using Flag = Model<>::Atomic<int>;
      auto flags = std::make_shared<std::array<Flag, 2>>();
      auto missed = std::make_shared<int>(0);
      for (std::size_t me = 0; me < 2; ++me) {
        run.thread([=] {
          (*flags)[me].store(1, order);
          *missed += (*flags)[1 - me].load(order) == 0 ? 1 : 0;
        });
      }
      run.at_end([=, &run] { run.expect(*missed < 2, "one sees the other"); });
    });
  };
  CHECK(both_miss(std::memory_order_release).problem.starts_with("one sees the other"));
  const Outcome right = both_miss(std::memory_order_seq_cst);
  CHECK(right.problem == "");
  CHECK(right.orders >= 3);
}

TEST_CASE("the explorer runs each order once that can be told apart") {
  // Three threads with two changes of one place each: 6! / (2! 2! 2!) orders; of places of their own: one.
  for (const bool shared : {true, false}) {
    const Outcome outcome = explore([shared](Run& run) {
      auto places = std::make_shared<std::array<Model<>::Atomic<int>, 3>>();
      for (std::size_t me = 0; me < 3; ++me) {
        run.thread([=] {
          (*places)[shared ? 0 : me].fetch_add(1, std::memory_order_relaxed);
          (*places)[shared ? 0 : me].fetch_add(1, std::memory_order_relaxed);
        });
      }
    });
    CHECK(outcome.problem == "");
    CHECK(outcome.orders == (shared ? 90U : 1U));
  }
}

TEST_CASE("a value ring is right in every order: empty, full, and across its end") {
  for (const int passed : {0, 1, 3}) {
    for (const int filled : {0, 1, 2}) {
      const Outcome outcome = explore_values<Model<>>(passed, filled, 3, 3);
      INFO("passed " << passed << ", filled " << filled);
      CHECK(outcome.problem == "");
      CHECK(outcome.orders > 10);
    }
  }
}

TEST_CASE("a value ring that releases nothing is found out") {
  CHECK(explore_values<Model<Weak::release>>(0, 0, 2, 2).problem.starts_with("a race"));
}

TEST_CASE("a frame ring is right in every order: empty, full, and across its end") {
  // Ends at 2,432 of 4,096: the next record of 2,000 begins at the start again.
  const std::vector<std::size_t> wrap{1208, 1208};
  for (const auto& [before, released, sizes] :
       {std::tuple{std::vector<std::size_t>{}, std::size_t{0}, std::vector<std::size_t>{16, 24, 8}},
        std::tuple{wrap, std::size_t{2}, std::vector<std::size_t>{2000, 300, 8}},
        std::tuple{wrap, std::size_t{1}, std::vector<std::size_t>{2000, 2000, 8}},
        std::tuple{wrap, std::size_t{0}, std::vector<std::size_t>{2000, 1600, 2000}}}) {
    const Outcome outcome = explore_frames<Model<>>(before, released, sizes, 4);
    CHECK(outcome.problem == "");
    CHECK(outcome.orders > 10);
  }
}

TEST_CASE("a frame ring that releases nothing is found out") {
  CHECK(explore_frames<Model<Weak::release>>({}, 0, {16, 24}, 2).problem.starts_with("a race"));
  CHECK(explore_frames<Model<Weak::release>>({1208, 1208}, 2, {2000}, 2).problem.starts_with("a race"));
}

TEST_CASE("no wake-up is lost in any order, of a consumer without work or a producer without room") {
  using Sleeper = BasicParker<Model<>, Bell>;
  const Outcome empty = explore_sleepers<Model<>, Sleeper>(0, 1);
  CHECK(empty.problem == "");
  CHECK(empty.orders > 10);
  const Outcome full = explore_sleepers<Model<>, Sleeper>(2, 3);
  CHECK(full.problem == "");
  CHECK(full.orders > 100);
}

TEST_CASE("a producer that asks for room is called in every order, if it looks before it lies down") {
  const Outcome right = explore_room_call(true);
  CHECK(right.problem == "");
  CHECK(right.orders > 100);
  CHECK(explore_room_call(false).problem.starts_with("nobody can go on"));
}

TEST_CASE("a parker whose announcement can be overtaken is found to lose wake-ups") {
  using Atomics = Model<Weak::exchange>;
  CHECK(explore_sleepers<Atomics, BasicParker<Atomics, Bell>>(0, 1).problem.starts_with("nobody can go on"));
}

TEST_CASE("a parker that asks before it says that it sleeps is found to lose wake-ups") {
  CHECK(explore_sleepers<Model<>, CarelessParker<Model<>>>(0, 1).problem.starts_with("nobody can go on"));
}

TEST_CASE("what many give back, its owner gets once, in every order") {
  const Outcome outcome = explore_returns<Model<>>();
  CHECK(outcome.problem == "");
  CHECK(outcome.orders > 100);
  CHECK(explore_returns<Model<Weak::exchange>>().problem != "");
}

TEST_CASE("a published value outlives its readers in every order") {
  for (const auto& [readers, publishes] : {std::pair{1, 2}, std::pair{2, 1}}) {
    const Outcome outcome = explore_published<Model<>>(readers, publishes);
    CHECK(outcome.problem == "");
    CHECK(outcome.orders > 10);
  }
}

TEST_CASE("a reader whose pin can be overtaken is found to read freed values") {
  CHECK(explore_published<Model<Weak::exchange>>(1, 2).problem.starts_with("a value is not freed"));
}

#endif

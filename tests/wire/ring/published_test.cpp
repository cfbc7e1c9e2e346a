// Goal: readers always see one whole value, the newest or one just before it; nothing is freed under a reader and
// nothing is kept for ever. Method: values that count themselves; real reader threads (run under ASan and TSan too).
#include <catch2/catch.hpp>

#include <thread>

#include "wire/ring/published.hpp"

using namespace muster;

namespace {

struct Value {
  explicit Value(std::uint64_t n) : number(n), copy(n * 7) { ++alive; }
  ~Value() {
    number = 0;
    --alive;
  }
  Value(const Value&) = delete;
  std::uint64_t number;
  std::uint64_t copy;
  static inline std::atomic<int> alive{0};
};

}  // namespace

TEST_CASE("a reader keeps its value while newer ones are published") {
  {
    Published<Value> published;
    CHECK_FALSE(published.read());
    CHECK(published.version() == 0);
    published.publish(std::make_unique<Value>(1));
    {
      const auto reading = published.read();
      REQUIRE(reading);
      published.publish(std::make_unique<Value>(2));
      published.publish(std::make_unique<Value>(3));
      CHECK(reading->number == 1);
      CHECK(published.read()->number == 3);
      CHECK(published.version() == 3);
      CHECK(published.reclaim() > 0);
    }
    CHECK(published.reclaim() == 0);
    CHECK(Value::alive == 1);
  }
  CHECK(Value::alive == 0);
}

TEST_CASE("more readers than places get nothing, and harm nobody") {
  Published<Value> published;
  published.publish(std::make_unique<Value>(1));
  std::vector<Published<Value>::Reading> readings;
  for (std::size_t i = 0; i < Published<Value>::kReadersMax; ++i) {
    readings.push_back(published.read());
    CHECK(readings.back());
  }
  CHECK_FALSE(published.read());
  readings.pop_back();
  CHECK(published.read());
}

TEST_CASE("many readers and a writer see whole values that never go back") {
  std::uint64_t wrong_total = 0;
  {
    Published<Value> published;
    published.publish(std::make_unique<Value>(1));
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        std::uint64_t last = 0;
        while (!stop.load()) {
          const auto reading = published.read();
          if (!reading || reading->copy != reading->number * 7 || reading->number < last) {
            ++wrong;
          } else {
            last = reading->number;
          }
        }
      });
    }
    for (std::uint64_t n = 2; n < 10'000; ++n) {
      published.publish(std::make_unique<Value>(n));
    }
    stop = true;
    for (auto& reader : readers) {
      reader.join();
    }
    wrong_total = wrong;
    CHECK(published.reclaim() == 0);
  }
  CHECK(wrong_total == 0);
  CHECK(Value::alive == 0);
}

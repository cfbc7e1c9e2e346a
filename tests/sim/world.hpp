// What everything in a simulated cluster shares: virtual time, the event queue, chance and the trace.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/prng.hpp"
#include "wire/base/time.hpp"

namespace muster::sim {

// An invariant that does not hold. Ends the run.
struct Violation {
  std::string invariant;  // short and stable: "over-commit"
  std::string text;
};
[[noreturn]] inline void violated(std::string invariant, std::string text) {
  throw Violation{std::move(invariant), std::move(text)};
}

// Pure: events by (time, insertion number).
class EventQueue {
 public:
  void push(Instant at, std::function<void()> action) {
    heap_.push_back(Event{at, ++pushed_, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] Instant next_at() const { return heap_.empty() ? Instant::never() : heap_.front().at; }
  [[nodiscard]] std::pair<Instant, std::function<void()>> pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    return {event.at, std::move(event.action)};
  }

 private:
  struct Event {
    Instant at;
    std::uint64_t number{};
    std::function<void()> action;
  };
  static bool later(const Event& a, const Event& b) { return a.at != b.at ? a.at > b.at : a.number > b.number; }
  std::vector<Event> heap_;
  std::uint64_t pushed_{};
};

// Pure: the hash of all that happened, and its last lines as text when somebody wants them.
class Trace {
 public:
  void mix(std::uint64_t value) { hash_ = mix64(hash_ * 0x9e3779b97f4a7c15ULL + value); }
  void mix(std::span<const std::uint8_t> bytes);
  void mix(const std::string& text);
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

  // Text is made only when asked for: a run is repeated with text to explain a violation.
  [[nodiscard]] bool wants_text() const { return lines_kept_ != 0 || print_; }
  void keep_lines(std::size_t count) { lines_kept_ = count; }
  void print_lines() { print_ = true; }
  void line(Instant now, const std::string& text);
  [[nodiscard]] std::vector<std::string> lines() const { return {lines_.begin(), lines_.end()}; }

 private:
  std::uint64_t hash_{0x6d75737465720001ULL};
  std::size_t lines_kept_{};
  bool print_{};
  std::deque<std::string> lines_;
};

// Owned by one run.
class World {
 public:
  explicit World(std::uint64_t seed) : prng(seed), seed_(seed) {}

  Prng prng;
  Trace trace;

  [[nodiscard]] Instant now() const { return now_; }
  [[nodiscard]] Now clock() const { return {now_, WallTime::from_ns(kWallStartNs + now_.ns())}; }
  [[nodiscard]] WallTime wall() const { return clock().wall; }
  void at(Instant when, std::function<void()> action) { queue_.push(std::max(when, now_), std::move(action)); }
  void after(Duration delay, std::function<void()> action) { at(now_ + delay, std::move(action)); }
  // Handles the next event; false if there is none before `until`, and then it is `until`.
  bool step(Instant until);
  [[nodiscard]] std::uint64_t steps() const { return steps_; }
  // The same question gets the same answer whenever it is asked in this run: what a task is like.
  [[nodiscard]] std::uint64_t fate(std::uint64_t a, std::uint64_t b, std::uint64_t c) const {
    return mix64(mix64(mix64(seed_ ^ a) + b) + c);
  }
  // "who what" into the trace.
  void note(const char* what, std::uint64_t who, const std::function<std::string()>& detail = {});

 private:
  static constexpr std::int64_t kWallStartNs = 1'700'000'000'000'000'000;
  std::uint64_t seed_;
  EventQueue queue_;
  Instant now_ = Instant::from_ns(1'000'000'000);
  std::uint64_t steps_{};
};

}  // namespace muster::sim

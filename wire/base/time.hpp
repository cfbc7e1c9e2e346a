// Time: monotonic Instants, Durations and wall-clock times are different types.
// Only shells read clocks; cores are given `now`.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

#include "wire/base/strong.hpp"

namespace muster {

class Duration {
 public:
  constexpr Duration() = default;
  [[nodiscard]] static constexpr Duration from_ns(std::int64_t ns) { return Duration(ns); }
  [[nodiscard]] static constexpr Duration from_us(std::int64_t us) { return Duration(us * 1'000); }
  [[nodiscard]] static constexpr Duration from_ms(std::int64_t ms) { return Duration(ms * 1'000'000); }
  [[nodiscard]] static constexpr Duration from_seconds(std::int64_t s) { return Duration(s * 1'000'000'000); }
  [[nodiscard]] constexpr std::int64_t ns() const { return ns_; }
  [[nodiscard]] constexpr std::int64_t us() const { return ns_ / 1'000; }
  [[nodiscard]] constexpr std::int64_t ms() const { return ns_ / 1'000'000; }
  [[nodiscard]] constexpr double seconds() const { return static_cast<double>(ns_) * 1e-9; }
  constexpr auto operator<=>(const Duration&) const = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return Duration(a.ns_ + b.ns_); }
  friend constexpr Duration operator-(Duration a, Duration b) { return Duration(a.ns_ - b.ns_); }
  friend constexpr Duration operator*(Duration a, std::int64_t k) { return Duration(a.ns_ * k); }
  friend constexpr Duration operator/(Duration a, std::int64_t k) { return Duration(a.ns_ / k); }

 private:
  constexpr explicit Duration(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_{0};
};

// A reading of one machine's monotonic clock. Never crosses a machine.
class Instant {
 public:
  constexpr Instant() = default;
  [[nodiscard]] static constexpr Instant from_ns(std::int64_t ns) { return Instant(ns); }
  // Later than every real reading: "no timer".
  [[nodiscard]] static constexpr Instant never() { return Instant(std::numeric_limits<std::int64_t>::max()); }
  [[nodiscard]] constexpr std::int64_t ns() const { return ns_; }
  constexpr auto operator<=>(const Instant&) const = default;
  friend constexpr Instant operator+(Instant t, Duration d) {
    return t == never() ? never() : Instant(t.ns_ + d.ns());
  }
  friend constexpr Instant operator-(Instant t, Duration d) { return t == never() ? never() : Instant(t.ns_ - d.ns()); }
  friend constexpr Duration operator-(Instant a, Instant b) { return Duration::from_ns(a.ns_ - b.ns_); }

 private:
  constexpr explicit Instant(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_{0};
};

// Nanoseconds since 1970-01-01 UTC. For people and records; never for timers.
class WallTime {
 public:
  constexpr WallTime() = default;
  [[nodiscard]] static constexpr WallTime from_ns(std::int64_t ns) { return WallTime(ns); }
  [[nodiscard]] constexpr std::int64_t ns() const { return ns_; }
  constexpr auto operator<=>(const WallTime&) const = default;

 private:
  constexpr explicit WallTime(std::int64_t ns) : ns_(ns) {}
  std::int64_t ns_{0};
};

// What a core is told at each step: both clocks, read once by the shell.
struct Now {
  Instant mono;
  WallTime wall;
};

// The clock seam. Owned by a shell; the simulator has its own.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Now now() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] Now now() const override;
};

}  // namespace muster

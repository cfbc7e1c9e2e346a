// The simulator's only source of chance: one seed, the same draws on every machine.
#pragma once

#include <cstdint>

#include "wire/base/ids.hpp"
#include "wire/base/time.hpp"

namespace muster::sim {

// Pure: xoshiro256**, seeded by splitmix64. No std distribution, whose draws differ between libraries.
class Prng {
 public:
  explicit Prng(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15ULL;
      word = mix64(seed);
    }
  }

  [[nodiscard]] std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  // 0..n-1; 0 when n is 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(next()) * n) >> 64U);
  }
  // Both ends included.
  [[nodiscard]] std::int64_t between(std::int64_t first, std::int64_t last) {
    return first + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(last - first) + 1));
  }
  [[nodiscard]] Duration between(Duration first, Duration last) {
    return Duration::from_ns(between(first.ns(), last.ns()));
  }
  // True `per_million` times in a million.
  [[nodiscard]] bool chance_ppm(std::uint64_t per_million) { return per_million != 0 && below(1'000'000) < per_million; }
  [[nodiscard]] bool percent(std::uint64_t per_hundred) { return chance_ppm(per_hundred * 10'000); }
  // Short ones often, long ones sometimes: every factor of two between first and last is equally likely.
  [[nodiscard]] Duration skewed(Duration first, Duration last) {
    std::int64_t steps = 0;
    for (std::int64_t span = first.ns(); span < last.ns(); span *= 2) {
      ++steps;
    }
    const std::int64_t low = first.ns() << below(static_cast<std::uint64_t>(steps > 0 ? steps : 1));
    const Duration drawn = between(Duration::from_ns(low), Duration::from_ns(low * 2));
    return drawn < last ? drawn : last;
  }

 private:
  [[nodiscard]] static constexpr std::uint64_t rotate(std::uint64_t x, unsigned k) {
    return (x << k) | (x >> (64U - k));
  }
  std::uint64_t state_[4]{};
};

}  // namespace muster::sim

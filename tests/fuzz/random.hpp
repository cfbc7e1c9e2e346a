// Random: the one source of chance in a fuzz run. Pure: the same seed, the same numbers, on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "wire/base/ids.hpp"

namespace muster::fuzz {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(mix64(seed + 1)) {}
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    return mix64(state_);
  }
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : next() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  // Mostly small numbers, sometimes an extreme one.
  std::uint64_t odd(std::uint64_t usual) {
    switch (below(150)) {
      case 0: return next();
      case 1: return ~std::uint64_t{0};
      case 2: return 0xffffffffULL;
      case 3: return 0xffffULL;
      default: return below(usual);
    }
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  std::uint64_t state_;
};

}  // namespace muster::fuzz

// Seconds and percentiles for measurements. Pure but for the clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace muster {

[[nodiscard]] inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The value below which `part` (0..1) of the samples lie; 0 without samples.
// Leaves the samples in another order.
[[nodiscard]] inline double sample_percentile(std::vector<double>& samples, double part) {
  if (samples.empty()) {
    return 0;
  }
  const auto at = std::min(samples.size() - 1, static_cast<std::size_t>(part * static_cast<double>(samples.size())));
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(at), samples.end());
  return samples[at];
}

}  // namespace muster

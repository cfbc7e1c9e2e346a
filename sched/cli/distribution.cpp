#include "sched/cli/distribution.hpp"

#include <algorithm>
#include <cmath>

#include "wire/base/check.hpp"

namespace muster::cli {
namespace {

// Which step of the scale a value is on. Bounds computed by pow() must be on their own step despite rounding.
std::int64_t step_of(double value, double per_decade) {
  return static_cast<std::int64_t>(std::floor(std::log10(value) * per_decade + 1e-9));
}

}  // namespace

Distribution::Distribution(std::vector<double> samples) : sorted_(std::move(samples)) {
  std::sort(sorted_.begin(), sorted_.end());
}

double Distribution::quantile(double part) const {
  if (empty()) {
    return 0;
  }
  // 0.9 * 10 is a little more than 9 in binary.
  const double rank = std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(count()) - 1e-9);
  return sorted_[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

LogScale LogScale::covering(double low, double high, std::size_t most) {
  check(low > 0 && low <= high && most >= 2, "log scale: bounds must be positive and in order");
  constexpr double kStepsPerDecade[] = {96, 48, 24, 12, 8, 6, 4, 3, 2, 1};
  for (const double per_decade : kStepsPerDecade) {
    const std::int64_t first = step_of(low, per_decade);
    const auto buckets = static_cast<std::size_t>(step_of(high, per_decade) - first + 1);
    if (buckets <= most) {
      return {per_decade, first, buckets};
    }
  }
  // More decades than buckets.
  const double decades = std::log10(high) - std::log10(low) + 2;
  const double per_decade = static_cast<double>(most - 1) / decades;
  const std::int64_t first = step_of(low, per_decade);
  return {per_decade, first, static_cast<std::size_t>(step_of(high, per_decade) - first + 1)};
}

double LogScale::bound(std::size_t i) const {
  return std::pow(10.0, static_cast<double>(first_ + static_cast<std::int64_t>(i)) / per_decade_);
}

std::size_t LogScale::bucket_of(double value) const {
  if (!(value > 0)) {
    return 0;
  }
  const std::int64_t step = step_of(value, per_decade_) - first_;
  return static_cast<std::size_t>(std::clamp<std::int64_t>(step, 0, static_cast<std::int64_t>(buckets_) - 1));
}

std::vector<std::uint64_t> LogScale::counts(const Distribution& samples) const {
  std::vector<std::uint64_t> counts(buckets_, 0);
  for (const double sample : samples.sorted()) {
    ++counts[bucket_of(sample)];
  }
  return counts;
}

}  // namespace muster::cli

// What people want to know of many samples: quantiles, and a histogram whose buckets grow by a factor. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace muster::cli {

class Distribution {
 public:
  Distribution() = default;
  explicit Distribution(std::vector<double> samples);

  [[nodiscard]] bool empty() const { return sorted_.empty(); }
  [[nodiscard]] std::size_t count() const { return sorted_.size(); }
  [[nodiscard]] const std::vector<double>& sorted() const { return sorted_; }
  // 0 without samples, as are the others.
  [[nodiscard]] double min() const { return empty() ? 0 : sorted_.front(); }
  [[nodiscard]] double max() const { return empty() ? 0 : sorted_.back(); }
  // The smallest sample that `part` (0..1) of all samples do not exceed: the nearest rank, never an invented value.
  [[nodiscard]] double quantile(double part) const;

 private:
  std::vector<double> sorted_;
};

// Bucket i holds what is at least bound(i) and less than bound(i + 1); each bound is the one before times one factor, and
// the powers of ten are among them. What is not positive counts as the smallest bucket.
class LogScale {
 public:
  // The finest scale that reaches from `low` to `high` with `most` buckets or fewer. REQUIRES 0 < low ≤ high, most ≥ 2 (check()).
  [[nodiscard]] static LogScale covering(double low, double high, std::size_t most);

  [[nodiscard]] std::size_t buckets() const { return buckets_; }
  [[nodiscard]] double bound(std::size_t i) const;  // 0 ≤ i ≤ buckets()
  [[nodiscard]] std::size_t bucket_of(double value) const;
  // How many samples are in each bucket.
  [[nodiscard]] std::vector<std::uint64_t> counts(const Distribution& samples) const;

 private:
  LogScale(double per_decade, std::int64_t first, std::size_t buckets)
      : per_decade_(per_decade), first_(first), buckets_(buckets) {}
  double per_decade_;
  std::int64_t first_;  // bound(0) = 10^(first / per_decade)
  std::size_t buckets_;
};

}  // namespace muster::cli

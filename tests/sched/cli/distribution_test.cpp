// Goal: quantiles are samples that were seen, and every sample is in one bucket of the histogram.
// Method: small sets whose answers are known, and random ones against the definition.
#include "sched/cli/distribution.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <random>

namespace muster::cli {

TEST_CASE("a quantile is the nearest rank") {
  const Distribution ten({10, 9, 8, 7, 6, 5, 4, 3, 2, 1});
  CHECK(ten.count() == 10);
  CHECK(ten.min() == 1);
  CHECK(ten.max() == 10);
  CHECK(ten.quantile(0) == 1);
  CHECK(ten.quantile(0.05) == 1);
  CHECK(ten.quantile(0.1) == 1);
  CHECK(ten.quantile(0.11) == 2);
  CHECK(ten.quantile(0.5) == 5);
  CHECK(ten.quantile(0.9) == 9);
  CHECK(ten.quantile(0.99) == 10);
  CHECK(ten.quantile(1) == 10);
  CHECK(Distribution({7}).quantile(0.001) == 7);
  CHECK(Distribution({7}).quantile(0.999) == 7);
  std::vector<double> thousand(1000);
  std::iota(thousand.begin(), thousand.end(), 1.0);
  CHECK(Distribution(thousand).quantile(0.999) == 999);
  CHECK(Distribution(thousand).quantile(0.99) == 990);
}

TEST_CASE("without samples all of a distribution is zero") {
  const Distribution none;
  CHECK(none.empty());
  CHECK(none.min() == 0);
  CHECK(none.quantile(0.5) == 0);
  CHECK(none.max() == 0);
}

TEST_CASE("a quantile has as many samples at or below it as it says, and no fewer will do") {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> samples(1 + random() % 300);
    std::generate(samples.begin(), samples.end(), [&] { return static_cast<double>(random() % 1000); });
    const Distribution distribution(samples);
    for (const double part : {0.01, 0.5, 0.9, 0.99, 0.999}) {
      const double value = distribution.quantile(part);
      const auto at_most = std::count_if(samples.begin(), samples.end(), [&](double s) { return s <= value; });
      const auto below = std::count_if(samples.begin(), samples.end(), [&](double s) { return s < value; });
      const double wanted = part * static_cast<double>(samples.size());
      CHECK(static_cast<double>(at_most) >= wanted - 1e-6);
      CHECK(static_cast<double>(below) < wanted + 1e-6);
    }
  }
}

TEST_CASE("a log scale's buckets grow by one factor and have the powers of ten among their bounds") {
  const LogScale scale = LogScale::covering(0.9, 110, 20);
  REQUIRE(scale.buckets() >= 2);
  REQUIRE(scale.buckets() <= 20);
  CHECK(scale.bound(0) <= 0.9);
  CHECK(scale.bound(scale.buckets()) > 110);
  const double factor = scale.bound(1) / scale.bound(0);
  bool ten = false;
  for (std::size_t i = 0; i < scale.buckets(); ++i) {
    CHECK(scale.bound(i + 1) / scale.bound(i) == Approx(factor));
    CHECK(scale.bucket_of(scale.bound(i)) == i);  // a bound belongs to the bucket above it
    CHECK(scale.bucket_of(std::sqrt(scale.bound(i) * scale.bound(i + 1))) == i);
    ten = ten || std::abs(scale.bound(i) - 10) < 1e-9;
  }
  CHECK(ten);
}

TEST_CASE("a log scale is as fine as it may be, and never has more buckets than asked for") {
  CHECK(LogScale::covering(5, 5, 16).buckets() == 1);
  CHECK(LogScale::covering(1, 1.2, 16).buckets() > 4);
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const double low = std::pow(10.0, static_cast<double>(random() % 120) / 10 - 6);
    const double high = low * std::pow(10.0, static_cast<double>(random() % 200) / 10);
    const std::size_t most = 2 + random() % 40;
    const LogScale scale = LogScale::covering(low, high, most);
    CHECK(scale.buckets() <= most);
    CHECK(scale.bound(0) <= low * (1 + 1e-6));
    CHECK(scale.bound(scale.buckets()) >= high * (1 - 1e-6));
  }
}

TEST_CASE("every sample is in one bucket, odd ones too") {
  const Distribution samples({-1, 0, 0.5, 1, 2, 4, 1000});
  const LogScale scale = LogScale::covering(0.5, 1000, 10);
  const auto counts = scale.counts(samples);
  CHECK(counts.size() == scale.buckets());
  CHECK(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}) == samples.count());
  CHECK(counts.front() >= 3);
  CHECK(counts.back() == 1);
}

}  // namespace muster::cli

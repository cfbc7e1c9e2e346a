// Measurements as pictures: histograms one above the other, and rates over time. Pure.
#pragma once

#include <string>
#include <vector>

#include "sched/cli/distribution.hpp"

namespace muster::cli {

struct PlotWords {
  std::string title;
  std::string what;   // below it, a line each
  std::string where;
  std::string unit;   // of what is measured: "ms", "per second"
};

// Something known to compare with: a line with its name.
struct PlotMark {
  std::string label;
  double value{};
};

struct Samples {
  std::string label;
  Distribution values;
};
// A panel for each, over one logarithmic axis. Series without samples are left out; REQUIRES one that has some (check()).
[[nodiscard]] std::string plot_histograms(const PlotWords& words, const std::vector<Samples>& series,
                                          const std::vector<PlotMark>& marks);

struct Rates {
  std::string label;
  double slice_seconds{};
  std::vector<double> per_second;  // in each slice
};
// Lines over time from 0.
[[nodiscard]] std::string plot_rates(const PlotWords& words, const std::vector<Rates>& series,
                                     const std::vector<PlotMark>& marks);

// Events per second in slices of a round length, some 20 of them or fewer so that few events don't look like many, from the
// first event on. What is left over at the end
// belongs to no slice. Instants are nanoseconds of one clock, in any order.
[[nodiscard]] Rates rates_of(std::string label, std::vector<std::int64_t> events_ns);

}  // namespace muster::cli

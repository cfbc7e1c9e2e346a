#include "sched/cli/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "sched/cli/svg.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/check.hpp"

namespace muster::cli {
namespace {

constexpr double kWidth = 760;
constexpr double kLeft = 70;
constexpr double kRight = 28;
constexpr double kHead = 96;       // the words above
constexpr double kInner = kWidth - kLeft - kRight;
constexpr double kShortestSlice = 0.01;  // seconds
constexpr const char* kGrid = "#e3e6ea";
constexpr const char* kInk = "#2b2f36";
constexpr const char* kPale = "#6b7280";
constexpr std::array<const char*, 4> kColours{"#4e79a7", "#59a14f", "#b07aa1", "#f28e2b"};
constexpr const char* kMarkColour = "#e15759";

// 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) {
      return factor * power;
    }
  }
  return 10 * power;
}

void head(SvgWriter& svg, const PlotWords& words) {
  svg.text(kLeft, 30, words.title, "start", {{"font-size", "16"}, {"font-weight", "600"}, {"fill", kInk}});
  svg.text(kLeft, 50, words.what, "start", {{"fill", kInk}});
  svg.text(kLeft, 67, words.where, "start", {{"fill", kPale}});
}

// "0.1", "20": ticks are round numbers.
std::string tick(double value) { return value == 0 || value >= 0.001 ? svg_number(value) : three_digits(value); }

// Where values are across the page.
struct LogAxis {
  double low;
  double high;
  [[nodiscard]] double x(double value) const {
    return kLeft + kInner * (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
  }
  [[nodiscard]] bool shows(double value) const { return value >= low && value <= high; }
};

void log_ticks(SvgWriter& svg, const LogAxis& axis, double top, double bottom, const std::string& unit) {
  const int first = static_cast<int>(std::floor(std::log10(axis.low)));
  const int last = static_cast<int>(std::ceil(std::log10(axis.high)));
  const bool dense = std::log10(axis.high / axis.low) <= 4.5;
  double free_from = 0;
  for (int decade = first; decade <= last; ++decade) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double value = factor * std::pow(10.0, decade);
      if (!axis.shows(value) || (!dense && factor != 1.0)) {
        continue;
      }
      const double x = axis.x(value);
      svg.line(x, top, x, bottom, {{"stroke", kGrid}});
      if (x >= free_from) {
        svg.text(x, bottom + 15, tick(value), "middle", {{"font-size", "11"}, {"fill", kPale}});
        free_from = x + 36;
      }
    }
  }
  svg.text(kLeft + kInner, bottom + 28, unit, "end", {{"font-size", "11"}, {"fill", kPale}});
}

void panel(SvgWriter& svg, const Samples& samples, const LogScale& scale, const LogAxis& axis, double top, double bottom,
           const std::string& unit) {
  const auto counts = scale.counts(samples.values);
  const auto most = static_cast<double>(std::max<std::uint64_t>(1, *std::max_element(counts.begin(), counts.end())));
  log_ticks(svg, axis, top, bottom, unit);
  svg.begin_group({{"fill", kColours[0]}});
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) {
      const double x = axis.x(scale.bound(i));
      const double height = std::max(1.0, (bottom - top) * static_cast<double>(counts[i]) / most);
      svg.rectangle(x, bottom - height, std::max(1.0, axis.x(scale.bound(i + 1)) - x - 1), height, {});
    }
  }
  svg.end_group();
  svg.line(kLeft, bottom, kLeft + kInner, bottom, {{"stroke", kPale}});
  svg.text(kLeft - 8, top + 10, std::to_string(static_cast<std::uint64_t>(most)), "end", {{"font-size", "11"}, {"fill", kPale}});
  svg.text(kLeft - 8, bottom, "0", "end", {{"font-size", "11"}, {"fill", kPale}});
  const auto quantile = [&](const char* name, double part) {
    return std::string(name) + " " + three_digits(samples.values.quantile(part));
  };
  svg.text(kLeft, top - 8, samples.label, "start", {{"font-weight", "600"}, {"fill", kInk}});
  svg.text(kLeft + kInner, top - 8,
           std::to_string(samples.values.count()) + " samples: " + quantile("p50", 0.5) + ", " + quantile("p99", 0.99) + ", max " +
               three_digits(samples.values.max()) + " " + unit,
           "end", {{"fill", kPale}});
  for (const double part : {0.5, 0.99}) {
    const double x = axis.x(std::max(axis.low, samples.values.quantile(part)));
    svg.line(x, top, x, bottom, {{"stroke", kInk}, {"stroke-width", "1.5"}, {"stroke-dasharray", part == 0.5 ? "none" : "2 3"}});
  }
}

}  // namespace

std::string plot_histograms(const PlotWords& words, const std::vector<Samples>& series, const std::vector<PlotMark>& marks) {
  std::vector<const Samples*> shown;
  for (const Samples& samples : series) {
    if (!samples.values.empty() && samples.values.max() > 0) {
      shown.push_back(&samples);
    }
  }
  check(!shown.empty(), "plot: nothing to show");
  double low = shown.front()->values.max();
  double high = low;
  for (const Samples* samples : shown) {
    const auto& sorted = samples->values.sorted();
    low = std::min(low, *std::upper_bound(sorted.begin(), sorted.end(), 0.0));
    high = std::max(high, samples->values.max());
  }
  for (const PlotMark& mark : marks) {
    if (mark.value > 0) {
      low = std::min(low, mark.value);
      high = std::max(high, mark.value);
    }
  }
  const LogScale scale = LogScale::covering(low, high, 90);
  const LogAxis axis{scale.bound(0), scale.bound(scale.buckets())};
  constexpr double kPanel = 90;
  constexpr double kGap = 58;
  const double height = kHead + static_cast<double>(shown.size()) * (kPanel + kGap) + 20;
  SvgWriter svg(kWidth, height, words.title);
  head(svg, words);
  double top = kHead + 12;
  for (const Samples* samples : shown) {
    panel(svg, *samples, scale, axis, top, top + kPanel, words.unit);
    for (const PlotMark& mark : marks) {
      if (mark.value > 0) {
        const double x = axis.x(mark.value);
        svg.line(x, top, x, top + kPanel, {{"stroke", kMarkColour}, {"stroke-width", "1.5"}, {"stroke-dasharray", "5 3"}});
      }
    }
    top += kPanel + kGap;
  }
  std::string legend = "solid: p50; dotted: p99";
  for (const PlotMark& mark : marks) {
    legend += (&mark == &marks.front() ? "; red, dashed: " : ", ") + mark.label + " " + three_digits(mark.value) + " " + words.unit;
  }
  svg.text(kLeft, height - 14, legend, "start", {{"font-size", "11"}, {"fill", kPale}});
  return svg.finish();
}

std::string plot_rates(const PlotWords& words, const std::vector<Rates>& series, const std::vector<PlotMark>& marks) {
  double most = 1;
  double seconds = 1e-3;
  for (const Rates& rates : series) {
    for (const double rate : rates.per_second) {
      most = std::max(most, rate);
    }
    seconds = std::max(seconds, rates.slice_seconds * static_cast<double>(rates.per_second.size()));
  }
  for (const PlotMark& mark : marks) {
    most = std::max(most, mark.value);
  }
  constexpr double kPlot = 260;
  const double step_y = round_step(most / 5);
  const double top_value = step_y * std::ceil(most / step_y * 1.0001);
  const double top = kHead + 4;
  const double bottom = top + kPlot;
  const auto x_of = [&](double t) { return kLeft + kInner * t / seconds; };
  const auto y_of = [&](double rate) { return bottom - kPlot * rate / top_value; };
  SvgWriter svg(kWidth, bottom + 44 + 18.0 * static_cast<double>(series.size() + marks.size()), words.title);
  head(svg, words);
  for (double y = 0; y <= top_value * 1.0001; y += step_y) {
    svg.line(kLeft, y_of(y), kLeft + kInner, y_of(y), {{"stroke", kGrid}});
    svg.text(kLeft - 8, y_of(y) + 4, tick(y), "end", {{"font-size", "11"}, {"fill", kPale}});
  }
  const double step_x = round_step(seconds / 8);
  for (double t = 0; t <= seconds * 1.0001; t += step_x) {
    svg.line(x_of(t), bottom, x_of(t), bottom + 4, {{"stroke", kPale}});
    svg.text(x_of(t), bottom + 17, tick(t), "middle", {{"font-size", "11"}, {"fill", kPale}});
  }
  svg.text(kLeft + kInner, bottom + 30, "seconds", "end", {{"font-size", "11"}, {"fill", kPale}});
  svg.text(kLeft, top - 10, words.unit, "start", {{"font-size", "11"}, {"fill", kPale}});
  svg.line(kLeft, bottom, kLeft + kInner, bottom, {{"stroke", kPale}});
  double legend = bottom + 38;
  const auto explain = [&](const std::string& label, const std::string& colour, const std::string& dashes) {
    svg.line(kLeft, legend - 4, kLeft + 26, legend - 4, {{"stroke", colour}, {"stroke-width", "2"}, {"stroke-dasharray", dashes}});
    svg.text(kLeft + 34, legend, label, "start", {{"fill", kInk}});
    legend += 18;
  };
  for (std::size_t i = 0; i < series.size(); ++i) {
    const Rates& rates = series[i];
    std::string data;
    for (std::size_t slice = 0; slice < rates.per_second.size(); ++slice) {
      const std::string y = svg_number(y_of(rates.per_second[slice]));
      const double begin = rates.slice_seconds * static_cast<double>(slice);
      data += (data.empty() ? "M" : " L") + svg_number(x_of(begin)) + " " + y;
      data += " L" + svg_number(x_of(begin + rates.slice_seconds)) + " " + y;
    }
    if (!data.empty()) {
      svg.path(data, {{"fill", "none"}, {"stroke", kColours[i % kColours.size()]}, {"stroke-width", "2"}});
    }
    explain(rates.label, kColours[i % kColours.size()], "none");
  }
  for (const PlotMark& mark : marks) {
    svg.line(kLeft, y_of(mark.value), kLeft + kInner, y_of(mark.value),
             {{"stroke", kMarkColour}, {"stroke-width", "1.5"}, {"stroke-dasharray", "5 3"}});
    explain(mark.label + ": " + three_digits(mark.value) + " " + words.unit, kMarkColour, "5 3");
  }
  return svg.finish();
}

Rates rates_of(std::string label, std::vector<std::int64_t> events_ns) {
  Rates rates{std::move(label), 0, {}};
  if (events_ns.empty()) {
    return rates;
  }
  std::sort(events_ns.begin(), events_ns.end());
  const double seconds = std::max(1e-3, static_cast<double>(events_ns.back() - events_ns.front()) * 1e-9);
  const double for_five_events = 5 * seconds / static_cast<double>(events_ns.size());
  rates.slice_seconds = round_step(std::max({seconds / 20, for_five_events, kShortestSlice}));
  const auto slices = static_cast<std::size_t>(seconds / rates.slice_seconds);
  rates.per_second.assign(std::max<std::size_t>(1, slices), 0);
  for (const std::int64_t event : events_ns) {
    const auto slice = static_cast<std::size_t>(static_cast<double>(event - events_ns.front()) * 1e-9 / rates.slice_seconds);
    if (slice < rates.per_second.size()) {
      rates.per_second[slice] += 1 / rates.slice_seconds;
    }
  }
  return rates;
}

}  // namespace muster::cli

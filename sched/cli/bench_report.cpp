#include "sched/cli/bench_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sched/cli/table.hpp"

namespace muster::cli {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kHistogramRows = 16;

struct Quantile {
  const char* key;
  const char* title;
  double part;
};
constexpr Quantile kQuantiles[] = {{"p50", "p50", 0.5}, {"p90", "p90", 0.9}, {"p99", "p99", 0.99}, {"p99_9", "p99.9", 0.999}};

std::string key_unit(const BenchReport& report) {
  std::string key = "_" + report.unit;
  std::replace(key.begin(), key.end(), ' ', '_');
  return key;
}

std::string padded(const std::string& text, std::size_t width) {
  return std::string(width - std::min(width, width_of(text)), ' ') + text;
}

std::string table_of(const BenchReport& report) {
  using enum TextTable::Align;
  TextTable table({{report.unit, left},
                   {"min", right},
                   {"p50", right},
                   {"p90", right},
                   {"p99", right},
                   {"p99.9", right},
                   {"max", right}});
  for (const Measure& measure : report.measures) {
    const Distribution& values = measure.samples.values;
    std::vector<std::string> cells{measure.samples.label, three_digits(values.min())};
    for (const Quantile& quantile : kQuantiles) {
      cells.push_back(three_digits(values.quantile(quantile.part)));
    }
    cells.push_back(three_digits(values.max()));
    table.add(std::move(cells));
  }
  return table.empty() ? "" : "\n" + table.to_string();
}

std::string figures_of(const BenchReport& report) {
  std::size_t width = 0;
  for (const Figure& figure : report.figures) {
    width = std::max(width, width_of(figure.label));
  }
  std::string text = report.figures.empty() ? "" : "\n";
  for (const Figure& figure : report.figures) {
    text += figure.label + std::string(width - width_of(figure.label), ' ') + "  " + padded(three_digits(figure.value), 7) + "\n";
  }
  return text;
}

nlohmann::ordered_json json_of(const Distribution& values, const std::string& unit) {
  nlohmann::ordered_json json = {{"count", values.count()}, {"min" + unit, values.min()}};
  for (const Quantile& quantile : kQuantiles) {
    json[quantile.key + unit] = values.quantile(quantile.part);
  }
  json["max" + unit] = values.max();
  json["histogram"] = nlohmann::ordered_json::array();
  const auto positive = std::upper_bound(values.sorted().begin(), values.sorted().end(), 0.0);
  if (positive != values.sorted().end()) {
    const LogScale scale = LogScale::covering(*positive, values.max(), 64);
    const auto counts = scale.counts(values);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      json["histogram"].push_back({{"from" + unit, scale.bound(i)}, {"to" + unit, scale.bound(i + 1)}, {"count", counts[i]}});
    }
  }
  return json;
}

struct Bar {
  std::string left;   // all of one width
  double value{};
};

// Bars in what is left of 80 columns; what is not zero shows at least a mark.
std::string bars(const std::vector<Bar>& rows) {
  double most = 0;
  for (const Bar& row : rows) {
    most = std::max(most, row.value);
  }
  std::string text;
  for (const Bar& row : rows) {
    const std::size_t room = kColumns - std::min(kColumns - 1, width_of(row.left) + 2);
    const double part = most > 0 ? row.value / most : 0;
    const auto marks = static_cast<std::size_t>(part * static_cast<double>(room) + 0.5);
    text += row.left;
    text += row.value > 0 ? "  " + std::string(std::max<std::size_t>(marks, 1), '#') : "";
    text += "\n";
  }
  return text;
}

}  // namespace

std::string render_histogram(const Distribution& samples, const std::string& unit, std::size_t rows) {
  const auto positive = std::upper_bound(samples.sorted().begin(), samples.sorted().end(), 0.0);
  if (positive == samples.sorted().end()) {
    return "";
  }
  const LogScale scale = LogScale::covering(*positive, samples.max(), rows);
  const auto counts = scale.counts(samples);
  std::vector<std::string> labels;
  std::size_t label_width = 0;
  std::size_t count_width = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    labels.push_back(three_digits(scale.bound(i)) + " - " + three_digits(scale.bound(i + 1)) + " " + unit);
    label_width = std::max(label_width, width_of(labels.back()));
    count_width = std::max(count_width, std::to_string(counts[i]).size());
  }
  std::vector<Bar> lines;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    lines.push_back({"  " + padded(labels[i], label_width) + "  " + padded(std::to_string(counts[i]), count_width),
                     static_cast<double>(counts[i])});
  }
  return bars(lines);
}

std::string render_rates(const Rates& rates) {
  std::vector<std::string> times;
  std::vector<std::string> values;
  std::size_t time_width = 0;
  std::size_t value_width = 0;
  for (std::size_t i = 0; i < rates.per_second.size(); ++i) {
    times.push_back(three_digits(rates.slice_seconds * static_cast<double>(i)) + " s");
    values.push_back(three_digits(rates.per_second[i]));
    time_width = std::max(time_width, times.back().size());
    value_width = std::max(value_width, values.back().size());
  }
  std::vector<Bar> lines;
  for (std::size_t i = 0; i < times.size(); ++i) {
    lines.push_back({"  " + padded(times[i], time_width) + "  " + padded(values[i], value_width), rates.per_second[i]});
  }
  return bars(lines);
}

std::string render_bench(const BenchReport& report) {
  std::string text = report.title + "\non " + report.cluster + "\n";
  const std::string figures = figures_of(report);
  const std::string table = table_of(report);
  // Of times the table says most, of rates the figures.
  text += report.rates.empty() ? table + figures : figures + table;
  for (const Measure& measure : report.measures) {
    if (measure.key == report.main && !measure.samples.values.empty()) {
      text += "\n" + measure.samples.label + "\n" + render_histogram(measure.samples.values, report.unit, kHistogramRows);
    }
  }
  for (const Rates& rates : report.rates) {
    text += "\n" + rates.label + "\n" + render_rates(rates);
  }
  if (!report.remarks.empty()) {
    text += "\n";
    for (const std::string& remark : report.remarks) {
      text += remark + "\n";
    }
  }
  return text;
}

nlohmann::ordered_json json_of(const BenchReport& report) {
  nlohmann::ordered_json json;
  json["bench"] = report.bench;
  json["cluster"] = {{"nodes", report.nodes}, {"cpus_milli", report.cpus_milli}, {"jobs_running_before", report.others_running}};
  json["machine"] = {{"cpus", report.machine_cpus}, {"load_average_before", report.load_before}};
  for (const Figure& figure : report.figures) {
    json[figure.key] = figure.value;
  }
  for (const Measure& measure : report.measures) {
    json[measure.key] = json_of(measure.samples.values, key_unit(report));
  }
  if (!report.rates.empty()) {
    json["over_time"] = nlohmann::ordered_json::array();
    for (const Rates& rates : report.rates) {
      json["over_time"].push_back(
          {{"what", rates.label}, {"slice_seconds", rates.slice_seconds}, {"per_second", rates.per_second}});
    }
  }
  json["remarks"] = report.remarks;
  return json;
}

std::string svg_of(const BenchReport& report) {
  const PlotWords words{"muster bench " + report.bench, report.title, "on " + report.cluster, report.unit};
  if (!report.rates.empty()) {
    return plot_rates(words, report.rates, report.rate_marks);
  }
  std::vector<Samples> series;
  std::vector<PlotMark> marks;
  for (const Measure& measure : report.measures) {
    if (measure.bare) {
      marks.push_back({measure.samples.label + " (p50)", measure.samples.values.quantile(0.5)});
    } else {
      series.push_back(measure.samples);
    }
  }
  return plot_histograms(words, series, marks);
}

}  // namespace muster::cli

// What a `muster bench` found, and its forms: text of at most 80 columns, JSON (fields as in docs/cli.md), a picture. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>
#include <vector>

#include "sched/cli/distribution.hpp"
#include "sched/cli/plot.hpp"

namespace muster::cli {

// Many samples of one thing: a row of the table, an object in JSON.
struct Measure {
  std::string key;          // "submit_to_start"
  Samples samples;          // "submit → start"
  bool bare{};              // of the machine without us: a mark in the picture, no panel
};

// One number.
struct Figure {
  std::string key;          // with its unit: "array_jobs_per_second"
  std::string label;
  double value{};
};

struct BenchReport {
  std::string bench;        // "latency"
  std::string title;        // "200 no-op jobs, one at a time"
  std::string cluster;      // "2 nodes with 8 cpus, nothing else runs"
  std::string unit;         // of the measures: "ms" or "per second"; JSON keys end in it
  std::vector<Measure> measures;
  std::string main;         // key of the measure that gets a text histogram; empty: none
  std::vector<Figure> figures;
  std::vector<Rates> rates; // over time
  std::vector<PlotMark> rate_marks;
  std::vector<std::string> remarks;  // what a reader must know
  // The cluster in JSON.
  std::uint64_t nodes{};
  std::uint64_t cpus_milli{};
  std::uint64_t others_running{};
  // Of this machine, before anything was measured: processes that want a cpu (a minute's mean), and its cpus.
  double load_before{};
  std::uint32_t machine_cpus{};
};

[[nodiscard]] std::string render_bench(const BenchReport& report);
[[nodiscard]] nlohmann::ordered_json json_of(const BenchReport& report);
[[nodiscard]] std::string svg_of(const BenchReport& report);

// Lines "  4.22 - 5.01 ms   53  #####", at most `rows`.
[[nodiscard]] std::string render_histogram(const Distribution& samples, const std::string& unit, std::size_t rows);
// Lines "  0.4 s   1234  #####".
[[nodiscard]] std::string render_rates(const Rates& rates);

}  // namespace muster::cli

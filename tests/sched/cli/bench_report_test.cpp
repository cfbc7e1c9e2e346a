// Goal: what `muster bench` prints fits a terminal, its JSON names its units, and its pictures are well-formed and alone.
// Method: made-up samples in; text, JSON and SVG out. A small reader of XML checks tags, quotes and references.
#include "sched/cli/bench_report.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "sched/cli/svg.hpp"
#include "sched/cli/table.hpp"
#include "sched/cli/values.hpp"

namespace muster::cli {
namespace {

using Catch::Matchers::Contains;

// "" if every tag is closed in order, attributes are quoted, and & begins a known reference; else what is wrong.
std::string fault_of_xml(const std::string& text) {
  std::vector<std::string> open;
  std::size_t at = 0;
  const auto bad_reference = [](const std::string& part) {
    for (auto amp = part.find('&'); amp != std::string::npos; amp = part.find('&', amp + 1)) {
      const std::string name = part.substr(amp, part.find(';', amp) - amp + 1);
      if (name != "&amp;" && name != "&lt;" && name != "&gt;" && name != "&quot;" && name != "&#39;") {
        return true;
      }
    }
    return false;
  };
  while (at < text.size()) {
    const auto tag = text.find('<', at);
    const std::string content = text.substr(at, tag - at);
    if (content.find('>') != std::string::npos || bad_reference(content)) {
      return "text: " + content;
    }
    if (tag == std::string::npos) {
      break;
    }
    const auto end = text.find('>', tag);
    if (end == std::string::npos) {
      return "an open tag at the end";
    }
    const std::string inner = text.substr(tag + 1, end - tag - 1);
    at = end + 1;
    if (inner.starts_with("?")) {
      continue;
    }
    if (inner.starts_with("/")) {
      if (open.empty() || open.back() != inner.substr(1)) {
        return "</" + inner.substr(1) + "> closes nothing";
      }
      open.pop_back();
      continue;
    }
    const std::string name = inner.substr(0, inner.find_first_of(" /"));
    std::size_t i = name.size();
    while (i < inner.size() && inner[i] == ' ') {
      const auto equals = inner.find("=\"", i);
      const auto quote = equals == std::string::npos ? equals : inner.find('"', equals + 2);
      if (quote == std::string::npos) {
        return "an attribute of " + inner;
      }
      const std::string value = inner.substr(equals + 2, quote - equals - 2);
      if (bad_reference(value) || value.find('<') != std::string::npos) {
        return "the value " + value;
      }
      i = quote + 1;
    }
    if (inner.substr(i) != "" && inner.substr(i) != "/") {
      return "the tag " + inner;
    }
    if (inner.substr(i).empty()) {
      open.push_back(name);
    }
  }
  return open.empty() ? "" : open.back() + " is never closed";
}

BenchReport report() {
  BenchReport report;
  report.bench = "latency";
  report.title = "3 no-op jobs, one at a time";
  report.cluster = "2 nodes with 8 cpus";
  report.unit = "ms";
  report.nodes = 2;
  report.cpus_milli = 8000;
  report.measures = {{"submit_to_start", {"submit → start", Distribution({4.2, 5.1, 12})}, false},
                     {"bare_spawn", {"bare spawn", Distribution({0.5, 0.6})}, true}};
  report.main = "submit_to_start";
  report.figures = {{"a_ratio", "a ratio (p50)", 5.25}};
  report.remarks = {"a remark"};
  return report;
}

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  for (const std::string& line : split(text, '\n')) {
    widest = std::max(widest, width_of(line));
  }
  return widest;
}

}  // namespace

TEST_CASE("the reader of XML finds faults") {
  CHECK(fault_of_xml("<a b=\"c\"><d/>x &amp; y</a>").empty());
  CHECK_FALSE(fault_of_xml("<a>").empty());
  CHECK_FALSE(fault_of_xml("<a></b>").empty());
  CHECK_FALSE(fault_of_xml("<a b=c></a>").empty());
  CHECK_FALSE(fault_of_xml("<a>x & y</a>").empty());
  CHECK_FALSE(fault_of_xml("<a b=\"<\"/>").empty());
}

TEST_CASE("an SVG is well-formed whatever its words are") {
  SvgWriter svg(100, 50, "a <b> & \"c\"");
  svg.begin_group({{"fill", "\"<&>'"}});
  svg.text(1, 2, "x < y && z\x01", "start");
  svg.line(0, 0, 1.23456, -0.0, {{"stroke", "#000"}});
  svg.path("M0 0 L1 1", {});
  const std::string text = svg.finish();  // closes the group too
  INFO(text);
  CHECK(fault_of_xml(text) == "");
  CHECK_THAT(text, Contains("a &lt;b&gt; &amp; &quot;c&quot;") && Contains("x2=\"1.235\"") && Contains("y2=\"0\"") &&
                       Contains("x &lt; y &amp;&amp; z?"));
}

TEST_CASE("numbers in an SVG have no exponent and nothing to spare") {
  CHECK(svg_number(12.5) == "12.5");
  CHECK(svg_number(100) == "100");
  CHECK(svg_number(0.0001) == "0");
  CHECK(svg_number(1e9) == "1000000000");
  CHECK(svg_number(0.0 / std::numeric_limits<double>::infinity()) == "0");
  CHECK(svg_number(std::numeric_limits<double>::infinity()) == "0");
}

TEST_CASE("numbers for people have three digits") {
  CHECK(three_digits(0) == "0");
  CHECK(three_digits(0.08412) == "0.0841");
  CHECK(three_digits(4.206) == "4.21");
  CHECK(three_digits(12.34) == "12.3");
  CHECK(three_digits(155.4) == "155");
  CHECK(three_digits(1319.2) == "1319");
}

TEST_CASE("a bench report is a table, a histogram and remarks within 80 columns") {
  const std::string text = render_bench(report());
  INFO(text);
  CHECK_THAT(text, Contains("3 no-op jobs, one at a time\non 2 nodes with 8 cpus\n") &&
                       Contains("ms                min    p50    p90    p99  p99.9    max\n") &&
                       Contains("submit → start   4.20   5.10   12.0   12.0   12.0   12.0\n") &&
                       Contains("\na ratio (p50)     5.25\n") &&
                       Contains("\na remark\n") && Contains("####"));
  CHECK(widest_line(text) <= 80);
}

TEST_CASE("bars fill the line and show what is little") {
  std::vector<double> samples(1000, 3.0);
  samples.push_back(300);
  const std::string text = render_histogram(Distribution(samples), "ms", 16);
  INFO(text);
  CHECK(widest_line(text) == 80);
  const auto lines = split(text, '\n');
  CHECK(lines.size() <= 17);
  CHECK_THAT(lines[0], Contains("1000  ####"));
  CHECK_THAT(lines[lines.size() - 2], Contains("   1  #"));
  CHECK(render_histogram(Distribution(), "ms", 16).empty());
  CHECK(render_histogram(Distribution({0, 0}), "ms", 16).empty());
  const std::string rates = render_rates({"r", 0.05, {0, 1000, 500}});
  INFO(rates);
  CHECK(widest_line(rates) == 80);
  CHECK_THAT(split(rates, '\n')[0], Contains("0 s"));
  CHECK(split(rates, '\n')[0].find('#') == std::string::npos);
}

TEST_CASE("the JSON of a bench names the unit in every key") {
  const auto json = json_of(report());
  CHECK(json["bench"] == "latency");
  CHECK(json["cluster"]["nodes"] == 2);
  CHECK(json["cluster"]["cpus_milli"] == 8000);
  CHECK(json["a_ratio"] == 5.25);
  const auto& start = json["submit_to_start"];
  CHECK(start["count"] == 3);
  CHECK(start["min_ms"] == 4.2);
  CHECK(start["p50_ms"] == 5.1);
  CHECK(start["p99_9_ms"] == 12);
  CHECK(start["max_ms"] == 12);
  std::uint64_t sum = 0;
  for (const auto& bucket : start["histogram"]) {
    CHECK(bucket["from_ms"] < bucket["to_ms"]);
    sum += bucket["count"].get<std::uint64_t>();
  }
  CHECK(sum == 3);
  BenchReport rates = report();
  rates.unit = "per second";
  rates.rates = {{"starts", 0.5, {1, 2}}};
  const auto over_time = json_of(rates);
  CHECK(over_time["submit_to_start"].contains("p50_per_second"));
  CHECK(over_time["over_time"][0]["slice_seconds"] == 0.5);
  CHECK(over_time["over_time"][0]["per_second"].size() == 2);
}

TEST_CASE("pictures of a bench are well-formed and need nothing else") {
  for (const bool over_time : {false, true}) {
    BenchReport shown = report();
    shown.title = "<title> & \"more\"";
    if (over_time) {
      shown.rates = {{"array", 0.5, {100, 2000, 1500}}, {"separate", 0.2, {7}}};
      shown.rate_marks = {{"bare", 3000}};
    }
    const std::string svg = svg_of(shown);
    INFO(svg);
    CHECK(fault_of_xml(svg) == "");
    CHECK_THAT(svg, Contains("&lt;title&gt; &amp;") && Contains("http://www.w3.org/2000/svg"));
    for (const char* foreign : {"href", "<script", "<style", "url(", "@import", "nan", "inf"}) {
      CHECK(svg.find(foreign) == std::string::npos);
    }
  }
  BenchReport one = report();
  one.measures.resize(1);
  one.measures[0].samples.values = Distribution({5});
  CHECK(fault_of_xml(svg_of(one)) == "");
}

TEST_CASE("rates over time count every event of a whole slice") {
  std::vector<std::int64_t> events_ns;
  for (int i = 0; i <= 10'000; ++i) {
    events_ns.push_back(1'777'777'777'000'000'000 + i * 200'000LL);  // 5,000 per second, 2 s
  }
  const Rates rates = rates_of("r", events_ns);
  CHECK(rates.slice_seconds == Approx(0.1));
  REQUIRE(rates.per_second.size() == 20);
  for (const double rate : rates.per_second) {
    CHECK(rate == Approx(5000).epsilon(0.01));
  }
  CHECK(rates_of("none", {}).per_second.empty());
  const Rates one = rates_of("one", {5});
  CHECK(one.per_second == std::vector<double>{1 / one.slice_seconds});
  CHECK(one.slice_seconds >= 0.01);
  const Rates few = rates_of("few", {0, 1'000'000'000, 2'000'000'000, 10'000'000'000});
  CHECK(few.slice_seconds >= 5);
}

}  // namespace muster::cli

#include "sched/cli/svg.hpp"

#include <array>
#include <cmath>
#include <cstdio>

#include "wire/base/check.hpp"

namespace muster::cli {

std::string xml_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        // Tabs and line ends aside, XML has no control characters.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::string svg_number(double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.3f", std::isfinite(value) ? value : 0.0);
  std::string out = text.data();
  out.erase(out.find_last_not_of('0') + 1);
  if (out.ends_with('.')) {
    out.pop_back();
  }
  return out == "-0" ? "0" : out;
}

SvgWriter::SvgWriter(double width, double height, std::string_view title) {
  out_ = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  const std::string w = svg_number(width);
  const std::string h = svg_number(height);
  open("svg", {{"xmlns", "http://www.w3.org/2000/svg"},
               {"width", w},
               {"height", h},
               {"viewBox", "0 0 " + w + " " + h},
               {"role", "img"},
               {"font-family", "system-ui, Helvetica, Arial, sans-serif"},
               {"font-size", "12"}});
  element("title", {}, title);
  rectangle(0, 0, width, height, {{"fill", "#ffffff"}});
}

void SvgWriter::line(double x1, double y1, double x2, double y2, Attributes style) {
  style.insert(style.begin(),
               {{"x1", svg_number(x1)}, {"y1", svg_number(y1)}, {"x2", svg_number(x2)}, {"y2", svg_number(y2)}});
  element("line", style);
}

void SvgWriter::rectangle(double x, double y, double width, double height, Attributes style) {
  style.insert(style.begin(), {{"x", svg_number(x)},
                               {"y", svg_number(y)},
                               {"width", svg_number(width)},
                               {"height", svg_number(height)}});
  element("rect", style);
}

void SvgWriter::path(std::string_view data, Attributes style) {
  style.insert(style.begin(), {"d", std::string(data)});
  element("path", style);
}

void SvgWriter::text(double x, double y, std::string_view content, std::string_view anchor, Attributes style) {
  style.insert(style.begin(), {{"x", svg_number(x)}, {"y", svg_number(y)}, {"text-anchor", std::string(anchor)}});
  element("text", style, content);
}

void SvgWriter::begin_group(Attributes style) { open("g", style); }

void SvgWriter::end_group() {
  check(open_.size() > 1, "svg: no group is open");
  close();
}

std::string SvgWriter::finish() {
  while (!open_.empty()) {
    close();
  }
  return std::move(out_);
}

void SvgWriter::element(std::string_view name, const Attributes& attributes, std::string_view content) {
  indent();
  out_ += "<" + std::string(name);
  for (const auto& [key, value] : attributes) {
    out_ += " " + std::string(key) + "=\"" + xml_escaped(value) + "\"";
  }
  out_ += content.empty() ? "/>\n" : ">" + xml_escaped(content) + "</" + std::string(name) + ">\n";
}

void SvgWriter::open(std::string_view name, const Attributes& attributes) {
  element(name, attributes);
  out_.replace(out_.size() - 3, 3, ">\n");  // "/>\n"
  open_.emplace_back(name);
}

void SvgWriter::close() {
  const std::string name = open_.back();
  open_.pop_back();
  indent();
  out_ += "</" + name + ">\n";
}

}  // namespace muster::cli

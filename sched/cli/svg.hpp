// SvgWriter: a picture as text that any browser shows, without files beside it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster::cli {

class SvgWriter {
 public:
  using Attributes = std::vector<std::pair<std::string_view, std::string>>;

  // The title is what readers of the picture hear, and what a browser shows.
  SvgWriter(double width, double height, std::string_view title);

  void line(double x1, double y1, double x2, double y2, Attributes style);
  void rectangle(double x, double y, double width, double height, Attributes style);
  void path(std::string_view data, Attributes style);
  // `y` is the base line; anchor: "start", "middle" or "end".
  void text(double x, double y, std::string_view content, std::string_view anchor, Attributes style = {});
  // A group whose members share a style, until end_group().
  void begin_group(Attributes style);
  void end_group();
  // Closes what is open. Nothing may be added after it.
  [[nodiscard]] std::string finish();

 private:
  void element(std::string_view name, const Attributes& attributes, std::string_view content = {});
  void open(std::string_view name, const Attributes& attributes);
  void close();
  void indent() { out_.append(2 * open_.size(), ' '); }
  std::string out_;
  std::vector<std::string> open_;
};

// With &, <, > and quotes as references, and without characters that XML does not allow.
[[nodiscard]] std::string xml_escaped(std::string_view text);
// At most three decimals, no exponent, no trailing zeros: "12.5".
[[nodiscard]] std::string svg_number(double value);

}  // namespace muster::cli

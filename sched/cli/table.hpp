// Text tables for people: columns as wide as they need to be. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "wire/base/time.hpp"

namespace muster::cli {

class TextTable {
 public:
  enum class Align : bool { left, right };
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit TextTable(std::vector<Column> columns);
  // REQUIRES one cell per column (check()). Control characters become '?'; an empty cell "-" unless it is the last.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  // Title line and rows, two blanks between columns, none at the ends of lines.
  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Without characters that move a terminal's cursor or break a line.
[[nodiscard]] std::string printable(std::string_view text);
// Characters, not bytes, of UTF-8.
[[nodiscard]] std::size_t width_of(std::string_view text);
// "2026-05-01 14:03:07" in local time; "-" for none.
[[nodiscard]] std::string format_wall(WallTime time);
// "1 job", "2 jobs".
[[nodiscard]] std::string counted(std::uint64_t n, std::string_view noun);
// Three significant digits, whole from 100 on: "0.0841", "4.21", "12.3", "1319".
[[nodiscard]] std::string three_digits(double value);
// Order of names as people count: n2 before n10.
[[nodiscard]] bool is_before(std::string_view a, std::string_view b);
// Words as a shell would need them: "sh -c 'echo x'".
[[nodiscard]] std::string shell_words(const std::vector<std::string>& words);

}  // namespace muster::cli

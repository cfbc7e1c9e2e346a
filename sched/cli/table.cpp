#include "sched/cli/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "wire/base/check.hpp"

namespace muster::cli {

TextTable::TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

void TextTable::add(std::vector<std::string> cells) {
  check(cells.size() == columns_.size(), "a table row needs a cell for each column");
  for (std::size_t i = 0; i < cells.size(); ++i) {
    cells[i] = printable(cells[i]);
    if (cells[i].empty() && i + 1 < cells.size()) {
      cells[i] = "-";
    }
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::to_string() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    widths.push_back(width_of(column.title));
  }
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::string text;
  const auto put = [&](std::size_t i, const std::string& cell) {
    const std::string pad(widths[i] - width_of(cell), ' ');
    text += columns_[i].align == Align::right ? pad + cell : cell + pad;
    text += "  ";
  };
  const auto end_line = [&] {
    text.resize(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    put(i, columns_[i].title);
  }
  end_line();
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      put(i, row[i]);
    }
    end_line();
  }
  return text;
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      c = '?';
    }
  }
  return out;
}

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

std::string format_wall(WallTime time) {
  if (time.ns() <= 0) {
    return "-";
  }
  const auto seconds = static_cast<std::time_t>(time.ns() / 1'000'000'000);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

std::string counted(std::uint64_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

std::string three_digits(double value) {
  const double size = std::abs(value);
  const int whole = size > 0 ? static_cast<int>(std::floor(std::log10(size))) : 0;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", size > 0 ? std::clamp(2 - whole, 0, 6) : 0, value);
  return text.data();
}

bool is_before(std::string_view a, std::string_view b) {
  const auto digits = [](std::string_view text) {
    const auto end = std::min(text.find_first_not_of("0123456789"), text.size());
    return text.substr(0, end);
  };
  while (!a.empty() && !b.empty()) {
    const std::string_view x = digits(a);
    const std::string_view y = digits(b);
    if (!x.empty() && !y.empty()) {
      const auto by_value = [](std::string_view n) { return n.substr(std::min(n.find_first_not_of('0'), n.size())); };
      const std::string_view v = by_value(x);
      const std::string_view w = by_value(y);
      if (v != w) {
        return v.size() != w.size() ? v.size() < w.size() : v < w;
      }
      a.remove_prefix(x.size());
      b.remove_prefix(y.size());
    } else if (a.front() != b.front()) {
      return a.front() < b.front();
    } else {
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  return a.size() < b.size();
}

std::string shell_words(const std::vector<std::string>& words) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
  std::string text;
  for (const std::string& word : words) {
    text += text.empty() ? "" : " ";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      text += word;
      continue;
    }
    text += '\'';
    for (char c : word) {
      text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    text += '\'';
  }
  return text;
}

}  // namespace muster::cli

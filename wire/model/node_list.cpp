#include "wire/model/node_list.hpp"

#include <charconv>
#include <optional>

namespace muster {
namespace {

constexpr std::size_t kNamesMax = 100'000;
constexpr std::size_t kDigitsMax = 18;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::optional<std::uint64_t> number_of(std::string_view digits) {
  std::uint64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [p, ec] = std::from_chars(digits.data(), end, value);
  if (digits.empty() || digits.size() > kDigitsMax || ec != std::errc{} || p != end) {
    return std::nullopt;
  }
  return value;
}

std::string padded(std::uint64_t number, std::size_t width) {
  const std::string digits = std::to_string(number);
  return digits.size() >= width ? digits : std::string(width - digits.size(), '0') + digits;
}

// "rack2-n07" → "rack2-n", 7, and 2 digits when they begin with a zero (else 0: any width).
struct Parts {
  std::string_view head;
  std::uint64_t number{};
  std::size_t width{};
  bool numbered{};
};

Parts parts_of(std::string_view name) {
  std::size_t at = name.size();
  while (at > 0 && is_digit(name[at - 1]) && name.size() - at < kDigitsMax) {
    --at;
  }
  const auto number = number_of(name.substr(at));
  if (!number) {
    return {name, 0, 0, false};
  }
  const std::size_t digits = name.size() - at;
  return {name.substr(0, at), *number, digits > 1 && name[at] == '0' ? digits : 0, true};
}

// Commas that stand in no brackets.
std::vector<std::string_view> pieces_of(std::string_view text) {
  std::vector<std::string_view> pieces;
  std::size_t from = 0;
  bool inside = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (text[i] == ',' && !inside)) {
      pieces.push_back(text.substr(from, i - from));
      from = i + 1;
    } else if (text[i] == '[') {
      inside = true;
    } else if (text[i] == ']') {
      inside = false;
    }
  }
  return pieces;
}

}  // namespace

std::string format_node_list(std::span<const std::string> names) {
  std::string text;
  for (std::size_t i = 0; i < names.size();) {
    const Parts first = parts_of(names[i]);
    std::string ranges;
    std::size_t ranges_count = 0;
    std::size_t end = i;
    while (end < names.size()) {
      const Parts from = parts_of(names[end]);
      if (!from.numbered || from.head != first.head || from.width != first.width) {
        break;
      }
      std::uint64_t last = from.number;
      std::size_t next = end + 1;
      for (; next < names.size(); ++next) {
        const Parts more = parts_of(names[next]);
        const bool same = more.numbered && more.head == first.head && more.number == last + 1 &&
                          (more.width == first.width || (first.width != 0 && more.width == 0 &&
                                                         names[next].size() == names[i].size()));
        if (!same) {
          break;
        }
        last = more.number;
      }
      ranges += (ranges.empty() ? "" : ",") + padded(from.number, first.width);
      if (last != from.number) {
        ranges += "-" + padded(last, first.width);
      }
      ++ranges_count;
      end = next;
    }
    text += text.empty() ? "" : ",";
    if (end <= i + 1) {
      text += names[i];
      end = i + 1;
    } else {
      text += std::string(first.head) + "[" + ranges + "]";
    }
    i = end;
  }
  return text;
}

Result<std::vector<std::string>> parse_node_list(std::string_view text) {
  const auto bad = [&](const std::string& why) {
    return fail(Errc::invalid_argument, "'" + std::string(text) + "': " + why + "; write n1,n3 or n[1-4,7]");
  };
  std::vector<std::string> names;
  for (const std::string_view piece : pieces_of(text)) {
    const auto open = piece.find('[');
    if (piece.empty()) {
      return bad("a name is empty");
    }
    if (open == std::string_view::npos) {
      if (piece.find(']') != std::string_view::npos) {
        return bad("a bracket does not open");
      }
      names.emplace_back(piece);
      continue;
    }
    const auto close = piece.find(']', open);
    if (close == std::string_view::npos) {
      return bad("a bracket does not close");
    }
    const std::string_view tail = piece.substr(close + 1);
    if (tail.find_first_of("[]") != std::string_view::npos) {
      return bad("a name may have one pair of brackets");
    }
    for (const std::string_view range : pieces_of(piece.substr(open + 1, close - open - 1))) {
      const auto dash = range.find('-');
      const std::string_view low = range.substr(0, dash);
      const auto first = number_of(low);
      const auto last = dash == std::string_view::npos ? first : number_of(range.substr(dash + 1));
      if (!first || !last || *first > *last) {
        return bad("'" + std::string(range) + "' is not a number or a range");
      }
      const std::size_t width = low.size() > 1 && low.front() == '0' ? low.size() : 0;
      if (*last - *first >= kNamesMax || names.size() + (*last - *first) >= kNamesMax) {
        return fail(Errc::out_of_range,
                    "'" + std::string(text) + "' names more than " + std::to_string(kNamesMax) + " nodes");
      }
      for (std::uint64_t number = *first; number <= *last; ++number) {
        names.push_back(std::string(piece.substr(0, open)) + padded(number, width) + std::string(tail));
      }
    }
  }
  return names;
}

std::string format_counts(std::span<const std::uint32_t> counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.size();) {
    std::size_t end = i + 1;
    while (end < counts.size() && counts[end] == counts[i]) {
      ++end;
    }
    text += (text.empty() ? "" : ",") + std::to_string(counts[i]);
    if (end - i > 1) {
      text += "(x" + std::to_string(end - i) + ")";
    }
    i = end;
  }
  return text;
}

}  // namespace muster

#include "wire/base/units.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <limits>
#include <vector>

namespace muster {
namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

// "12", "12.5" as value * scale, exact. Fails on more decimals than scale has.
Result<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t scale, bool exact) {
  std::uint64_t whole = 0;
  const char* const end = text.data() + text.size();
  auto [p, ec] = std::from_chars(text.data(), end, whole);
  if (ec != std::errc{} || p == text.data()) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a number");
  }
  if (whole > std::numeric_limits<std::uint64_t>::max() / scale) {
    return fail(Errc::out_of_range, quoted(text) + " is too large");
  }
  std::uint64_t value = whole * scale;
  if (p == end) {
    return value;
  }
  if (*p != '.' || p + 1 == end) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a number");
  }
  // The decimals as digits / ten; those past the 18th are below every scale's unit.
  std::uint64_t digits = 0;
  std::uint64_t ten = 1;
  bool cut = false;
  for (++p; p != end; ++p) {
    if (*p < '0' || *p > '9') {
      return fail(Errc::invalid_argument, quoted(text) + " is not a number");
    }
    const auto digit = static_cast<std::uint64_t>(*p - '0');
    if (ten < 1'000'000'000'000'000'000ULL) {
      digits = digits * 10 + digit;
      ten *= 10;
    } else {
      cut = cut || digit != 0;
    }
  }
  const auto scaled = static_cast<unsigned __int128>(digits) * scale;
  if (exact && (cut || scaled % ten != 0)) {
    return fail(Errc::invalid_argument, quoted(text) + " has too many decimals");
  }
  const auto fraction = static_cast<std::uint64_t>(scaled / ten);
  if (fraction > std::numeric_limits<std::uint64_t>::max() - value) {
    return fail(Errc::out_of_range, quoted(text) + " is too large");
  }
  return value + fraction;
}

Result<std::int64_t> parse_field(std::string_view field, std::string_view whole) {
  std::int64_t value = 0;
  const char* const end = field.data() + field.size();
  auto [p, ec] = std::from_chars(field.data(), end, value);
  if (ec != std::errc{} || p != end || field.empty() || value < 0 || value > 1'000'000'000) {
    return fail(Errc::invalid_argument,
                quoted(whole) + " is not a time; use minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS");
  }
  return value;
}

}  // namespace

Result<MilliCpus> parse_cpus(std::string_view text) {
  auto value = parse_decimal(text, 1000, true);
  if (!value) {
    return fail(value.error().code, "cpus: " + value.error().text + "; write 4 or 0.5, at most three decimals");
  }
  if (*value > 4'000'000'000ULL) {
    return fail(Errc::out_of_range, "cpus: " + quoted(text) + " is more than 4000000");
  }
  return static_cast<MilliCpus>(*value);
}

std::string format_cpus(MilliCpus cpus_milli) {
  std::string text = std::to_string(cpus_milli / 1000);
  if (std::uint32_t rest = cpus_milli % 1000; rest != 0) {
    std::array<char, 8> digits{};
    std::snprintf(digits.data(), digits.size(), ".%03u", rest);
    text += digits.data();
    while (text.back() == '0') {
      text.pop_back();
    }
  }
  return text;
}

Result<Bytes> parse_bytes(std::string_view text) {
  std::string_view number = text;
  std::size_t unit_at = number.find_first_not_of("0123456789.");
  std::string unit;
  if (unit_at != std::string_view::npos) {
    for (char c : number.substr(unit_at)) {
      unit += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    number = number.substr(0, unit_at);
  }
  std::uint64_t scale = 0;
  if (unit == "B") {
    scale = 1;
  } else if (unit == "K" || unit == "KB" || unit == "KIB") {
    scale = 1ULL << 10U;
  } else if (unit.empty() || unit == "M" || unit == "MB" || unit == "MIB") {
    scale = 1ULL << 20U;
  } else if (unit == "G" || unit == "GB" || unit == "GIB") {
    scale = 1ULL << 30U;
  } else if (unit == "T" || unit == "TB" || unit == "TIB") {
    scale = 1ULL << 40U;
  } else {
    return fail(Errc::invalid_argument, "size: " + quoted(text) + " has an unknown unit; use B, K, M, G or T");
  }
  auto value = parse_decimal(number, scale, false);
  if (!value) {
    if (value.error().code == Errc::out_of_range) {
      return fail(Errc::out_of_range, "size: " + quoted(text) + " is more than 64 bits of bytes");
    }
    return fail(Errc::invalid_argument, "size: " + quoted(text) + " is not a size; write 4G, 512M or 1.5T");
  }
  return *value;
}

std::string format_bytes(Bytes bytes) {
  static constexpr std::array<char, 5> kUnits{'B', 'K', 'M', 'G', 'T'};
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + kUnits[unit];
}

std::string format_bytes_short(Bytes bytes) {
  static constexpr std::array<char, 5> kUnits{'B', 'K', 'M', 'G', 'T'};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {  // 1023.95 would print as 1024.0
    value /= 1024.0;
    ++unit;
  }
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%.1f", value);
  std::string text(out.data());
  if (text.ends_with(".0")) {
    text.resize(text.size() - 2);
  }
  return text + kUnits[unit];
}

Result<Duration> parse_time_limit(std::string_view text) {
  std::string upper;
  for (char c : text) {
    upper += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  if (upper == "UNLIMITED" || upper == "INFINITE" || upper == "-1") {
    return Duration{};
  }
  std::string_view rest = text;
  std::int64_t days = 0;
  bool has_days = false;
  if (auto dash = rest.find('-'); dash != std::string_view::npos) {
    auto parsed = parse_field(rest.substr(0, dash), text);
    if (!parsed) {
      return tl::unexpected(parsed.error());
    }
    days = *parsed;
    has_days = true;
    rest = rest.substr(dash + 1);
  }
  std::vector<std::int64_t> fields;
  while (true) {
    auto colon = rest.find(':');
    auto parsed = parse_field(rest.substr(0, colon), text);
    if (!parsed) {
      return tl::unexpected(parsed.error());
    }
    fields.push_back(*parsed);
    if (colon == std::string_view::npos) {
      break;
    }
    rest = rest.substr(colon + 1);
  }
  if (fields.size() > 3) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a time; at most D-HH:MM:SS");
  }
  std::int64_t h = 0;
  std::int64_t m = 0;
  std::int64_t s = 0;
  if (has_days) {
    h = fields[0];
    m = fields.size() > 1 ? fields[1] : 0;
    s = fields.size() > 2 ? fields[2] : 0;
  } else if (fields.size() == 1) {
    m = fields[0];
  } else if (fields.size() == 2) {
    m = fields[0];
    s = fields[1];
  } else {
    h = fields[0];
    m = fields[1];
    s = fields[2];
  }
  const std::int64_t total = ((days * 24 + h) * 60 + m) * 60 + s;
  if (total <= 0) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a time limit; it must be more than zero");
  }
  if (total > 100LL * 366 * 86400) {
    return fail(Errc::out_of_range, quoted(text) + " is more than 100 years; write UNLIMITED for no limit");
  }
  return Duration::from_seconds(total);
}

std::string format_time_limit(Duration limit) {
  if (limit <= Duration{}) {
    return "UNLIMITED";
  }
  const std::int64_t total = limit.ns() / 1'000'000'000;
  std::array<char, 48> out{};
  if (total >= 86400) {
    std::snprintf(out.data(), out.size(), "%lld-%02lld:%02lld:%02lld", static_cast<long long>(total / 86400),
                  static_cast<long long>(total / 3600 % 24), static_cast<long long>(total / 60 % 60),
                  static_cast<long long>(total % 60));
  } else {
    std::snprintf(out.data(), out.size(), "%02lld:%02lld:%02lld", static_cast<long long>(total / 3600),
                  static_cast<long long>(total / 60 % 60), static_cast<long long>(total % 60));
  }
  return out.data();
}

std::string format_elapsed(Duration elapsed) {
  const std::int64_t total = elapsed.ns() < 0 ? 0 : elapsed.ns() / 1'000'000'000;
  if (total >= 3600) {
    std::string text = format_time_limit(Duration::from_seconds(total));
    if (text[0] == '0' && total < 86400) {
      text.erase(0, 1);
    }
    return text;
  }
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%lld:%02lld", static_cast<long long>(total / 60),
                static_cast<long long>(total % 60));
  return out.data();
}

}  // namespace muster

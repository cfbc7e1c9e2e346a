#include "wire/model/cpu_list.hpp"

#include <algorithm>
#include <charconv>

namespace muster {
namespace {

Result<std::uint32_t> parse_number(std::string_view text, std::string_view whole) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  auto [p, ec] = std::from_chars(text.data(), end, value);
  if (ec == std::errc::invalid_argument || p != end) {
    return fail(Errc::invalid_argument, "cpus: '" + std::string(whole) + "' is not a list of cpus; write 0-3,8");
  }
  if (ec != std::errc{} || value >= kCpuNumberEnd) {
    return fail(Errc::out_of_range,
                "cpus: '" + std::string(text) + "' is more than " + std::to_string(kCpuNumberEnd - 1));
  }
  return value;
}

}  // namespace

std::string format_cpu_list(std::span<const std::uint32_t> cpus) {
  std::vector<std::uint32_t> sorted(cpus.begin(), cpus.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  std::string text;
  for (std::size_t i = 0; i < sorted.size();) {
    std::size_t last = i;
    while (last + 1 < sorted.size() && sorted[last + 1] == sorted[last] + 1) {
      ++last;
    }
    if (!text.empty()) {
      text += ',';
    }
    text += std::to_string(sorted[i]);
    if (last > i) {
      text += '-';
      text += std::to_string(sorted[last]);
    }
    i = last + 1;
  }
  return text;
}

Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text) {
  std::vector<std::uint32_t> cpus;
  if (text.ends_with('\n')) {
    text.remove_suffix(1);
  }
  if (text.empty()) {
    return cpus;
  }
  std::string_view rest = text;
  while (true) {
    const auto comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const auto dash = item.find('-');
    const auto first = parse_number(item.substr(0, dash), text);
    if (!first) {
      return tl::unexpected(first.error());
    }
    auto last = first;
    if (dash != std::string_view::npos) {
      last = parse_number(item.substr(dash + 1), text);
      if (!last) {
        return tl::unexpected(last.error());
      }
    }
    if (*last < *first) {
      return fail(Errc::invalid_argument, "cpus: the range '" + std::string(item) + "' ends before it starts");
    }
    // Many overlapping ranges must not add up to much memory.
    if (cpus.size() + (*last - *first) >= 4 * std::size_t{kCpuNumberEnd}) {
      return fail(Errc::out_of_range, "cpus: the list names too many cpus");
    }
    for (std::uint32_t cpu = *first; cpu <= *last; ++cpu) {
      cpus.push_back(cpu);
    }
    if (comma == std::string_view::npos) {
      break;
    }
    rest = rest.substr(comma + 1);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

}  // namespace muster

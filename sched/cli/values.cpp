#include "sched/cli/values.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

namespace muster::cli {
namespace {

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

std::string upper(std::string_view text) {
  std::string out;
  for (char c : text) {
    out += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [p, ec] = std::from_chars(text.data(), end, value);
  if (text.empty() || ec != std::errc{} || p != end) {
    return std::nullopt;
  }
  return value;
}

constexpr std::array<std::pair<std::string_view, int>, 31> kSignals{{
    {"HUP", 1},     {"INT", 2},    {"QUIT", 3},  {"ILL", 4},   {"TRAP", 5},   {"ABRT", 6},  {"BUS", 7},
    {"FPE", 8},     {"KILL", 9},   {"USR1", 10}, {"SEGV", 11}, {"USR2", 12},  {"PIPE", 13}, {"ALRM", 14},
    {"TERM", 15},   {"STKFLT", 16},{"CHLD", 17}, {"CONT", 18}, {"STOP", 19},  {"TSTP", 20}, {"TTIN", 21},
    {"TTOU", 22},   {"URG", 23},   {"XCPU", 24}, {"XFSZ", 25}, {"VTALRM", 26},{"PROF", 27}, {"WINCH", 28},
    {"IO", 29},     {"PWR", 30},   {"SYS", 31},
}};

struct StateWord {
  fb::JobState state;
  std::string_view name;
  std::string_view brief;  // as in squeue
};
constexpr std::array<StateWord, 10> kStates{{
    {fb::JobState::Pending, "PENDING", "PD"},
    {fb::JobState::Running, "RUNNING", "R"},
    {fb::JobState::Completing, "COMPLETING", "CG"},
    {fb::JobState::Completed, "COMPLETED", "CD"},
    {fb::JobState::Failed, "FAILED", "F"},
    {fb::JobState::Cancelled, "CANCELLED", "CA"},
    {fb::JobState::Timeout, "TIMEOUT", "TO"},
    {fb::JobState::OutOfMemory, "OUT_OF_MEMORY", "OOM"},
    {fb::JobState::NodeFail, "NODE_FAIL", "NF"},
    {fb::JobState::Lost, "LOST", "LO"},
}};

}  // namespace

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (true) {
    const auto place = text.find(at);
    parts.emplace_back(text.substr(0, place));
    if (place == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(place + 1);
  }
}

Result<std::uint64_t> parse_count(std::string_view text, std::uint64_t min, std::uint64_t max) {
  const auto value = whole_number(text);
  if (!value) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a whole number");
  }
  if (*value < min || *value > max) {
    return fail(Errc::out_of_range,
                quoted(text) + " is not from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return *value;
}

Result<NodeRange> parse_node_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto min = whole_number(text.substr(0, dash));
  const auto max = dash == std::string_view::npos ? min : whole_number(text.substr(dash + 1));
  if (!min || !max) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a number of nodes; write 2 or 2-4");
  }
  constexpr std::uint64_t kNodesMax = 1'000'000;
  if (*min < 1 || *max > kNodesMax) {
    return fail(Errc::out_of_range, quoted(text) + " is not from 1 to " + std::to_string(kNodesMax));
  }
  if (*min > *max) {
    return fail(Errc::invalid_argument, quoted(text) + " runs backwards; write the smaller number first");
  }
  return NodeRange{static_cast<std::uint32_t>(*min), static_cast<std::uint32_t>(*max)};
}

namespace {

constexpr std::uint64_t kIndexMax = 4'000'000'000;
constexpr std::string_view kArrayForms = "; write 1-100, 1-9:2, 1,5,7 or 1-1000%50";

// One comma-separated part of an array: "20", "1-10", "1-10:2".
Result<fb::IndexRange> parse_array_part(std::string_view part, std::string_view whole) {
  const auto bad = [&](const std::string& why) {
    return fail(Errc::invalid_argument, quoted(whole) + ": " + why + std::string(kArrayForms));
  };
  std::string_view bounds = part;
  std::uint64_t step = 1;
  if (const auto colon = part.find(':'); colon != std::string_view::npos) {
    const auto value = whole_number(part.substr(colon + 1));
    if (!value || *value < 1 || *value > kIndexMax) {
      return bad(quoted(part.substr(colon + 1)) + " is not a step");
    }
    step = *value;
    bounds = part.substr(0, colon);
  }
  const auto dash = bounds.find('-');
  if (dash == std::string_view::npos && bounds.size() != part.size()) {
    return bad("a step needs a range");
  }
  const auto first = whole_number(bounds.substr(0, dash));
  auto last = dash == std::string_view::npos ? first : whole_number(bounds.substr(dash + 1));
  if (!first || !last) {
    return bad(quoted(part) + " is not an index or a range");
  }
  if (*first > *last) {
    return bad(quoted(part) + " runs backwards");
  }
  if (*last > kIndexMax) {
    return fail(Errc::out_of_range, quoted(part) + ": an array index is at most " + std::to_string(kIndexMax));
  }
  *last -= (*last - *first) % step;
  if (*first == *last) {
    step = 1;
  }
  return fb::IndexRange(static_cast<std::uint32_t>(*first), static_cast<std::uint32_t>(*last),
                        static_cast<std::uint32_t>(step));
}

std::uint64_t count_of(const fb::IndexRange& range) {
  return (std::uint64_t{range.last()} - range.first()) / range.step() + 1;
}

// The same indices once each, as ascending and disjoint ranges.
std::vector<fb::IndexRange> disjoint(std::vector<fb::IndexRange> ranges) {
  const auto by_first = [](const fb::IndexRange& a, const fb::IndexRange& b) { return a.first() < b.first(); };
  std::stable_sort(ranges.begin(), ranges.end(), by_first);
  const bool overlap = std::adjacent_find(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
                         return b.first() <= a.last();
                       }) != ranges.end();
  if (!overlap) {
    return ranges;
  }
  std::vector<std::uint32_t> indices;
  for (const auto& range : ranges) {
    for (std::uint64_t i = range.first(); i <= range.last(); i += range.step()) {
      indices.push_back(static_cast<std::uint32_t>(i));
    }
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  ranges.clear();
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t end = i + 1;
    const std::uint32_t step = end < indices.size() ? indices[end] - indices[i] : 1;
    while (end < indices.size() && indices[end] - indices[end - 1] == step) {
      ++end;
    }
    if (end - i == 2 && step != 1) {  // two far apart are two indices, not a range
      end = i + 1;
    }
    ranges.emplace_back(indices[i], indices[end - 1], end - i == 1 ? 1 : step);
    i = end;
  }
  return ranges;
}

}  // namespace

std::uint64_t ArraySpec::count() const {
  std::uint64_t total = 0;
  for (const auto& range : ranges) {
    total += count_of(range);
  }
  return total;
}

Result<ArraySpec> parse_array(std::string_view text) {
  ArraySpec array;
  std::string_view list = text;
  if (const auto percent = text.find('%'); percent != std::string_view::npos) {
    const auto throttle = whole_number(text.substr(percent + 1));
    if (!throttle || *throttle < 1 || *throttle > kIndexMax) {
      return fail(Errc::invalid_argument, quoted(text) + ": what follows % is how many run at once, at least 1");
    }
    array.throttle = static_cast<std::uint32_t>(*throttle);
    list = text.substr(0, percent);
  }
  if (list.starts_with('[') && list.ends_with(']')) {  // seen in real scripts
    list = list.substr(1, list.size() - 2);
  }
  for (const std::string& part : split(list, ',')) {
    auto range = parse_array_part(part, text);
    if (!range) {
      return tl::unexpected(range.error());
    }
    array.ranges.push_back(*range);
    if (array.count() > kArrayElementsMax) {
      return fail(Errc::out_of_range,
                  quoted(text) + " has more than " + std::to_string(kArrayElementsMax) + " elements");
    }
  }
  array.ranges = disjoint(std::move(array.ranges));
  return array;
}

std::string format_array(const std::vector<fb::IndexRange>& ranges, std::uint32_t throttle) {
  std::string text;
  for (const auto& range : ranges) {
    text += (text.empty() ? "" : ",") + std::to_string(range.first());
    if (range.last() != range.first()) {
      text += "-" + std::to_string(range.last());
    }
    if (range.step() != 1) {
      text += ":" + std::to_string(range.step());
    }
  }
  return throttle == 0 ? text : text + "%" + std::to_string(throttle);
}

Result<JobName> parse_job_name(std::string_view text) {
  const auto bad = [&] { return fail(Errc::invalid_argument, quoted(text) + " is not a job; write 7, 7_3 or 7_[2-9]"); };
  const auto bar = text.find('_');
  const auto job = whole_number(text.substr(0, bar));
  if (!job || *job == 0) {
    return bad();
  }
  JobName name{.job = *job, .first = std::nullopt, .last = 0};
  if (bar == std::string_view::npos) {
    return name;
  }
  std::string_view part = text.substr(bar + 1);
  if (part.starts_with('[') && part.ends_with(']')) {
    part = part.substr(1, part.size() - 2);
  }
  const auto dash = part.find('-');
  const auto first = whole_number(part.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : whole_number(part.substr(dash + 1));
  if (!first || !last || *first > *last || *last > kIndexMax) {
    return bad();
  }
  name.first = static_cast<std::uint32_t>(*first);
  name.last = static_cast<std::uint32_t>(*last);
  return name;
}

std::string format_job_name(const JobName& name) {
  std::string text = std::to_string(name.job);
  if (!name.first) {
    return text;
  }
  if (name.is_element()) {
    return text + "_" + std::to_string(*name.first);
  }
  return text + "_[" + std::to_string(*name.first) + "-" + std::to_string(name.last) + "]";
}

Result<Duration> parse_duration(std::string_view text) {
  std::string_view number = text;
  double scale_ns = 1e9;
  static constexpr std::array<std::pair<std::string_view, double>, 5> kUnits{
      {{"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}}};
  for (const auto& [unit, unit_ns] : kUnits) {
    if (number.ends_with(unit)) {
      scale_ns = unit_ns;
      number.remove_suffix(unit.size());
      break;
    }
  }
  double value = 0;
  const char* const end = number.data() + number.size();
  const auto [p, ec] = std::from_chars(number.data(), end, value, std::chars_format::fixed);
  if (number.empty() || ec != std::errc{} || p != end) {
    return fail(Errc::invalid_argument, quoted(text) + " is not a time; write seconds, such as 10 or 0.5, or 500ms, 2m, 3h or 7d");
  }
  const double ns = value * scale_ns;
  if (!(ns >= 0) || ns > 100 * 366 * 86400e9) {
    return fail(Errc::out_of_range, quoted(text) + " is not from 0 to 100 years");
  }
  return Duration::from_ns(static_cast<std::int64_t>(ns));
}

Result<Duration> parse_timeout(std::string_view text) {
  auto time = parse_duration(text);
  if (time && (*time < Duration::from_ms(1) || *time > Duration::from_seconds(86400))) {
    return fail(Errc::out_of_range, quoted(text) + " is not from 1ms to one day");
  }
  return time;
}

Result<int> parse_signal(std::string_view text) {
  if (const auto number = whole_number(text)) {
    if (*number < 1 || *number > 64) {
      return fail(Errc::out_of_range, quoted(text) + " is not a signal; write 1 to 64 or a name such as TERM");
    }
    return static_cast<int>(*number);
  }
  std::string name = upper(text);
  if (name.starts_with("SIG")) {
    name.erase(0, 3);
  }
  for (const auto& [known, number] : kSignals) {
    if (name == known) {
      return number;
    }
  }
  return fail(Errc::invalid_argument, quoted(text) + " is not a signal; write a name such as TERM, or 1 to 64");
}

std::string signal_name(int signal) {
  for (const auto& [name, number] : kSignals) {
    if (number == signal) {
      return "SIG" + std::string(name);
    }
  }
  return "signal " + std::to_string(signal);
}

Result<std::vector<fb::JobState>> parse_states(std::string_view text) {
  std::vector<fb::JobState> states;
  for (const std::string& part : split(text, ',')) {
    const std::string word = upper(part);
    if (word == "ALL") {
      return std::vector<fb::JobState>{};
    }
    const auto* const found = std::find_if(kStates.begin(), kStates.end(), [&](const StateWord& s) {
      return s.name == word || s.brief == word;
    });
    if (found == kStates.end()) {
      std::string known;
      for (const auto& state : kStates) {
        known += (known.empty() ? "" : ", ") + std::string(state.name);
      }
      return fail(Errc::invalid_argument, quoted(part) + " is not a state; there are " + known + " and all");
    }
    states.push_back(found->state);
  }
  return states;
}

std::string_view state_name(fb::JobState state) {
  for (const auto& word : kStates) {
    if (word.state == state) {
      return word.name;
    }
  }
  return "UNKNOWN";
}

}  // namespace muster::cli

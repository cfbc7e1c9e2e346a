// PortSet, declared in resources.hpp.
#include <algorithm>
#include <charconv>

#include "wire/model/resources.hpp"

namespace muster {
namespace {

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  auto [p, ec] = std::from_chars(text.data(), end, value);
  if (ec == std::errc::invalid_argument || p != end) {
    return fail(Errc::invalid_argument,
                "ports: '" + std::string(whole) + "' is not a list of ports; write 31000-32000,40000");
  }
  if (ec == std::errc::result_out_of_range || value > 65535) {
    return fail(Errc::out_of_range, "ports: '" + std::string(text) + "' is more than 65535");
  }
  return static_cast<std::uint16_t>(value);
}

// Sorts and merges overlapping and neighbouring ranges in place.
void normalise(std::vector<PortRange>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](PortRange a, PortRange b) { return a.first < b.first; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (kept > 0 && ranges[i].first <= std::uint32_t{ranges[kept - 1].last} + 1) {
      ranges[kept - 1].last = std::max(ranges[kept - 1].last, ranges[i].last);
    } else {
      ranges[kept++] = ranges[i];
    }
  }
  ranges.resize(kept);
}

}  // namespace

PortSet::PortSet(std::vector<PortRange> ranges) : ranges_(std::move(ranges)) {
  for (const PortRange& range : ranges_) {
    check(range.first <= range.last, "ports: a range ends before it starts");
  }
  normalise(ranges_);
}

Result<PortSet> PortSet::parse(std::string_view text) {
  PortSet set;
  if (text.empty()) {
    return set;
  }
  std::string_view rest = text;
  while (true) {
    const auto comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const auto dash = item.find('-');
    const auto first = parse_port(item.substr(0, dash), text);
    if (!first) {
      return tl::unexpected(first.error());
    }
    auto last = first;
    if (dash != std::string_view::npos) {
      last = parse_port(item.substr(dash + 1), text);
      if (!last) {
        return tl::unexpected(last.error());
      }
    }
    if (*last < *first) {
      return fail(Errc::invalid_argument, "ports: the range '" + std::string(item) + "' ends before it starts");
    }
    set.ranges_.push_back(PortRange{*first, *last});
    if (comma == std::string_view::npos) {
      break;
    }
    rest = rest.substr(comma + 1);
  }
  normalise(set.ranges_);
  return set;
}

void PortSet::add(PortRange range) {
  check(range.first <= range.last, "ports: a range ends before it starts");
  ranges_.push_back(range);
  normalise(ranges_);
}

void PortSet::add(const PortSet& other) {
  if (other.empty()) {
    return;
  }
  if (&other == this) {
    return;
  }
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalise(ranges_);
}

void PortSet::remove(const PortSet& other) {
  if (other.empty() || empty()) {
    return;
  }
  std::vector<PortRange> left;
  left.reserve(ranges_.size() + other.ranges_.size());
  auto hole = other.ranges_.begin();
  for (const PortRange& range : ranges_) {
    std::uint32_t from = range.first;
    while (hole != other.ranges_.end() && hole->last < range.first) {
      ++hole;
    }
    for (auto it = hole; it != other.ranges_.end() && it->first <= range.last; ++it) {
      if (it->first > from) {
        left.push_back(PortRange{static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(it->first - 1)});
      }
      from = std::uint32_t{it->last} + 1;
    }
    if (from <= range.last) {
      left.push_back(PortRange{static_cast<std::uint16_t>(from), range.last});
    }
  }
  if (left.empty()) {
    ranges_ = {};
  } else {
    ranges_ = std::move(left);
  }
}

bool PortSet::contains(std::uint16_t port) const {
  auto after = std::upper_bound(ranges_.begin(), ranges_.end(), port,
                                [](std::uint16_t p, const PortRange& range) { return p < range.first; });
  return after != ranges_.begin() && std::prev(after)->last >= port;
}

bool PortSet::contains(const PortSet& other) const {
  auto mine = ranges_.begin();
  for (const PortRange& wanted : other.ranges_) {
    while (mine != ranges_.end() && mine->last < wanted.first) {
      ++mine;
    }
    if (mine == ranges_.end() || mine->first > wanted.first || mine->last < wanted.last) {
      return false;
    }
  }
  return true;
}

bool PortSet::intersects(const PortSet& other) const {
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    if (a->last < b->first) {
      ++a;
    } else if (b->last < a->first) {
      ++b;
    } else {
      return true;
    }
  }
  return false;
}

PortSet PortSet::intersection(const PortSet& other) const {
  PortSet common;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const std::uint16_t first = std::max(a->first, b->first);
    const std::uint16_t last = std::min(a->last, b->last);
    if (first <= last) {
      common.ranges_.push_back(PortRange{first, last});
    }
    if (a->last < b->last) {
      ++a;
    } else {
      ++b;
    }
  }
  return common;
}

PortSet PortSet::take(std::size_t n) const {
  PortSet taken;
  for (const PortRange& range : ranges_) {
    if (n == 0) {
      break;
    }
    const std::size_t here = std::min<std::size_t>(n, std::size_t{range.last} - range.first + 1);
    taken.ranges_.push_back(PortRange{range.first, static_cast<std::uint16_t>(range.first + here - 1)});
    n -= here;
  }
  return taken;
}

std::size_t PortSet::size() const {
  std::size_t total = 0;
  for (const PortRange& range : ranges_) {
    total += std::size_t{range.last} - range.first + 1;
  }
  return total;
}

std::string PortSet::to_string() const {
  std::string text;
  for (const PortRange& range : ranges_) {
    if (!text.empty()) {
      text += ',';
    }
    text += std::to_string(range.first);
    if (range.last != range.first) {
      text += '-';
      text += std::to_string(range.last);
    }
  }
  return text;
}

}  // namespace muster

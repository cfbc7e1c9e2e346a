#include "wire/model/resources.hpp"

#include <algorithm>
#include <charconv>

namespace muster {
namespace {

constexpr auto kNoLimit = std::numeric_limits<std::uint64_t>::max();

auto find_count(std::vector<NamedCount>& counts, std::string_view name) {
  return std::lower_bound(counts.begin(), counts.end(), name,
                          [](const NamedCount& c, std::string_view n) { return c.name < n; });
}

auto find_count(const std::vector<NamedCount>& counts, std::string_view name) {
  return std::lower_bound(counts.begin(), counts.end(), name,
                          [](const NamedCount& c, std::string_view n) { return c.name < n; });
}

std::uint64_t multiply(std::uint64_t a, std::uint64_t b, std::uint64_t most) {
  check(a == 0 || b <= most / a, "resources: a multiple overflows");
  return a * b;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

Result<std::uint64_t> parse_count(std::string_view name, std::string_view text, std::uint64_t most) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  auto [p, ec] = std::from_chars(text.data(), end, value);
  if (ec == std::errc::invalid_argument || p != end) {
    return fail(Errc::invalid_argument,
                std::string(name) + ": '" + std::string(text) + "' is not a count; write a whole number");
  }
  if (ec != std::errc{} || value > most) {
    return fail(Errc::out_of_range,
                std::string(name) + ": '" + std::string(text) + "' is more than " + std::to_string(most));
  }
  return value;
}

// Reads one value into the named part of `out`.
Status parse_part(std::string_view name, std::string_view value, Resources& out) {
  const auto put = [](auto parsed, auto& part) -> Status {
    if (!parsed) {
      return tl::unexpected(parsed.error());
    }
    part = static_cast<std::remove_reference_t<decltype(part)>>(*std::move(parsed));
    return {};
  };
  if (name == "cpus") {
    return put(parse_cpus(value), out.cpus_milli);
  }
  if (name == "mem") {
    return put(parse_bytes(value), out.memory_bytes);
  }
  if (name == "disk") {
    return put(parse_bytes(value), out.disk_bytes);
  }
  if (name == "gpus") {
    return put(parse_count(name, value, std::numeric_limits<std::uint32_t>::max()), out.gpus);
  }
  if (name == "ports") {
    return put(PortSet::parse(value), out.ports);
  }
  auto count = parse_count(name, value, kNoLimit);
  if (!count) {
    return tl::unexpected(count.error());
  }
  out.set_count(name, *count);
  return {};
}

}  // namespace

bool Resources::lists_fit_in(const Resources& other) const {
  if (!other.ports.contains(ports)) {
    return false;
  }
  return std::all_of(counts.begin(), counts.end(),
                     [&](const NamedCount& wanted) { return wanted.count <= other.count_of(wanted.name); });
}

bool Resources::lists_can_add(const Resources& other) const {
  if (ports.intersects(other.ports)) {
    return false;
  }
  return std::all_of(other.counts.begin(), other.counts.end(),
                     [&](const NamedCount& more) { return count_of(more.name) <= kNoLimit - more.count; });
}

void Resources::add_lists(const Resources& other) {
  ports.add(other.ports);
  for (const NamedCount& more : other.counts) {
    auto at = find_count(counts, more.name);
    if (at != counts.end() && at->name == more.name) {
      at->count += more.count;
    } else {
      counts.insert(at, more);
    }
  }
}

void Resources::subtract_lists(const Resources& other) {
  if (&other == this) {
    ports = {};
    counts.clear();
    return;
  }
  ports.remove(other.ports);
  for (const NamedCount& less : other.counts) {
    auto at = find_count(counts, less.name);
    at->count -= less.count;
    if (at->count == 0) {
      counts.erase(at);
    }
  }
}

Resources Resources::times(std::uint64_t k) const {
  if (k == 0) {
    return {};
  }
  check(k == 1 || ports.empty(), "resources: ports cannot be multiplied");
  constexpr auto kMax32 = std::numeric_limits<std::uint32_t>::max();
  Resources product = *this;
  product.cpus_milli = static_cast<MilliCpus>(multiply(cpus_milli, k, kMax32));
  product.gpus = static_cast<std::uint32_t>(multiply(gpus, k, kMax32));
  product.memory_bytes = multiply(memory_bytes, k, kNoLimit);
  product.disk_bytes = multiply(disk_bytes, k, kNoLimit);
  for (NamedCount& count : product.counts) {
    count.count = multiply(count.count, k, kNoLimit);
  }
  return product;
}

std::uint64_t Resources::multiples_in(const Resources& room) const {
  std::uint64_t most = kNoLimit;
  const auto limit = [&most](std::uint64_t wanted, std::uint64_t has) {
    if (wanted != 0) {
      most = std::min(most, has / wanted);
    }
  };
  limit(cpus_milli, room.cpus_milli);
  limit(gpus, room.gpus);
  limit(memory_bytes, room.memory_bytes);
  limit(disk_bytes, room.disk_bytes);
  for (const NamedCount& count : counts) {
    limit(count.count, room.count_of(count.name));
  }
  if (!ports.empty()) {
    most = std::min<std::uint64_t>(most, room.ports.contains(ports) ? 1 : 0);
  }
  return most;
}

std::string Resources::shortfall(const Resources& room) const {
  const auto say = [](std::string_view name, const std::string& wants, const std::string& has) {
    return std::string(name) + ": wants " + wants + ", has " + has;
  };
  if (cpus_milli > room.cpus_milli) {
    return say("cpus", format_cpus(cpus_milli), format_cpus(room.cpus_milli));
  }
  if (gpus > room.gpus) {
    return say("gpus", std::to_string(gpus), std::to_string(room.gpus));
  }
  if (memory_bytes > room.memory_bytes) {
    return say("mem", format_bytes(memory_bytes), format_bytes(room.memory_bytes));
  }
  if (disk_bytes > room.disk_bytes) {
    return say("disk", format_bytes(disk_bytes), format_bytes(room.disk_bytes));
  }
  if (!room.ports.contains(ports)) {
    PortSet missing = ports;
    missing.remove(room.ports);
    return "ports: wants " + ports.to_string() + ", lacks " + missing.to_string();
  }
  for (const NamedCount& count : counts) {
    if (const std::uint64_t has = room.count_of(count.name); count.count > has) {
      return say(count.name, std::to_string(count.count), std::to_string(has));
    }
  }
  return {};
}

std::uint64_t Resources::count_of(std::string_view name) const {
  const auto at = find_count(counts, name);
  return at != counts.end() && at->name == name ? at->count : 0;
}

void Resources::set_count(std::string_view name, std::uint64_t count) {
  auto at = find_count(counts, name);
  const bool present = at != counts.end() && at->name == name;
  if (count == 0) {
    if (present) {
      counts.erase(at);
    }
  } else if (present) {
    at->count = count;
  } else {
    counts.insert(at, NamedCount{std::string(name), count});
  }
}

bool is_count_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto inner = [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= 64 && letter(name[0]) && std::all_of(name.begin(), name.end(), inner) &&
         name != "cpus" && name != "mem" && name != "memory" && name != "disk" && name != "gpus" && name != "ports";
}

Result<Resources> parse_resources(std::string_view text) {
  Resources out;
  std::vector<std::string_view> seen;
  std::string_view rest = text;
  while (!trim(rest).empty()) {
    const auto semicolon = rest.find(';');
    const std::string_view part = trim(rest.substr(0, semicolon));
    rest = semicolon == std::string_view::npos ? std::string_view{} : rest.substr(semicolon + 1);
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) {
      return fail(Errc::invalid_argument,
                  "resources: '" + std::string(part) + "' is not name=value; write cpus=4;mem=4G;ports=31000-32000");
    }
    std::string_view name = trim(part.substr(0, equals));
    const std::string_view value = trim(part.substr(equals + 1));
    if (name == "memory") {
      name = "mem";
    }
    if (name != "cpus" && name != "mem" && name != "disk" && name != "gpus" && name != "ports" &&
        !is_count_name(name)) {
      return fail(Errc::invalid_argument,
                  "resources: '" + std::string(name) +
                      "' is not a name; use cpus, mem, disk, gpus, ports or a count such as license.matlab");
    }
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return fail(Errc::invalid_argument, "resources: '" + std::string(name) + "' is given twice");
    }
    seen.push_back(name);
    if (auto done = parse_part(name, value, out); !done) {
      return tl::unexpected(done.error());
    }
  }
  return out;
}

std::string to_string(const Resources& resources) {
  std::string text;
  const auto put = [&text](std::string_view name, const std::string& value) {
    if (!text.empty()) {
      text += ';';
    }
    text += name;
    text += '=';
    text += value;
  };
  if (resources.cpus_milli != 0) {
    put("cpus", format_cpus(resources.cpus_milli));
  }
  if (resources.memory_bytes != 0) {
    put("mem", format_bytes(resources.memory_bytes));
  }
  if (resources.disk_bytes != 0) {
    put("disk", format_bytes(resources.disk_bytes));
  }
  if (resources.gpus != 0) {
    put("gpus", std::to_string(resources.gpus));
  }
  if (!resources.ports.empty()) {
    put("ports", resources.ports.to_string());
  }
  for (const NamedCount& count : resources.counts) {
    put(count.name, std::to_string(count.count));
  }
  return text;
}

}  // namespace muster

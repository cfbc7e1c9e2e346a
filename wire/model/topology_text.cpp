#include "wire/model/topology_text.hpp"

#include <array>
#include <charconv>
#include <optional>
#include <vector>

#include "wire/model/cpu_list.hpp"

namespace muster {
namespace {

constexpr std::size_t kIrregularMax = 1024;

tl::unexpected<Error> bad(std::string_view text) {
  return fail(Errc::malformed, "'" + std::string(text.substr(0, 80)) + "' describes no topology");
}

// What stands before `at`, which is taken off.
std::string_view taken(std::string_view& text, char at) {
  const auto place = text.find(at);
  const std::string_view part = text.substr(0, place);
  text.remove_prefix(place == std::string_view::npos ? text.size() : place + 1);
  return part;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [p, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return text.empty() || ec != std::errc{} || p != text.data() + text.size() ? std::nullopt : std::optional(value);
}

// The numbers of the cpus that are the `thread`th of their cores.
std::vector<std::uint32_t> threads_of(const Topology& topology, std::size_t per_core, std::size_t thread) {
  std::vector<std::uint32_t> numbers;
  for (std::size_t i = thread; i < topology.pus.size(); i += per_core) {
    numbers.push_back(topology.pus[i].os_index);
  }
  return numbers;
}

std::string irregular(const Topology& topology) {
  if (topology.pus.size() > kIrregularMax) {
    return {};
  }
  std::string text = "pus:";
  for (const Pu& pu : topology.pus) {
    text += (text.size() == 4 ? "" : ",") + std::to_string(pu.os_index) + "." + std::to_string(pu.core) + "." +
            std::to_string(pu.l3) + "." + std::to_string(pu.numa) + "." + std::to_string(pu.package);
  }
  return text;
}

Result<Topology> parse_irregular(std::string_view whole, std::string_view rest) {
  Topology topology;
  while (!rest.empty()) {
    std::string_view part = taken(rest, ',');
    std::array<std::uint32_t, 5> places{};
    for (std::uint32_t& place : places) {
      const auto value = number(taken(part, '.'));
      if (!value) {
        return bad(whole);
      }
      place = *value;
    }
    topology.pus.push_back({places[0], places[1], places[2], places[3], places[4]});
    if (!part.empty() || topology.pus.size() > kCpuNumberEnd) {
      return bad(whole);
    }
  }
  return topology;
}

Result<Topology> parse_regular(std::string_view whole, std::string_view rest) {
  std::array<std::uint32_t, 5> sizes{};
  std::uint64_t cpus = 1;
  constexpr std::array<std::string_view, 5> kNames{"package:", "numa:", "l3:", "core:", "pu:"};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::string_view part = taken(rest, ' ');
    const auto value = part.starts_with(kNames[i]) ? number(part.substr(kNames[i].size())) : std::nullopt;
    if (!value || *value == 0 || (cpus *= *value) > kCpuNumberEnd) {
      return bad(whole);
    }
    sizes[i] = *value;
  }
  Topology topology = make_topology({sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]});
  if (!rest.starts_with("cpus:")) {
    return rest.empty() ? Result<Topology>(std::move(topology)) : bad(whole);
  }
  rest.remove_prefix(5);
  for (std::size_t thread = 0; thread < sizes[4]; ++thread) {
    const auto numbers = parse_cpu_list(taken(rest, ';'));
    if (!numbers || numbers->size() != topology.pus.size() / sizes[4]) {
      return bad(whole);
    }
    for (std::size_t core = 0; core < numbers->size(); ++core) {
      topology.pus[core * sizes[4] + thread].os_index = (*numbers)[core];
    }
  }
  return rest.empty() ? Result<Topology>(std::move(topology)) : bad(whole);
}

}  // namespace

std::string describe_topology(const Topology& topology) {
  std::string text = topology.empty() ? "" : topology.synthetic_description();
  if (text.empty()) {
    return topology.empty() ? "" : irregular(topology);
  }
  const TopologyCounts counts = topology.counts();
  const std::size_t per_core = counts.pus / counts.cores;
  for (std::size_t thread = 0; thread < per_core; ++thread) {
    text += (thread == 0 ? " cpus:" : ";") + format_cpu_list(threads_of(topology, per_core, thread));
  }
  const auto back = parse_topology(text);  // lists ascend; a machine whose numbers do not is told in full
  return back && *back == topology ? text : irregular(topology);
}

Result<Topology> parse_topology(std::string_view text) {
  auto topology = text.starts_with("pus:") ? parse_irregular(text, text.substr(4)) : parse_regular(text, text);
  if (topology && !validate(*topology)) {
    return bad(text);
  }
  return topology;
}

}  // namespace muster

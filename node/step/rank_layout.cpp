#include "node/step/rank_layout.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "wire/model/node_list.hpp"

namespace muster::node {
namespace {

constexpr std::uint32_t kUnbounded = 0xffff'ffff;

struct Distribution {
  enum class Kind : std::uint8_t { block, cyclic, plane };
  Kind kind{Kind::block};
  std::uint32_t plane{1};
};

Result<Distribution> parse_distribution(std::string_view text) {
  const std::string_view nodes = text.substr(0, text.find(':'));
  if (nodes.empty() || nodes == "block" || nodes == "*") {
    return Distribution{};
  }
  if (nodes == "cyclic") {
    return Distribution{Distribution::Kind::cyclic, 1};
  }
  if (nodes.starts_with("plane=")) {
    const std::string_view digits = nodes.substr(6);
    std::uint32_t size = 0;
    const auto [p, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (ec == std::errc{} && p == digits.data() + digits.size() && size > 0) {
      return Distribution{Distribution::Kind::plane, size};
    }
  }
  return fail(Errc::invalid_argument,
              "--distribution: '" + std::string(text) + "' is not a distribution; write block, cyclic or plane=4");
}

// A node that may be used, and how many ranks it can take.
struct Place {
  std::uint32_t member{};
  std::uint32_t room{};      // now
  std::uint32_t room_max{};  // were no other step there
  std::uint32_t own{};       // the job's ranks
};

std::string count_text(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::uint32_t room_for(const LayoutMember& member, std::uint32_t cpus, const LayoutAsk& ask) {
  std::uint32_t by_cpus = ask.cpus_per_task == 0 ? kUnbounded : cpus / ask.cpus_per_task;
  if (ask.cpus_per_task == 1 && member.cpus < member.ranks) {
    by_cpus = member.ranks;  // a job of fractions: its ranks share cpus anyway
  }
  return ask.ntasks_per_node == 0 ? by_cpus : std::min(by_cpus, ask.ntasks_per_node);
}

Result<std::vector<Place>> places_of(const LayoutAsk& ask) {
  std::vector<Place> places;
  for (std::uint32_t m = 0; m < ask.members.size(); ++m) {
    const LayoutMember& member = ask.members[m];
    places.push_back({m, room_for(member, ask.overlap ? member.cpus : member.free_cpus, ask),
                      room_for(member, member.cpus, ask), member.ranks});
  }
  if (ask.node_list.empty()) {
    return places;
  }
  std::vector<Place> chosen;
  for (const std::string& name : ask.node_list) {
    const auto found = std::find_if(ask.members.begin(), ask.members.end(),
                                    [&](const LayoutMember& member) { return member.node == name; });
    if (found == ask.members.end()) {
      std::vector<std::string> names;
      for (const LayoutMember& member : ask.members) {
        names.push_back(member.node);
      }
      return fail(Errc::invalid_argument,
                  "--nodelist: " + name + " is not in the allocation, which has " + format_node_list(names));
    }
    chosen.push_back(places[static_cast<std::size_t>(found - ask.members.begin())]);
  }
  std::sort(chosen.begin(), chosen.end(), [](const Place& a, const Place& b) { return a.member < b.member; });
  chosen.erase(std::unique(chosen.begin(), chosen.end(),
                           [](const Place& a, const Place& b) { return a.member == b.member; }),
               chosen.end());
  return chosen;
}

using Room = std::uint32_t Place::*;

std::uint64_t sum(std::span<const Place> places, Room room) {
  return std::accumulate(places.begin(), places.end(), std::uint64_t{0},
                         [&](std::uint64_t total, const Place& place) { return total + place.*room; });
}

// `wanted` of the places: the first neighbours that have room for `ntasks`, else the roomiest ones.
std::vector<Place> choose(std::vector<Place> places, std::size_t wanted, std::uint64_t ntasks) {
  std::erase_if(places, [](const Place& place) { return place.room == 0; });
  if (places.size() <= wanted) {
    return places;
  }
  for (std::size_t at = 0; at + wanted <= places.size(); ++at) {
    const std::span<const Place> window(places.data() + at, wanted);
    if (sum(window, &Place::room) >= ntasks) {
      return {window.begin(), window.end()};
    }
  }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.room > b.room; });
  places.resize(wanted);
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.member < b.member; });
  return places;
}

tl::unexpected<Error> does_not_fit(const LayoutAsk& ask, std::span<const Place> places, std::uint64_t ntasks) {
  std::uint64_t cpus = 0;
  std::uint64_t free_cpus = 0;
  for (const Place& place : places) {
    cpus += ask.members[place.member].cpus;
    free_cpus += ask.members[place.member].free_cpus;
  }
  const std::uint64_t most = sum(places, &Place::room_max);
  std::string asked = "--ntasks " + std::to_string(ntasks);
  if (ask.cpus_per_task > 1) {
    asked += " with --cpus-per-task " + std::to_string(ask.cpus_per_task);
  }
  if (ask.ntasks_per_node != 0) {
    asked += (ask.cpus_per_task > 1 ? " and --ntasks-per-node " : " with --ntasks-per-node ") +
             std::to_string(ask.ntasks_per_node);
  }
  const std::string where = places.size() == ask.members.size() && ask.nodes_max == 0 && ask.nodes_min == 0
                                ? "the allocation has "
                                : count_text(places.size(), "node") + " of the allocation " +
                                      (places.size() == 1 ? "has " : "have ");
  if (ntasks <= most) {
    return fail(Errc::exhausted, asked + " does not fit now: " + where + count_text(cpus, "cpu") + ", " +
                                     std::to_string(cpus - free_cpus) +
                                     " of them used by other steps; wait for them, or share their cpus with --overlap");
  }
  return fail(Errc::invalid_argument, asked + " does not fit: " + where + count_text(cpus, "cpu") + " on " +
                                          count_text(places.size(), "node") + ", which is room for " +
                                          count_text(most, "task") + "; ask for no more, or for a larger allocation");
}

// How many ranks each place gets: one after the other, `at_once` at a time, as far as `room` goes.
std::vector<std::uint32_t> deal(std::span<const Place> places, std::uint64_t ntasks, std::uint32_t at_once, Room room,
                                std::vector<std::vector<std::uint32_t>>* numbers) {
  std::vector<std::uint32_t> counts(places.size());
  std::uint32_t next = 0;
  for (bool some = true; next < ntasks && some;) {
    some = false;
    for (std::size_t i = 0; i < places.size() && next < ntasks; ++i) {
      for (std::uint32_t k = 0; k < at_once && next < ntasks && counts[i] < places[i].*room; ++k) {
        if (numbers != nullptr) {
          (*numbers)[i].push_back(next);
        }
        ++counts[i];
        ++next;
        some = true;
      }
    }
  }
  return counts;
}

}  // namespace

const StepLayout::Part* StepLayout::part_of(std::uint32_t member) const {
  const auto found = std::find_if(parts.begin(), parts.end(), [&](const Part& part) { return part.member == member; });
  return found == parts.end() ? nullptr : &*found;
}

std::vector<std::uint32_t> StepLayout::counts() const {
  std::vector<std::uint32_t> counts;
  for (const Part& part : parts) {
    counts.push_back(static_cast<std::uint32_t>(part.ranks.size()));
  }
  return counts;
}

Result<StepLayout> lay_out(const LayoutAsk& ask) {
  const auto distribution = parse_distribution(ask.distribution);
  if (!distribution) {
    return tl::unexpected(distribution.error());
  }
  auto places = places_of(ask);
  if (!places) {
    return tl::unexpected(places.error());
  }
  if (ask.nodes_min > places->size()) {
    return fail(Errc::invalid_argument, "--nodes " + std::to_string(ask.nodes_min) + " is more than the " +
                                            std::to_string(places->size()) + " that " +
                                            (ask.node_list.empty() ? "the allocation has" : "--nodelist names"));
  }
  const std::size_t nodes_max = ask.nodes_max == 0 ? places->size() : std::min<std::size_t>(ask.nodes_max, places->size());

  // How many ranks, and on how many nodes.
  std::uint64_t ntasks = ask.ntasks;
  if (ntasks == 0) {
    const std::span<const Place> first(places->data(), nodes_max);
    ntasks = ask.ntasks_per_node != 0 ? std::uint64_t{ask.ntasks_per_node} * nodes_max : sum(first, &Place::own);
    ntasks = std::max<std::uint64_t>(ntasks, 1);
  }
  if (ask.nodes_min > ntasks) {
    return fail(Errc::invalid_argument, "--nodes " + std::to_string(ask.nodes_min) + " needs as many tasks, and --ntasks is " +
                                            std::to_string(ntasks));
  }
  const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(ntasks, nodes_max));
  const std::vector<Place> used = choose(*places, wanted, ntasks);
  if (used.size() < std::max<std::size_t>(ask.nodes_min, 1) || sum(used, &Place::room) < ntasks) {
    return does_not_fit(ask, nodes_max < places->size() && !used.empty() ? std::span<const Place>(used) : *places, ntasks);
  }

  // As the job has them when that is what is asked for.
  const bool as_job = distribution->kind != Distribution::Kind::plane && sum(used, &Place::own) == ntasks &&
                      std::all_of(used.begin(), used.end(),
                                  [](const Place& place) { return place.own > 0 && place.own <= place.room; });
  const Room room = as_job ? &Place::own : &Place::room;
  std::vector<std::vector<std::uint32_t>> numbers(used.size());
  const bool block = distribution->kind == Distribution::Kind::block;
  const auto counts = deal(used, ntasks, distribution->plane, room, block ? nullptr : &numbers);
  StepLayout layout{.ntasks = static_cast<std::uint32_t>(ntasks), .parts = {}};
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (block) {
      numbers[i].resize(counts[i]);
      std::iota(numbers[i].begin(), numbers[i].end(), next);
      next += counts[i];
    }
    if (!numbers[i].empty()) {
      layout.parts.push_back({used[i].member, std::move(numbers[i])});
    }
  }
  return layout;
}

fb::StepLayoutT pack_layout(const StepLayout& layout) {
  fb::StepLayoutT packed;
  packed.ntasks = layout.ntasks;
  for (const StepLayout::Part& part : layout.parts) {
    packed.members.push_back(part.member);
    packed.counts.push_back(static_cast<std::uint32_t>(part.ranks.size()));
    packed.ranks.insert(packed.ranks.end(), part.ranks.begin(), part.ranks.end());
  }
  return packed;
}

Result<StepLayout> read_layout(const fb::StepLayoutT& packed) {
  const auto bad = [](const char* what) { return fail(Errc::malformed, std::string("the layout of a step ") + what); };
  if (packed.members.size() != packed.counts.size() || packed.ranks.size() != packed.ntasks) {
    return bad("has lists of different lengths");
  }
  StepLayout layout{.ntasks = packed.ntasks, .parts = {}};
  std::vector<bool> seen(packed.ntasks);
  std::size_t at = 0;
  for (std::size_t i = 0; i < packed.members.size(); ++i) {
    if (packed.counts[i] == 0 || packed.counts[i] > packed.ranks.size() - at) {
      return bad("counts ranks that it does not list");
    }
    if (i > 0 && packed.members[i] <= packed.members[i - 1]) {
      return bad("names its members in no order");
    }
    StepLayout::Part part{packed.members[i], {}};
    for (std::uint32_t k = 0; k < packed.counts[i]; ++k) {
      const std::uint32_t rank = packed.ranks[at++];
      if (rank >= packed.ntasks || seen[rank] || (!part.ranks.empty() && rank < part.ranks.back())) {
        return bad("lists a rank twice, out of order or beyond its number");
      }
      seen[rank] = true;
      part.ranks.push_back(rank);
    }
    layout.parts.push_back(std::move(part));
  }
  if (at != packed.ranks.size()) {
    return bad("lists ranks that nobody has");
  }
  return layout;
}

bool deals_over_packages(std::string_view distribution) {
  const auto colon = distribution.find(':');
  return colon != std::string_view::npos && distribution.substr(colon + 1).starts_with("cyclic");
}

}  // namespace muster::node

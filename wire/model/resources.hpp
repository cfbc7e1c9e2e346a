// The resource vector: what a node has, an offer lends and a launch takes, as exact integers.
// Errors: parsing returns Errc::invalid_argument or Errc::out_of_range with the part and its value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/check.hpp"
#include "wire/base/result.hpp"
#include "wire/base/units.hpp"

namespace muster {

// An inclusive range of ports.
struct PortRange {
  std::uint16_t first{};
  std::uint16_t last{};
  constexpr bool operator==(const PortRange&) const = default;
};

// Pure: a set of port numbers, kept as sorted, disjoint, merged ranges.
// The empty set allocates nothing.
class PortSet {
 public:
  PortSet() = default;
  // Any ranges with first ≤ last (check()), in any order, overlapping or not.
  explicit PortSet(std::vector<PortRange> ranges);

  // "31000-32000,40000"; "" is the empty set.
  [[nodiscard]] static Result<PortSet> parse(std::string_view text);

  void add(PortRange range);          // union; REQUIRES first ≤ last
  void add(const PortSet& other);     // union
  void remove(const PortSet& other);  // difference; ports that are not in the set are ignored
  [[nodiscard]] bool contains(std::uint16_t port) const;
  [[nodiscard]] bool contains(const PortSet& other) const;  // all of other
  [[nodiscard]] bool intersects(const PortSet& other) const;
  [[nodiscard]] PortSet intersection(const PortSet& other) const;
  // The lowest n ports (all of them if there are fewer); the set itself is left alone.
  [[nodiscard]] PortSet take(std::size_t n) const;

  [[nodiscard]] std::size_t size() const;  // ports, not ranges
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] const std::vector<PortRange>& ranges() const { return ranges_; }
  [[nodiscard]] std::string to_string() const;  // the form that parse() takes
  bool operator==(const PortSet&) const = default;

 private:
  std::vector<PortRange> ranges_;
};

// A countable thing with a name, such as a licence.
struct NamedCount {
  std::string name;
  std::uint64_t count{};
  bool operator==(const NamedCount&) const = default;
};

// Pure. With empty ports and counts, the usual case, every operation is a few integer
// operations and allocates nothing.
struct Resources {
  MilliCpus cpus_milli{};
  std::uint32_t gpus{};
  Bytes memory_bytes{};
  Bytes disk_bytes{};
  PortSet ports;
  std::vector<NamedCount> counts;  // sorted by name, names unique, no zero counts

  [[nodiscard]] bool is_zero() const;
  // Every part ≤ the same part of other; ports are a subset.
  [[nodiscard]] bool fits_in(const Resources& other) const;
  // REQUIRES disjoint ports and no overflow of any part (check()).
  Resources& operator+=(const Resources& other);
  // REQUIRES other.fits_in(*this) (check()).
  Resources& operator-=(const Resources& other);
  // Would += be allowed? For vectors that come from outside.
  [[nodiscard]] bool can_add(const Resources& other) const;
  // k of this. REQUIRES no ports (unless k ≤ 1) and no overflow (check()).
  [[nodiscard]] Resources times(std::uint64_t k) const;
  // How many of this fit in room at once; at most 1 if this has ports; UINT64_MAX if this is zero.
  [[nodiscard]] std::uint64_t multiples_in(const Resources& room) const;
  // The first part that does not fit, for error texts: "cpus: wants 8, has 4". "" if all fits.
  [[nodiscard]] std::string shortfall(const Resources& room) const;

  [[nodiscard]] std::uint64_t count_of(std::string_view name) const;  // 0 if absent
  // Keeps counts sorted; 0 removes the name.
  void set_count(std::string_view name, std::uint64_t count);

  friend bool operator==(const Resources&, const Resources&) = default;

 private:
  // The parts that allocate, apart so that the scalar paths below can be inlined.
  [[nodiscard]] bool lists_fit_in(const Resources& other) const;
  [[nodiscard]] bool lists_can_add(const Resources& other) const;
  void add_lists(const Resources& other);
  void subtract_lists(const Resources& other);
};

inline bool Resources::is_zero() const {
  return cpus_milli == 0 && gpus == 0 && memory_bytes == 0 && disk_bytes == 0 && ports.empty() && counts.empty();
}

inline bool Resources::fits_in(const Resources& other) const {
  return cpus_milli <= other.cpus_milli && gpus <= other.gpus && memory_bytes <= other.memory_bytes &&
         disk_bytes <= other.disk_bytes && ((ports.empty() && counts.empty()) || lists_fit_in(other));
}

inline bool Resources::can_add(const Resources& other) const {
  constexpr auto kMax32 = std::numeric_limits<std::uint32_t>::max();
  constexpr auto kMax64 = std::numeric_limits<std::uint64_t>::max();
  return cpus_milli <= kMax32 - other.cpus_milli && gpus <= kMax32 - other.gpus &&
         memory_bytes <= kMax64 - other.memory_bytes && disk_bytes <= kMax64 - other.disk_bytes &&
         ((other.ports.empty() && other.counts.empty()) || lists_can_add(other));
}

inline Resources& Resources::operator+=(const Resources& other) {
  check(can_add(other), "resources: a sum overflows or its ports overlap");
  cpus_milli += other.cpus_milli;
  gpus += other.gpus;
  memory_bytes += other.memory_bytes;
  disk_bytes += other.disk_bytes;
  if (!other.ports.empty() || !other.counts.empty()) {
    add_lists(other);
  }
  return *this;
}

inline Resources& Resources::operator-=(const Resources& other) {
  check(other.fits_in(*this), "resources: more is taken than there is");
  cpus_milli -= other.cpus_milli;
  gpus -= other.gpus;
  memory_bytes -= other.memory_bytes;
  disk_bytes -= other.disk_bytes;
  if (!other.ports.empty() || !other.counts.empty()) {
    subtract_lists(other);
  }
  return *this;
}

[[nodiscard]] inline Resources operator+(Resources a, const Resources& b) { return a += b; }
[[nodiscard]] inline Resources operator-(Resources a, const Resources& b) { return a -= b; }

// The name of a count: a letter, then letters, digits, '.', '_' or '-'; at most 64 characters;
// none of cpus, mem, disk, gpus, ports.
[[nodiscard]] bool is_count_name(std::string_view name);

// "cpus=4;mem=4G;disk=10G;gpus=2;ports=31000-32000;license.matlab=3". Parts in any order, each at most
// once, blanks around them ignored; "" is zero. "memory" is taken for "mem".
[[nodiscard]] Result<Resources> parse_resources(std::string_view text);
// The form that parse_resources takes, parts that are zero left out; zero as a whole is "".
[[nodiscard]] std::string to_string(const Resources& resources);

}  // namespace muster

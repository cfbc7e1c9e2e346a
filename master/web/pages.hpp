// Pages: the JSON texts of a view. Pure functions over const views; field names are stable.
//
// Lists come in pages: {"epoch", "serial", "age_ms", "total", "after", "next_after", "more", "<list>": [rows]}; the next
// page is ?after=<next_after>. 64-bit ids are strings, amounts are numbers in the unit that ends their name.
#pragma once

#include <cstdint>
#include <string>

#include "master/view/cluster_view.hpp"
#include "wire/base/time.hpp"

namespace muster::master {

struct PageRequest {
  static constexpr std::uint64_t kLimitDefault = 1000;
  static constexpr std::uint64_t kLimitMax = 10'000;
  std::uint64_t after{};                // rows left out at the beginning
  std::uint64_t limit{kLimitDefault};
};

[[nodiscard]] std::string state_page(const ClusterView& view, Duration age);
[[nodiscard]] std::string nodes_page(const ClusterView& view, Duration age, const PageRequest& page);
[[nodiscard]] std::string frameworks_page(const ClusterView& view, Duration age, const PageRequest& page);
[[nodiscard]] std::string offers_page(const ClusterView& view, Duration age, const PageRequest& page);
[[nodiscard]] std::string tasks_page(const ClusterView& view, Duration age, const PageRequest& page);

// A core that has not given a picture for this long is not healthy.
inline constexpr Duration kHealthyAge = Duration::from_seconds(5);
// `view` may be null. `healthy` is set.
[[nodiscard]] std::string health_page(const ClusterView* view, Duration age, bool& healthy);

// {"error": "…"}
[[nodiscard]] std::string error_page(const std::string& text);

}  // namespace muster::master

// Bare ZeroMQ with many links: DEALERs in processes of their own → one ROUTER over TCP on loopback, one way, as fast as it
// goes. What a master's throughput is held against, so it is tuned: several variants, and the best counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace muster::bench {

struct BareRate {
  std::string variant;
  double frames_per_second{};
  double bytes_per_second{};
  bool lean{};  // its peers write ZMTP to the socket themselves, as the load generator does, instead of being DEALERs
};

// Frames of the given sizes, over and over. `seconds` for each variant. What fails is left out.
[[nodiscard]] std::vector<BareRate> measure_bare_links(std::uint32_t links, const std::vector<std::uint32_t>& sizes,
                                                       double seconds);

}  // namespace muster::bench

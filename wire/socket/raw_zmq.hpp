// What the machine can do without us: bare ZeroMQ between two threads with a context each, DEALER → ROUTER,
// over ipc or tcp on loopback. Measured in the same run as what is held against it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "wire/base/result.hpp"

namespace muster {

struct RawRate {
  double frames_per_second{};
  double bytes_per_second{};
};

struct RawRoundTrip {
  double p50_ms{};
  double p99_ms{};
  std::vector<double> samples_ms;  // in no order
};

// One DEALER sends frames of `frame_bytes` as fast as they go for `seconds`; counted where they arrive.
// `transport` is "ipc" or "tcp". Errc::io if sockets can't be made.
[[nodiscard]] Result<RawRate> measure_rate(const std::string& transport, std::size_t frame_bytes, double seconds);

// One frame of 64 bytes there and back, one at a time.
[[nodiscard]] Result<RawRoundTrip> measure_round_trip(const std::string& transport, double seconds);

}  // namespace muster

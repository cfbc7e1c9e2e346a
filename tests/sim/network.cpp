#include "tests/sim/network.hpp"

#include <algorithm>
#include <utility>

namespace muster::sim {

void Network::transmit(const SharedConnection& connection, Pipe& pipe, SharedFrame frame, Blocked blocked,
                       const Deliver& deliver) {
  if (!connection->open || blocked == Blocked::drops) {
    return;
  }
  if (blocked == Blocked::stalls) {
    pipe.stalled.push_back(std::move(frame));
    return;
  }
  ++frames_;
  if (world_.prng.chance_ppm(quality_.corrupt_ppm)) {
    frame = corrupted(*frame);
    if (!frame) {
      return;
    }
  }
  if (quality_.ordered) {
    pipe.last_arrival = std::max(pipe.last_arrival + Duration::from_ns(1),
                                 world_.now() + world_.prng.between(quality_.delay_min, quality_.delay_max));
    schedule(connection, pipe.last_arrival, std::move(frame), deliver);
    return;
  }
  if (world_.prng.chance_ppm(quality_.loss_ppm)) {
    return;
  }
  const int copies = world_.prng.chance_ppm(quality_.duplicate_ppm) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    const Duration delay = world_.prng.between(quality_.delay_min, quality_.delay_max);
    Instant at = std::max(pipe.last_arrival + Duration::from_ns(1), world_.now() + delay);
    if (copy > 0 || world_.prng.chance_ppm(quality_.reorder_ppm)) {
      at = world_.now() + delay + world_.prng.skewed(Duration::from_us(10), Duration::from_ms(800));
    } else {
      pipe.last_arrival = at;
    }
    schedule(connection, at, frame, deliver);
  }
}

void Network::schedule(const SharedConnection& connection, Instant at, SharedFrame frame, const Deliver& deliver) {
  world_.at(at, [connection, frame = std::move(frame), deliver] {
    if (connection->open || connection->late_frames) {
      deliver(frame);
    }
  });
}

void Network::resume(const SharedConnection& connection, Pipe& pipe, const Deliver& deliver) {
  std::vector<SharedFrame> stalled = std::exchange(pipe.stalled, {});
  for (SharedFrame& frame : stalled) {
    transmit(connection, pipe, std::move(frame), Blocked::no, deliver);
  }
}

SharedFrame Network::corrupted(const FrameBytes& frame) {
  auto broken = std::make_shared<FrameBytes>(frame);
  if (world_.prng.percent(30)) {
    broken->resize(world_.prng.below(broken->size()));
  } else {
    for (std::uint64_t flips = 1 + world_.prng.below(8); flips > 0; --flips) {
      const std::uint64_t bit = world_.prng.below(broken->size() * 8);
      (*broken)[bit / 8] = static_cast<std::uint8_t>((*broken)[bit / 8] ^ (1U << (bit % 8)));
    }
  }
  return verify_frame(*broken) ? nullptr : SharedFrame(std::move(broken));
}

void Network::become_perfect() {
  quality_.loss_ppm = 0;
  quality_.duplicate_ppm = 0;
  quality_.reorder_ppm = 0;
  quality_.corrupt_ppm = 0;
}

Network::Received Network::verify(const FrameBytes& bytes) {
  auto frame = verify_frame(bytes);
  if (!frame) {
    return {.frame = nullptr, .error = frame.error()};
  }
  return {.frame = *frame, .error = {}};
}

}  // namespace muster::sim

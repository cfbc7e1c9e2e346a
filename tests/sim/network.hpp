// The seeded network between masters and their clients: real frames that are delayed, lost, repeated, reordered,
// corrupted, held up by partitions, or late from a connection that is no more.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "tests/sim/world.hpp"
#include "wire/base/ids.hpp"
#include "wire/schema/frame.hpp"

namespace muster::sim {

using SharedFrame = std::shared_ptr<const FrameBytes>;

struct Quality {
  bool ordered{true};  // as a byte stream: nothing is lost within a connection, only with it
  Duration delay_min = Duration::from_us(20);
  Duration delay_max = Duration::from_us(500);
  std::uint64_t loss_ppm{};
  std::uint64_t duplicate_ppm{};
  std::uint64_t reorder_ppm{};
  std::uint64_t corrupt_ppm{};
};

// One direction of a connection.
struct Pipe {
  Instant last_arrival;
  std::vector<SharedFrame> stalled;  // by a partition that ends
};

// A client's connection to a master, as that master numbers it.
struct Connection {
  std::uint64_t number{};
  std::uint32_t client{};
  std::uint64_t client_life{};
  std::uint64_t master{};
  LinkId link;
  bool open{true};
  bool late_frames{};        // what was under way still arrives after the end
  bool master_forgot{};      // the master's transport reported its end
  Pipe to_master;
  Pipe to_client;
};
using SharedConnection = std::shared_ptr<Connection>;

enum class Blocked : std::uint8_t { no, stalls, drops };

// Owned by one run.
class Network {
 public:
  Network(World& world, const Quality& quality) : world_(world), quality_(quality) {}
  using Deliver = std::function<void(const SharedFrame&)>;

  // Sends one frame through `pipe` of `connection`; `deliver` is called for each copy that arrives.
  void transmit(const SharedConnection& connection, Pipe& pipe, SharedFrame frame, Blocked blocked, const Deliver& deliver);
  // A partition ended: what it stalled goes on its way.
  void resume(const SharedConnection& connection, Pipe& pipe, const Deliver& deliver);
  [[nodiscard]] const Quality& quality() const { return quality_; }
  void become_perfect();
  [[nodiscard]] std::uint64_t frames() const { return frames_; }

  // The receiver's view of a frame: verified, or why not. (Corrupted frames that verify all the same are not sent:
  // catching those is the transport's checksum's work.)
  struct Received {
    const fb::Frame* frame{};
    FrameError error;
  };
  [[nodiscard]] static Received verify(const FrameBytes& bytes);

 private:
  void schedule(const SharedConnection& connection, Instant at, SharedFrame frame, const Deliver& deliver);
  [[nodiscard]] SharedFrame corrupted(const FrameBytes& frame);

  World& world_;
  Quality quality_;
  std::uint64_t frames_{};
};

}  // namespace muster::sim

// LoadCluster: N simulated nodes on L links and F frameworks that talk to a real master over TCP and do as little
// else as possible. Owned by one thread.
//
//   framework ─ Request ─►  Offers ─► Accept ─► [master] ─► Launch ─► node ─ Update ─► [master] ─► Update ─► Acknowledge
//
// packed: an accept fills its node with a task per cpu. spread: one task takes the whole node, and neither an Accept nor
// an Update of a node speaks of more than one. Each task has an id of its own and ends with an exit code that follows
// from it; frameworks check both, and that every task ends exactly once.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bench/load/frame_template.hpp"
#include "bench/raw/zmtp_stream.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"
#include "wire/schema/link_state.hpp"

namespace muster::bench {

struct LoadOptions {
  std::uint16_t port{};
  std::uint32_t nodes = 10'000;
  std::uint32_t links = 64;
  std::uint32_t frameworks = 4;
  std::uint32_t cpus = 64;     // of a node; a task each when packed
  bool packed = true;
  bool hold = false;           // tasks run until finish_held()
  std::uint32_t window = 256;                // accepts under way, all frameworks together
  std::uint32_t updates_per_frame_max = 64;  // packed; more: a link joins the updates of its nodes
  Duration stall = Duration::from_seconds(5);
};

// Logical messages (records) and frames, since the load began.
struct LoadCounts {
  std::uint64_t requests{}, offers{}, accepts{}, accepted{}, launches{}, updates{}, acknowledged{};
  std::uint64_t launch_frames{}, update_frames{}, tasks_checked{}, nodes_done{};
  std::uint64_t frames_in{}, bytes_in{};    // of the master
  std::uint64_t frames_out{}, bytes_out{};
};

struct Pace {
  enum class Kind : std::uint8_t { full, rate, one } kind = Kind::full;
  double accepts_per_second{};
};

class LoadCluster {
 public:
  explicit LoadCluster(const LoadOptions& options);
  ~LoadCluster();
  LoadCluster(const LoadCluster&) = delete;
  LoadCluster& operator=(const LoadCluster&) = delete;

  // Each ends with an error that says what is missing when nothing has come for options.stall.
  [[nodiscard]] Status connect_all();
  [[nodiscard]] Status register_nodes();
  [[nodiscard]] Status subscribe();            // until every node has been offered
  [[nodiscard]] Status run(const Pace& pace, Duration how_long);
  [[nodiscard]] Status drain();                // until no task is under way (or all run, with options.hold)

  [[nodiscard]] const LoadCounts& counts() const { return counts_; }
  // Accept → launch forwarded, nanoseconds, since the last call.
  [[nodiscard]] std::vector<double> take_latencies();
  // Sizes of frames to and from the master, evenly drawn.
  [[nodiscard]] const std::vector<std::uint32_t>& frame_sizes() const { return sizes_; }

 private:
  struct Peer {
    ZmtpStream stream;
    LinkState link;
    Epoch epoch{};
    Instant last_sent;
    bool dirty{};
    bool wants_write{};
    std::uint32_t place{};  // of the link or framework
    bool framework{};
  };
  struct OpenOffer {
    fb::OfferRef ref{0, 0};
    std::uint32_t node{};
  };
  // One accept under way.
  struct Flight {
    std::uint64_t accept{};  // 0: free
    std::uint64_t done{};    // a bit per task
    std::uint32_t node{};
    std::int64_t sent_ns{};
  };
  struct Framework {
    std::deque<OpenOffer> offers;
    std::vector<Flight> flights;
    std::uint64_t accepts{};
    std::uint64_t offers_since_request{};
    std::uint64_t want{};
    FrameTemplate accept;
    bool subscribed{};
  };

  [[nodiscard]] Status turn(Instant until);
  template <class Done>
  [[nodiscard]] Status turn_until(Done&& done, const std::string& what);
  [[nodiscard]] Status fail_with(const std::string& what) const;
  void take(Peer& peer, std::span<const std::uint8_t> bytes);
  void take_from_master(Peer& peer, const fb::Frame& frame);
  void on_registered(const fb::Registered& message);
  void on_launch(Peer& peer, const fb::Launch& message);
  void on_offers(Framework& framework, const fb::Offers& message);
  void on_rescind(Framework& framework, const fb::Rescind& message);
  void on_update(Peer& peer, Framework& framework, const fb::Update& message);
  bool check_task(std::uint32_t place, Framework& framework, const fb::UpdateEntry& entry);
  void pump();
  void send_accept(std::uint32_t place);
  void send_request(std::uint32_t place);
  void send(Peer& peer, const FrameBytes& frame);
  std::uint8_t* send(Peer& peer, const FrameTemplate& frame);
  void sent(Peer& peer, std::size_t bytes);
  void flush_dirty();
  void watch(Peer& peer, bool write);
  void heartbeats();
  const FrameTemplate& sized(std::vector<std::unique_ptr<FrameTemplate>>& cache, std::uint32_t records, bool update);
  void broken(const std::string& what);
  void sample_size(std::size_t bytes);

  LoadOptions options_;
  int epoll_{-1};
  ReadBuffer buffer_;
  std::vector<std::unique_ptr<Peer>> peers_;  // links, then frameworks
  std::vector<Framework> frameworks_;
  std::vector<std::uint64_t> update_seq_;     // by node index and framework
  std::vector<std::unique_ptr<FrameTemplate>> updates_, acknowledges_;
  std::vector<std::uint32_t> dirty_;
  std::vector<fb::AckEntry> acks_;
  LoadCounts counts_;
  std::vector<double> latencies_;
  std::vector<std::uint32_t> sizes_;
  std::uint64_t size_turn_{};
  std::string problem_;
  std::uint32_t tasks_per_accept_{};
  std::uint32_t open_streams_{};
  std::uint32_t registered_{};
  std::uint32_t in_flight_{};
  std::uint32_t next_framework_{};
  Pace pace_;
  bool pumping_{};
  std::uint64_t paced_{};
  Instant pace_began_, now_, progress_, heartbeat_at_;
};

}  // namespace muster::bench

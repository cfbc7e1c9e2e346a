// A whole cluster in one process, under virtual time: real cores, real frames, everything else simulated.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/machine.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/options.hpp"
#include "tests/sim/sim_gang.hpp"
#include "tests/sim/sim_master.hpp"
#include "tests/sim/sim_node.hpp"
#include "tests/sim/sim_rival.hpp"
#include "tests/sim/store.hpp"
#include "tests/sim/truth.hpp"
#include "tests/sim/users.hpp"
#include "tests/sim/world.hpp"

namespace muster::sim {

inline constexpr std::uint32_t kClusterUid = 1000;
inline constexpr std::uint32_t kOperatorClient = 0xffff'ffff;

// Owned by one run.
class Cluster {
 public:
  Cluster(std::uint64_t seed, const Options& options);
  ~Cluster();

  // The whole run: work and faults, then calm. Throws Violation.
  void run();

  // ---- for the roles
  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] Truth& truth() { return truth_; }
  [[nodiscard]] std::uint64_t crash_in_flush_ppm() const { return faults_on_ ? profile_.crash_in_flush_ppm * intensity_ : 0; }
  void count_crash() { ++crashes_; }
  [[nodiscard]] std::uint32_t node_count() const { return static_cast<std::uint32_t>(nodes_.size()); }
  [[nodiscard]] std::uint32_t smallest_node_cpus() const;
  [[nodiscard]] FrameworkId framework_of(std::uint32_t client) const;
  [[nodiscard]] std::string client_name(std::uint32_t client) const;
  [[nodiscard]] std::string describe(const fb::Frame& frame) const;
  // Which master answered this life of this client's link.
  void set_life_epoch(std::uint32_t client, Incarnation life, Epoch epoch) { life_epochs_[{client, life}] = epoch; }
  [[nodiscard]] std::optional<Epoch> life_epoch(std::uint32_t client, Incarnation life) const;

  // Transport
  void send_from_client(Client& client, SharedFrame frame);
  void send_to_client(const SharedConnection& connection, SharedFrame frame);
  [[nodiscard]] LinkId new_user_link();
  void send_from_user(LinkId link, SharedFrame frame);
  void send_to_user(LinkId link, SharedFrame frame);
  void user_hangs_up(LinkId link);
  void on_gang_gone();

  // A role crashed by itself, within a flush.
  void on_master_crashed(SimMaster& master);
  void on_client_crashed(Client& client);

  [[nodiscard]] Outcome outcome() const;

 private:
  // cluster.cpp
  void build(const Options& options);
  void run_until(Instant until);
  // cluster_links.cpp
  void connect_soon(Client& client, Duration delay);
  void connect(Client& client);
  void disconnect(Client& client, bool tell_core);
  void deliver_to_master(const SharedConnection& connection, const SharedFrame& frame);
  void deliver_to_client(const SharedConnection& connection, const SharedFrame& frame);
  void operator_drain(std::uint32_t node, bool undrain);
  [[nodiscard]] Blocked blocked(std::uint32_t client, bool up) const;
  // cluster_faults.cpp
  void plan_faults(Duration span);
  void every(std::uint32_t per_minute, Duration span, std::function<void()> fault);
  void start_master(Duration delay);
  void crash_master();
  void fail_over();
  void end_old_master();
  void restart_soon(Client& client, Duration delay);
  void crash_client(Client& client, Duration down);
  void crash_launcher(std::uint32_t node);
  void lose_node_power(std::uint32_t node);
  void lose_gang_power();
  void crash_everything();
  void partition();
  void heal(std::uint64_t partition);
  void stop_faults();
  // cluster_converge.cpp
  [[nodiscard]] std::string unconverged() const;

  [[nodiscard]] Client& client(std::uint32_t id);
  [[nodiscard]] SimMaster* active() const { return masters_.empty() ? nullptr : masters_.back().get(); }
  [[nodiscard]] SimMaster* master_numbered(std::uint64_t number) const;

  World world_;
  Truth truth_;
  SimStore store_;
  Profile profile_;
  Defects defects_;
  std::uint64_t intensity_{1};
  bool faults_on_{};
  bool keep_unsent_{};         // what clients send without a connection is kept for the next
  bool silent_reconnects_{};   // cores are not told of lost connections
  std::uint64_t crashes_{};

  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::unique_ptr<SimGang> gang_;
  std::unique_ptr<SimRival> rival_;
  Users users_;
  std::uint32_t jobs_{};

  std::vector<std::unique_ptr<SimMaster>> masters_;  // the last one is the newest; earlier ones may linger
  std::vector<std::unique_ptr<SimMaster>> retired_masters_;
  Epoch epoch_;                                      // the election's record
  std::uint64_t next_connection_{};
  std::uint64_t next_link_{};
  std::map<std::pair<std::uint32_t, Incarnation>, Epoch> life_epochs_;
  std::uint32_t old_master_percent_{};               // of connections go to the superseded master

  struct Partition {
    std::set<std::uint32_t> clients;
    bool up{};
    bool down{};
    bool stalls{};
  };
  std::map<std::uint64_t, Partition> partitions_;
  std::uint64_t next_partition_{};
  std::set<LinkId> user_links_;
  std::map<LinkId, std::pair<Instant, Instant>> user_pipes_;
  std::uint64_t next_user_link_{};
  std::uint64_t next_operator_request_{};
  std::set<std::uint32_t> drained_;
};

}  // namespace muster::sim

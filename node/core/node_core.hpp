// NodeCore: the single-writer state machine of the node agent. Pure: owned by the shell's only thread
// (or by the simulator).
//
//   the master's frames + the launcher's events + user and executor frames + timers
//     → frames to the master, commands to the launcher, answers to users
//
// It keeps the node's own books (which cpus, how much memory), refuses what does not fit, parks gangs until
// Go, ends tasks at their time limit, and holds every update in its outbox until it is acknowledged. What must
// survive the agent is in the launcher's run log: `agent_note` of a TaskStart carries what the core needs back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/exec/launcher_messages.hpp"
#include "wire/base/ids.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/model/resources.hpp"
#include "wire/model/topology.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

struct NodeConfig {
  std::string name;
  Resources capacity;                     // advertised: reserve already taken off
  Topology topology;                      // advertised cpus (synthetic or real)
  // OS cpus that bindings are made of: the cpu at place p of topology.pus is machine_cpus[p % size], so that
  // more advertised cpus than real ones wrap. Empty: tasks are not bound.
  std::vector<std::uint32_t> machine_cpus;
  std::string boot_id;
  std::string endpoint;                   // of the job conversation
  std::vector<std::string> attributes;
  std::string switch_name;
  bool switch_user{};                     // run tasks as the submitter (installed daemons), not as ourselves
  bool allow_root{};                      // with switch_user: root's tasks too
  std::optional<std::uint32_t> owner_uid; // without switch_user: whose tasks are run; unset = anybody's, as ourselves
  bool enforce_memory{};                  // memory shares are limits
  std::uint32_t processes_max{};          // processes and threads of a task, all together; 0 = no limit
  std::string stepd_path;                 // of the program that runs the steps of an allocation
  std::string jobs_directory;             // step daemons' own directories are made in here
  std::string step_listen;                // where they listen for other hosts: "tcp://10.0.0.1:*"; empty: this host only
  Duration register_retry = Duration::from_ms(1000);
  Duration heartbeat = Duration::from_seconds(1);
  Duration master_silence = Duration::from_seconds(3);   // then the link is opened again
  Duration fence = Duration::from_seconds(60);           // the master's Registered may change these two
  Duration prepare_silence = Duration::from_seconds(3);
  Duration kill_grace = Duration::from_seconds(5);       // where neither the task nor the kill says one
  std::uint32_t updates_in_flight_max = 4096;            // unacknowledged updates sent, per framework
  // While tasks wait in line here, nobody waits for a freed slot: updates may gather this long before they leave, and
  // no longer than until half as many have ended as wait.
  Duration updates_gather = Duration::from_ms(8);
};

// What the node keeps on its own disk besides the run log.
struct NodeMemory {
  Epoch highest_epoch;
  Incarnation last_incarnation;   // the shell adds a reserve and persists before use
  bool drained{};
  std::string drain_reason;
  // Last confirmed contact with a master, at most a few seconds old while requeueable tasks live: a restarted
  // agent goes on counting the fence from here. 0 = not recorded.
  WallTime last_contact;
  Duration fence;                 // what a master last made of it; 0 = none has: the configuration's
  bool operator==(const NodeMemory&) const = default;
};

struct UserFrame {
  LinkId link;
  FrameBytes bytes;
};

// A read of an output file the shell does off the core, answered by on_log_read.
struct LogRead {
  LinkId link;
  std::uint64_t request{};
  std::string path;
  bool as_user{};          // only what this user may read: uid, gid and its groups
  std::uint32_t uid{};
  std::uint32_t gid{};
  std::uint64_t offset{};
  std::uint32_t max_bytes{};
  bool task_ended{};
};

// In the order the shell must carry them out: memory first (durable before the rest leaves).
struct NodeOutputs {
  std::optional<NodeMemory> memory;           // persist, then go on
  // Opaque records that tell whose output is where. Append them to a file (write is enough, no fsync) before the
  // launcher hears its commands; at start hand them back with on_outputs_loaded. Older ones may be dropped when
  // the file grows: only reading old logs suffers.
  std::vector<std::string> output_records;
  std::vector<FrameBytes> to_master;
  std::vector<LauncherCommand> to_launcher;
  std::vector<UserFrame> to_users;
  std::vector<LogRead> log_reads;
};

struct NodeDefects {
  bool skip_epoch_check{};
  bool rerun_known_attempt{};       // a repeated launch is executed again
  bool drop_outbox_on_register{};   // unacknowledged updates are forgotten
  bool exec_without_go{};           // parks nothing
  bool forget_before_ack{};
  bool start_successor_early{};     // does not wait until its predecessor has ended
};

class NodeCore {
 public:
  NodeCore(const NodeConfig& config, const NodeMemory& memory, Now now, const NodeDefects& defects = {});
  ~NodeCore();
  NodeCore(const NodeCore&) = delete;
  NodeCore& operator=(const NodeCore&) = delete;

  // The output records that an earlier agent gave out, oldest first. Before the first launcher hello.
  void on_outputs_loaded(const std::vector<std::string>& records);

  // The launcher (a new connection to it) and all attempts it knows. Nothing is registered before the first.
  void on_launcher_hello(const LauncherHello& hello, Now now);
  void on_launcher_event(const LauncherEvent& event, Now now);
  void on_launcher_lost(Now now);

  void on_master_link_up(Now now);     // the transport connected (or just started)
  void on_master_frame(const fb::Frame& frame, Now now);
  void on_bad_master_frame(const FrameError& error, Now now);
  void on_master_link_down(Now now);

  // The node is to end: every task is killed (reported as drained), then the launcher exits. New launches are
  // not started. The launcher's loss completes it.
  void on_leaving(Now now);

  // Job conversation: users reading output, executors.
  struct Peer { bool local{}; std::uint32_t uid{}; std::uint32_t pid{}; };
  void on_user_frame(LinkId link, const Peer& peer, const fb::Frame& frame, Now now);
  void on_log_read(const LogRead& read, const Result<std::string>& data, Now now);

  void on_timer(Now now);
  [[nodiscard]] Instant next_timer() const;
  void flush(Now now, NodeOutputs& out);

  [[nodiscard]] bool is_registered() const;
  [[nodiscard]] Status audit() const;
  [[nodiscard]] std::string status_text() const;  // one line for the log

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::node

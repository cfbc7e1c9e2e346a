// Where a cluster lives on this machine and what its cluster.json says. No thread.
//
// A cluster that `muster up` made:
//
//   DIR/cluster.json            options, daemons with pid and start time (0600)
//   DIR/master.ipc gang.ipc n1.ipc …
//   DIR/log/ DIR/master/ DIR/gang/ DIR/n1/ … DIR/fakes/   DIR/run/ (output of `muster run` while it is shown)
//
// An installed one has no cluster.json: its daemons are started by others. Its cluster.toml names `gang` and `master`, the
// endpoints of this host's sockets, or their folder as `dir`; without it they are DIR/gang.ipc and DIR/master.ipc.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sched/cli/commands.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"
#include "wire/daemon/process_identity.hpp"

namespace muster::cli {

struct ClusterPlace {
  std::string dir;      // absolute
  std::string source{};  // what named it: "--dir", "--cluster", "MUSTER_DIR", "MUSTER_CLUSTER", "the default" or the system's file
  bool installed{};     // not made by `muster up`
  std::string gang{};    // endpoints, where they are not the sockets in `dir`
  std::string master{};
  std::string named{};   // as given to --cluster

  [[nodiscard]] std::string record_path() const { return dir + "/cluster.json"; }
  [[nodiscard]] std::string socket_path(const std::string& daemon) const { return dir + "/" + daemon + ".ipc"; }
  [[nodiscard]] std::string endpoint(const std::string& daemon) const;
  [[nodiscard]] std::string log_path(const std::string& daemon) const { return dir + "/log/" + daemon + ".log"; }
  // "~/.muster" needs no --dir to be found again.
  [[nodiscard]] std::string hint() const {
    return source == "--dir" ? " --dir " + dir : source == "--cluster" ? " --cluster " + named : "";
  }
};

// --dir or --cluster, else MUSTER_DIR, else MUSTER_CLUSTER, else ~/.muster if there is a cluster, else `system_file` if it is
// there, else ~/.muster all the same (for `muster up`). Errc::unreachable when there is no home either; errors in a
// cluster.toml name its line.
[[nodiscard]] Result<ClusterPlace> find_place(const CommonOptions& common,
                                              const std::function<const char*(const char*)>& getenv,
                                              const std::string& home, const std::string& working_directory,
                                              const std::string& system_file = "/etc/muster/cluster.toml");

struct DaemonRecord {
  std::string name;                  // master, gang, n1, n2, … or fakes
  std::vector<std::string> command;
  ProcessIdentity process;
  [[nodiscard]] bool is_node() const { return name != "master" && name != "gang"; }
};

struct ClusterRecord {
  std::string boot_id;
  WallTime started;
  std::uint32_t nodes{};
  std::optional<Duration> fake_duration;  // the nodes are simulated, and so long runs every task
  MilliCpus cpus_milli{};            // of each node
  Bytes memory_bytes{};              // of each node
  std::optional<std::uint16_t> http_port;  // as asked for
  std::vector<ChosenSetting> settings;     // by name
  std::vector<DaemonRecord> daemons; // in the order they are started
  [[nodiscard]] const DaemonRecord* find(const std::string& name) const;
  [[nodiscard]] DaemonRecord* find(const std::string& name);
};

[[nodiscard]] std::string to_json(const ClusterRecord& record);
// Errc::malformed naming the field.
[[nodiscard]] Result<ClusterRecord> cluster_from_json(std::string_view text);

// Errc::unreachable "no cluster here (looked in …); start one: muster up" when there is none.
[[nodiscard]] Result<ClusterRecord> load_cluster(const ClusterPlace& place);
[[nodiscard]] Status save_cluster(const ClusterPlace& place, const ClusterRecord& record);

// Where the running master shows its JSON, from the master.json that it leaves; 0 when it shows none.
[[nodiscard]] std::uint16_t http_port_of(const ClusterPlace& place);

// The recorded process still runs, in this boot.
[[nodiscard]] bool is_running(const ClusterRecord& record, const DaemonRecord& daemon, const std::string& boot_id);

}  // namespace muster::cli

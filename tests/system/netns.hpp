// Several hosts on one machine: network namespaces joined by a bridge, and a cluster over them. Needs root and `ip`.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/system/harness.hpp"

namespace muster::system_test {

// Namespaces 10.77.0.1, 10.77.0.2, … with an interface each on one bridge, in a namespace of its own; gone with the object.
class NetworkOfHosts {
 public:
  // "" or what is missing: the test says it and is skipped.
  [[nodiscard]] static std::string why_not();
  explicit NetworkOfHosts(int hosts);
  ~NetworkOfHosts();
  NetworkOfHosts(const NetworkOfHosts&) = delete;
  NetworkOfHosts& operator=(const NetworkOfHosts&) = delete;

  [[nodiscard]] int hosts() const { return hosts_; }
  [[nodiscard]] std::string address(int host) const;  // from 1
  // The command as it runs on that host: only its network differs.
  [[nodiscard]] std::vector<std::string> at(int host, const std::vector<std::string>& argv) const;
  // Nothing comes from or goes to this host any more; or again.
  void cut(int host) const;
  void mend(int host) const;

 private:
  [[nodiscard]] std::string space(int host) const;
  std::string prefix_;
  int hosts_;
};

// A cluster installed by hand over the hosts of a network: host 1 has the master, the gang and node n1, host K has node nK,
// each with a folder, a key pair and a TOML file of its own. Started by start(), ended and removed with the object.
class HostedCluster {
 public:
  struct Options {
    int cpus = 4;                        // of each node
    std::string master{};                // more lines of the daemons' TOML files
    std::string gang{};
    std::string node{};
    std::vector<std::string> run_as{};   // words before each command of a user, such as setpriv's
  };
  explicit HostedCluster(const NetworkOfHosts& network);
  HostedCluster(const NetworkOfHosts& network, Options options);
  ~HostedCluster();
  HostedCluster(const HostedCluster&) = delete;
  HostedCluster& operator=(const HostedCluster&) = delete;

  // Keys, files, all daemons; waits until every node has registered.
  void start();
  void make_keys();                                // `muster keygen` on each host, and the master's keys.toml
  void write_files();
  void start_daemon(const std::string& name);      // "master", "gang", "n1", …
  void stop_daemon(const std::string& name, int signal);
  [[nodiscard]] bool wait_for_nodes(int count) const;

  // `muster …` on host 1, as its local users do.
  [[nodiscard]] Outcome muster(const std::vector<std::string>& args, Duration at_most = Duration::from_seconds(60)) const;
  [[nodiscard]] Outcome muster_as(const std::vector<std::string>& run_as, const std::vector<std::string>& args,
                                  Duration at_most = Duration::from_seconds(60)) const;
  [[nodiscard]] std::vector<std::string> command_line(const std::vector<std::string>& args) const;
  std::string expect(int exit_code, const std::vector<std::string>& args) const;
  [[nodiscard]] nlohmann::json json(const std::vector<std::string>& args) const;

  [[nodiscard]] std::string dir(int host) const { return folder_.path() + "/h" + std::to_string(host); }
  [[nodiscard]] const std::string& work() const { return work_; }   // everybody may write there, on every host
  [[nodiscard]] std::string key(int host) const { return keys_.at(host); }
  [[nodiscard]] std::string master_endpoint() const;
  [[nodiscard]] std::string log(const std::string& daemon) const;   // content
  [[nodiscard]] std::string toml_path(const std::string& daemon) const;
  [[nodiscard]] pid_t pid(const std::string& daemon) const { return daemons_.at(daemon)->pid(); }

 private:
  [[nodiscard]] static int host_of(const std::string& daemon);
  const NetworkOfHosts& network_;
  Options options_;
  TemporaryFolder folder_;
  std::string work_;
  std::map<int, std::string> keys_;
  std::map<std::string, std::unique_ptr<Child>> daemons_;
};

}  // namespace muster::system_test

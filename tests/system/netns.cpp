#include "tests/system/netns.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>

#include "sched/cli/daemons.hpp"

namespace muster::system_test {
namespace {

constexpr int kMasterPort = 5051;

Outcome call(const std::vector<std::string>& argv) {
  Child child(argv, {});
  return child.wait(Duration::from_seconds(20));
}

void must(const std::vector<std::string>& argv) {
  const Outcome outcome = call(argv);
  std::string words;
  for (const std::string& word : argv) {
    words += word + " ";
  }
  INFO(words << ": " << outcome.err);
  REQUIRE(outcome.exit_code == 0);
}

std::string build(const std::string& program) { return std::string(MUSTER_BINARY_DIR) + "/" + program; }

}  // namespace

std::string NetworkOfHosts::why_not() {
  if (::geteuid() != 0) {
    return "network namespaces need root";
  }
  const std::string trial = "mst" + std::to_string(::getpid()) + "try";
  const Outcome made = call({"ip", "netns", "add", trial});
  if (made.exit_code != 0) {
    return "no network namespace can be made: " + (made.err.empty() ? "is `ip` (iproute2) installed?" : made.err);
  }
  const Outcome bridge = call({"nsenter", "--net=/run/netns/" + trial, "ip", "link", "add", "br0", "type", "bridge"});
  (void)call({"ip", "netns", "del", trial});
  return bridge.exit_code == 0 ? "" : "no bridge can be made: " + bridge.err;
}

NetworkOfHosts::NetworkOfHosts(int hosts) : hosts_(hosts) {
  static std::atomic<int> networks{0};
  prefix_ = "mst" + std::to_string(::getpid()) + static_cast<char>('a' + networks++ % 26);
  must({"ip", "netns", "add", space(0)});
  const auto inside = [&](int host, std::vector<std::string> argv) { must(at(host, argv)); };
  inside(0, {"ip", "link", "add", "br0", "type", "bridge"});
  inside(0, {"ip", "link", "set", "br0", "up"});
  for (int host = 1; host <= hosts; ++host) {
    must({"ip", "netns", "add", space(host)});
    const std::string port = "p" + std::to_string(host);
    inside(host, {"ip", "link", "set", "lo", "up"});
    inside(host, {"ip", "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", space(0)});
    inside(host, {"ip", "addr", "add", address(host) + "/24", "dev", "eth0"});
    inside(host, {"ip", "link", "set", "eth0", "up"});
    inside(0, {"ip", "link", "set", port, "master", "br0", "up"});
  }
}

NetworkOfHosts::~NetworkOfHosts() {
  for (int host = 0; host <= hosts_; ++host) {
    (void)call({"ip", "netns", "del", space(host)});
  }
}

std::string NetworkOfHosts::space(int host) const { return prefix_ + std::to_string(host); }
std::string NetworkOfHosts::address(int host) const { return "10.77.0." + std::to_string(host); }

// Not `ip netns exec`: that hides the control groups.
std::vector<std::string> NetworkOfHosts::at(int host, const std::vector<std::string>& argv) const {
  std::vector<std::string> words{"nsenter", "--net=/run/netns/" + space(host), "--"};
  words.insert(words.end(), argv.begin(), argv.end());
  return words;
}

void NetworkOfHosts::cut(int host) const { must(at(0, {"ip", "link", "set", "p" + std::to_string(host), "down"})); }
void NetworkOfHosts::mend(int host) const { must(at(0, {"ip", "link", "set", "p" + std::to_string(host), "up"})); }

HostedCluster::HostedCluster(const NetworkOfHosts& network) : HostedCluster(network, Options()) {}

HostedCluster::HostedCluster(const NetworkOfHosts& network, Options options)
    : network_(network), options_(std::move(options)), work_(folder_.path() + "/w") {
  std::filesystem::create_directory(work_);
  ::chmod(work_.c_str(), 0777);
}

HostedCluster::~HostedCluster() {
  for (auto& [name, child] : daemons_) {
    child->signal(SIGTERM);
  }
  const auto left = [&] {
    std::vector<cli::ClusterProcess> processes;
    for (int host = 1; host <= network_.hosts(); ++host) {
      const auto more = cli::processes_of_cluster(dir(host));
      processes.insert(processes.end(), more.begin(), more.end());
    }
    return processes;
  };
  for (auto& [name, child] : daemons_) {
    (void)child->wait(Duration::from_seconds(5));
  }
  (void)eventually([&] { return left().empty(); }, Duration::from_seconds(3));
  for (int round = 0; round < 3; ++round) {
    for (const auto& process : left()) {
      for (const auto& child : cli::descendants_of(process.process)) {
        cli::signal_process(child, SIGKILL);
      }
      cli::signal_process(process.process, SIGKILL);
    }
  }
}

int HostedCluster::host_of(const std::string& daemon) {
  return daemon == "master" || daemon == "gang" ? 1 : std::stoi(daemon.substr(1));
}

std::string HostedCluster::toml_path(const std::string& daemon) const {
  return dir(host_of(daemon)) + "/" + (daemon[0] == 'n' ? "node" : daemon) + ".toml";
}

std::string HostedCluster::log(const std::string& daemon) const { return content_of(dir(host_of(daemon)) + "/" + daemon + ".log"); }

std::string HostedCluster::master_endpoint() const {
  return "tcp://" + network_.address(1) + ":" + std::to_string(kMasterPort) + "#" + keys_.at(1);
}

void HostedCluster::make_keys() {
  std::string list = "[keys]\n";
  for (int host = 1; host <= network_.hosts(); ++host) {
    const Outcome made = call(network_.at(host, {LocalCluster::program(), "keygen", "--dir", dir(host)}));
    INFO(made.err);
    REQUIRE(made.exit_code == 0);
    keys_[host] = made.out.substr(0, made.out.find('\n'));
    ::chmod(dir(host).c_str(), 0755);
    list += "'" + keys_[host] + "' = \"node n" + std::to_string(host) + "\"\n";
  }
  write_file(dir(1) + "/keys.toml", list);
}

void HostedCluster::write_files() {
  write_file(toml_path("master"), "dir = '" + dir(1) + "'\nlisten = 'tcp://" + network_.address(1) + ":" +
                                      std::to_string(kMasterPort) + "'\nhttp = 'off'\nsettle = 0\nlog = '" + dir(1) +
                                      "/master.log'\n" + options_.master);
  write_file(toml_path("gang"), "dir = '" + dir(1) + "'\nlog = '" + dir(1) + "/gang.log'\n" + options_.gang);
  for (int host = 1; host <= network_.hosts(); ++host) {
    const std::string name = "n" + std::to_string(host);
    const std::string master = host == 1 ? "address = '" + network_.address(1) + "'\n" : "master = '" + master_endpoint() + "'\n";
    write_file(toml_path(name), "dir = '" + dir(host) + "'\nname = '" + name + "'\ncpus = " + std::to_string(options_.cpus) +
                                    "\nmemory = '" + std::to_string(options_.cpus) + "G'\n" + master + "log = '" + dir(host) + "/" +
                                    name + ".log'\n" + options_.node);
  }
}

void HostedCluster::start_daemon(const std::string& name) {
  const std::string program = name == "master" ? "master/muster-master" : name == "gang" ? "sched/muster-gang" : "node/muster-node";
  daemons_[name] = std::make_unique<Child>(network_.at(host_of(name), {build(program), "--config", toml_path(name)}),
                                           Child::Options{.working_directory = work_});
}

void HostedCluster::stop_daemon(const std::string& name, int signal) {
  daemons_.at(name)->signal(signal);
  (void)daemons_.at(name)->wait(Duration::from_seconds(20));
  daemons_.erase(name);
}

bool HostedCluster::wait_for_nodes(int count) const {
  return eventually([&] {
    const Outcome status = muster({"status", "--json", "--timeout", "2s"});
    const auto seen = nlohmann::json::parse(status.out, nullptr, false);
    return status.exit_code == 0 && seen.is_object() && seen["node_states"].value("UP", 0) >= count &&
           seen["gang"].value("master_connected", false) && seen.value("settled", false);
  });
}

void HostedCluster::start() {
  make_keys();
  write_files();
  start_daemon("master");
  start_daemon("gang");
  for (int host = 1; host <= network_.hosts(); ++host) {
    start_daemon("n" + std::to_string(host));
  }
  std::string logs;
  const bool up = wait_for_nodes(network_.hosts());
  for (const auto& [name, child] : daemons_) {
    logs += name + ": " + (up ? "" : content_of(dir(host_of(name)) + "/" + name + ".log")) + "\n";
  }
  INFO(logs);
  REQUIRE(up);
}

std::vector<std::string> HostedCluster::command_line(const std::vector<std::string>& args) const {
  std::vector<std::string> words = options_.run_as;
  words.push_back(LocalCluster::program());
  words.insert(words.end(), args.begin(), args.end());
  return network_.at(1, words);
}

Outcome HostedCluster::muster(const std::vector<std::string>& args, Duration at_most) const {
  return muster_as(options_.run_as, args, at_most);
}

Outcome HostedCluster::muster_as(const std::vector<std::string>& run_as, const std::vector<std::string>& args, Duration at_most) const {
  std::vector<std::string> words = run_as;
  words.push_back(LocalCluster::program());
  words.insert(words.end(), args.begin(), args.end());
  Child child(network_.at(1, words), {.working_directory = work_, .environment = {"MUSTER_DIR=" + dir(1)}});
  return child.wait(at_most);
}

std::string HostedCluster::expect(int exit_code, const std::vector<std::string>& args) const {
  const Outcome outcome = muster(args);
  std::string words;
  for (const std::string& arg : args) {
    words += " " + arg;
  }
  INFO("muster" << words << "\n" << outcome.out << outcome.err);
  REQUIRE(outcome.exit_code == exit_code);
  return outcome.out + outcome.err;
}

nlohmann::json HostedCluster::json(const std::vector<std::string>& args) const {
  std::vector<std::string> words = args;
  words.emplace_back("--json");
  const Outcome outcome = muster(words);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.exit_code == 0);
  return nlohmann::json::parse(outcome.out);
}

}  // namespace muster::system_test

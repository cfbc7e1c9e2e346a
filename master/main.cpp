// muster-master: wires the election, the gateways, the core and the web page together.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "master/core/master_core.hpp"
#include "master/election/standalone.hpp"
#include "master/gateway/duties.hpp"
#include "master/web/announcement.hpp"
#include "master/web/web_server.hpp"
#include "wire/daemon/config_arguments.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/key_file.hpp"
#include "wire/daemon/log.hpp"
#include "wire/daemon/machine.hpp"
#include "wire/daemon/process_identity.hpp"
#include "wire/daemon/signals.hpp"

namespace {

using namespace muster;
using namespace muster::master;

// Exit codes: 0 left on request, 1 failed, 2 bad command line.
constexpr int kFailed = 1;
constexpr int kUsage = 2;
// Beyond this many cpus the duties get threads of their own.
constexpr unsigned kSharedCpusMax = 4;
constexpr unsigned kPassThreadsMax = 8;

struct Arguments {
  std::string dir;
  std::vector<std::string> listen;
  std::string config;
  std::string key;
  std::string keys;
  bool all_users{};
  std::vector<std::uint32_t> operators;
  std::string http = "5050";
  std::string threads;
  unsigned pass_threads = 0;
  std::string log;
  std::string log_level = "info";
  std::uint64_t epoch_min = 0;
  double lease = 10;
  double hold_lease_max = 600;
  double heartbeat = 1;
  double settle = 2;
  double node_silence = 5;
  double fence = 60;
  double fence_margin = 10;
  double gang_silence = 3;
  double framework_failover = 7.0 * 86400;
};

Duration seconds(double s) { return Duration::from_ns(static_cast<std::int64_t>(s * 1e9)); }

void define(CLI::App& app, Arguments& a) {
  const auto positive = CLI::Range(0.001, 1e9);
  app.add_option("--dir", a.dir, "The cluster's folder: DIR/master.ipc and DIR/master/ are made here")->required();
  app.add_option("--config", a.config, kConfigHelp);
  app.add_option("--listen", a.listen,
                 "More endpoints: ipc:///path, tcp://127.0.0.1:PORT (port 0: a free one), or with keys any tcp://ADDRESS:PORT")
      ->check([](const std::string& text) { return fault_of(parse_endpoint(text)); });
  app.add_option("--key", a.key, "This host's key pair, made by `muster keygen`. Default: DIR/muster.key, if it is there");
  app.add_option("--keys", a.keys,
                 "TOML file with the table [keys]: whose keys may connect, and as what. Default: DIR/keys.toml, if it is there");
  app.add_flag("--all-users", a.all_users, "Every local user may look at nodes, offers and tasks, not only who runs this");
  app.add_option("--operator", a.operators, "Numeric id of a user who may also drain nodes and set shares; may be repeated");
  app.add_option("--http", a.http, "Port of the JSON pages on 127.0.0.1 (busy: another is chosen), or off")
      ->capture_default_str();
  app.add_option("--threads", a.threads,
                 "shared: one thread for all; dedicated: own threads for core and gateways. Default: shared up to 4 cpus")
      ->check(CLI::IsMember({"shared", "dedicated"}));
  app.add_option("--pass-threads", a.pass_threads,
                 "Threads for long passes over all nodes (the pages' picture). Default: 1 with shared threads, else up to 8")
      ->check(CLI::Range(1, 256));
  app.add_option("--log", a.log, "Log file; without it the log goes to stderr");
  app.add_option("--log-level", a.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.add_option("--epoch-min", a.epoch_min, "Lead in this epoch at least; repairs a lost epoch file");
  app.add_option("--lease", a.lease, "How long an offer is good for, seconds")->check(positive)->capture_default_str();
  app.add_option("--hold-lease-max", a.hold_lease_max, "Longest lease of a held offer, seconds")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--heartbeat", a.heartbeat, "Heartbeats of links that are silent otherwise, seconds")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--settle", a.settle, "After a start nothing is offered for so long, seconds")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--node-silence", a.node_silence, "A node silent for so long gets no offers, seconds")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--fence", a.fence, "A node that hears no master for so long ends requeueable tasks, seconds")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--fence-margin", a.fence_margin, "A node is lost after fence and margin of silence, seconds")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--gang-silence", a.gang_silence, "A gang's nodes must answer within, seconds")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--framework-failover", a.framework_failover,
                 "A framework silent for so long loses its tasks, unless it says otherwise, seconds")
      ->check(positive)
      ->capture_default_str();
  app.set_version_flag("--version", "muster-master " + std::string(kVersionText));
}

MasterConfig config_of(const Arguments& a) {
  MasterConfig c;
  c.lease = seconds(a.lease);
  c.hold_lease_max = seconds(a.hold_lease_max);
  c.heartbeat = seconds(a.heartbeat);
  c.settle = seconds(a.settle);
  c.node_silence = seconds(a.node_silence);
  c.fence = seconds(a.fence);
  c.fence_margin = seconds(a.fence_margin);
  c.gang_silence = seconds(a.gang_silence);
  c.framework_failover = seconds(a.framework_failover);
  return c;
}

// Where to listen: the folder's own socket first.
Result<std::vector<Endpoint>> endpoints_of(const Arguments& a) {
  auto own = ipc_endpoint(a.dir + "/master.ipc");
  if (!own) {
    return tl::unexpected(own.error());
  }
  std::vector<Endpoint> out{*std::move(own)};
  for (const std::string& text : a.listen) {
    auto endpoint = parse_endpoint(text);
    if (!endpoint) {
      return tl::unexpected(endpoint.error());
    }
    out.push_back(*std::move(endpoint));
  }
  return out;
}

// Whom the gateways let in, and as what.
Status admit(const Arguments& a, const std::vector<ConfigEntry>& entries, GatewayOptions& gateway, MasterConfig& config) {
  gateway.owner_uid = ::geteuid();
  gateway.all_users = a.all_users;
  gateway.operators = a.operators;
  gateway.on_refused = [](const std::string& text) { log::warn(text); };
  auto own = own_keys(a.key, a.dir);
  if (!own) {
    return tl::unexpected(own.error());
  }
  gateway.keys = *std::move(own);
  auto keys = allowed_keys(entries);
  if (!keys) {
    return tl::unexpected(keys.error());
  }
  const std::string path = a.keys.empty() ? a.dir + "/keys.toml" : a.keys;
  const auto listed = read_config(path);
  if (!listed && (!a.keys.empty() || listed.error().code != Errc::not_found)) {
    return tl::unexpected(listed.error());
  }
  if (listed) {
    const std::string tables[] = {"keys"};
    if (const auto checked = as_arguments(*listed, {}, tables); !checked) {
      return tl::unexpected(checked.error());
    }
    auto more = allowed_keys(*listed);
    if (!more) {
      return tl::unexpected(more.error());
    }
    keys->merge(*more);
  }
  for (auto& [key, allowed] : *keys) {
    config.key_nodes.push_back(std::move(allowed.nodes));
    const std::uint8_t rights = allowed.role == KeyRole::node        ? kMayRegister
                                : allowed.role == KeyRole::framework ? kMaySubscribe | kMayQuery
                                                                     : kMayOperate | kMayQuery;
    gateway.key_rights.emplace(key, KeyRights{rights, static_cast<std::uint16_t>(config.key_nodes.size())});
  }
  return {};
}

// Unset: off.
Result<std::optional<std::uint16_t>> http_port_of(const std::string& text) {
  if (text == "off") {
    return std::nullopt;
  }
  char* end = nullptr;
  const long port = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || port < 0 || port > 65'535) {
    return fail(Errc::invalid_argument, "--http '" + text + "': a port from 0 (any free one) to 65535, or off");
  }
  return static_cast<std::uint16_t>(port);
}

Threads threads_of(const Arguments& a) {
  if (a.threads.empty()) {
    return std::thread::hardware_concurrency() > kSharedCpusMax ? Threads::dedicated : Threads::shared;
  }
  return a.threads == "dedicated" ? Threads::dedicated : Threads::shared;
}

unsigned pass_threads_of(const Arguments& a) {
  if (a.pass_threads != 0) {
    return a.pass_threads;
  }
  return threads_of(a) == Threads::shared ? 1 : std::min(std::thread::hardware_concurrency(), kPassThreadsMax);
}

Status serve(const Arguments& a, const std::vector<ConfigEntry>& entries) {
  const auto endpoints = endpoints_of(a);
  if (!endpoints) {
    return tl::unexpected(endpoints.error());
  }
  const auto http_port = http_port_of(a.http);
  if (!http_port) {
    return tl::unexpected(http_port.error());
  }
  const std::string folder = a.dir + "/master";
  if (auto made = make_directory(a.dir, a.all_users ? 0755 : 0700); !made) {
    return made;
  }
  if (auto made = make_directory(folder); !made) {
    return made;
  }
  // Before any thread starts: all of them inherit the blocked signals.
  const auto signals = SignalFd::open({SIGTERM, SIGINT, SIGHUP});
  if (!signals) {
    return tl::unexpected(signals.error());
  }
  ::signal(SIGPIPE, SIG_IGN);
  const auto descriptors = raise_descriptor_limit();

  auto election = StandaloneElection::open(folder, Epoch(a.epoch_min));
  if (!election) {
    return tl::unexpected(election.error());
  }
  const auto epoch = (*election)->lead();
  if (!epoch) {
    return tl::unexpected(epoch.error());
  }

  Context context({.io_threads = 1, .sockets_max = 64});
  if (auto ok = context.ok(); !ok) {
    return ok;
  }
  MasterConfig config = config_of(a);
  DutiesOptions options;
  options.threads = threads_of(a);
  options.spins_max = options.threads == Threads::dedicated ? 2000 : 0;
  if (auto admitted = admit(a, entries, options.gateway, config); !admitted) {
    return admitted;
  }
  const SystemClock clock;
  auto duties = Duties::open(context, *endpoints, options);
  if (!duties) {
    return tl::unexpected(duties.error());
  }
  std::unique_ptr<WebServer> web;
  if (*http_port) {
    auto started = WebServer::start((*duties)->desk(), {.port = **http_port});
    if (!started) {
      return tl::unexpected(started.error());
    }
    web = *std::move(started);
    if (**http_port != 0 && web->port() != **http_port) {
      log::warn("http port " + a.http + " is busy; using " + std::to_string(web->port()));
    }
  }

  const unsigned pass_threads = pass_threads_of(a);
  if (pass_threads > 1) {
    config.parallel_for = parallel_for_on(pass_threads);
  }
  config.http_port = web ? web->port() : std::uint16_t{0};
  MasterCore core(config, *epoch, clock.now());

  Announcement announcement;
  const ProcessIdentity self = own_identity();
  announcement.pid = self.pid;
  announcement.start_ticks = self.start_ticks;
  announcement.epoch = *epoch;
  announcement.http_port = config.http_port;
  announcement.version = kVersionText;
  announcement.started = clock.now().wall;
  std::string shown;
  for (const Endpoint& endpoint : (*duties)->endpoints()) {
    announcement.endpoints.push_back(endpoint.to_string());
    shown += " " + endpoint.to_string();
  }
  if (a.all_users) {
    if (auto opened = open_to_all(a.dir + "/master.ipc"); !opened) {
      return opened;
    }
  }
  if (!options.gateway.keys.empty()) {
    log::info(std::to_string(options.gateway.key_rights.size()) + " keys may connect over tcp");
  }
  if (auto written = write_durably(folder + "/master.json", to_json(announcement), {.sync = false, .mode = 0644}); !written) {
    return written;
  }
  log::info("leading in epoch " + std::to_string(epoch->value()) + ", listening on" + shown +
            (web ? ", pages on http://127.0.0.1:" + std::to_string(web->port()) : ", no pages") + ", " +
            (options.threads == Threads::shared ? "shared thread" : "dedicated threads") + ", at most " +
            std::to_string(descriptors) + " descriptors");

  const int stop_fds[] = {signals->fd()};
  const auto stopped = (*duties)->run(core, stop_fds);
  web.reset();  // before the desk it reads
  if (!stopped) {
    return tl::unexpected(stopped.error());
  }
  log::info("leaving on signal " + std::to_string(signals->next().value_or(0)));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The muster master: knows nodes and frameworks, makes offers, passes launches on."};
  Arguments arguments;
  define(app, arguments);
  auto configured = configured_arguments<CLI::App, Arguments>(argc, argv, define, {"keys"});
  if (!configured) {
    std::fprintf(stderr, "muster-master: %s\n", configured.error().text.c_str());
    return kUsage;
  }
  try {
    app.parse(configured->arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return app.exit(error);
    }
    std::fprintf(stderr, "muster-master: %s (see --help)\n", error.what());
    return kUsage;
  }
  const auto level = log::parse_level(arguments.log_level);
  if (!level) {
    std::fprintf(stderr, "muster-master: %s\n", level.error().text.c_str());
    return kUsage;
  }
  if (auto opened = log::open({.daemon = "master", .path = arguments.log, .level = *level}); !opened) {
    std::fprintf(stderr, "muster-master: %s\n", opened.error().text.c_str());
    return kFailed;
  }
  arguments.dir = std::filesystem::absolute(arguments.dir).lexically_normal().string();
  const Status served = serve(arguments, configured->entries);
  if (!served) {
    if (!arguments.log.empty()) {
      log::error(served.error().text);
    }
    std::fprintf(stderr, "muster-master: %s\n", served.error().text.c_str());
    return served.error().code == Errc::invalid_argument || served.error().code == Errc::unsupported ? kUsage : kFailed;
  }
  return 0;
}

// muster-node: wires the machine, the disk, the sockets and the core of one node together.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "node/agent.hpp"
#include "wire/daemon/config_arguments.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/log.hpp"
#include "wire/daemon/machine.hpp"
#include "wire/daemon/signals.hpp"

namespace {

using namespace muster;
using namespace muster::node;

// Exit codes: 0 left on request, 1 failed, 2 bad command line.
constexpr int kFailed = 1;
constexpr int kUsage = 2;

constexpr const char* kFooter =
    "Signals:\n"
    "  SIGTERM, SIGINT   end the node: kill its tasks (2 s of grace), stop the launcher, leave\n"
    "  SIGHUP, SIGKILL   the agent alone leaves; tasks go on under the launcher and are taken over at the next start;\n"
    "                    those that may be requeued end when the fence passes before that\n"
    "Files in DIR/nodes/NAME: node.state (epoch, drain), outputs (where output is), lock, job.ipc, and the\n"
    "launcher's run log. Exit codes: 0 left on request, 1 failed, 2 bad command line.";

void define(CLI::App& app, AgentOptions& a) {
  app.footer(kFooter);
  app.add_option("--dir", a.dir, "The cluster's folder; the node's own is DIR/nodes/NAME")->required();
  app.add_option("--name", a.name, "The node's name in the cluster; default: the host's");
  app.add_option("--state-dir", a.state_dir, "The node's own folder, instead of DIR/nodes/NAME");
  const auto endpoint = [](const std::string& text) { return fault_of(parse_endpoint(text)); };
  const auto size = [](const std::string& text) { return fault_of(parse_bytes(text)); };
  app.add_option("--config", a.config, kConfigHelp);
  app.add_option("--master", a.master,
                 "The master's endpoint; on another host tcp://HOST:PORT#KEY, with its public key. Default: ipc://DIR/master.ipc")
      ->check(endpoint);
  app.add_option("--key", a.key, "This host's key pair, made by `muster keygen`. Default: DIR/muster.key, if it is there");
  app.add_option("--address", a.address,
                 "This host's address: users, and the other nodes of a job, connect to it. Default with a master on another host: "
                 "the one it is reached from");
  app.add_option("--job-endpoint", a.job_endpoint,
                 "Where users read logs and executors connect. Default: tcp://ADDRESS:*, or without an address "
                 "ipc://DIR/nodes/NAME/job.ipc")
      ->check(endpoint);
  app.add_option("--cpus", a.cpus, "Cpus to advertise (hardware threads); more than the machine has wrap. Default: all");
  app.add_option("--first-cpu", a.first_cpu, "Where to start in the machine, so that several nodes lie side by side");
  app.add_option("--memory", a.memory, "Memory to advertise, such as 4G (a bare number: megabytes); default: all")->check(size);
  app.add_option("--disk", a.disk, "Disk space to advertise, such as 100G")->check(size);
  app.add_option("--gpus", a.gpus, "Gpus to advertise");
  app.add_option("--ports", a.ports, "Ports to advertise, such as 31000-32000,40000")
      ->check([](const std::string& text) { return fault_of(PortSet::parse(text)); });
  app.add_option("--count", a.counts, "A named count to advertise, NAME=N; may be repeated");
  app.add_option("--attribute", a.attributes, "KEY=VALUE that describes the node; may be repeated");
  app.add_option("--switch", a.switch_name, "Name of the switch the node is on");
  app.add_option("--synthetic", a.synthetic, "Pretend this machine, in hwloc's form: \"node:2 core:16 pu:2\"");
  app.add_option("--reserve-cpus", a.reserve_cpus, "Cpus kept for the system: not advertised");
  app.add_option("--reserve-memory", a.reserve_memory, "Memory kept for the system, such as 512M: not advertised")->check(size);
  app.add_flag("--run-as-submitter", a.run_as_submitter, "Run each task as the user who submitted it (as root only)");
  app.add_flag("--allow-root", a.allow_root, "With --run-as-submitter: root's tasks too");
  app.add_flag("--enforce-memory", a.enforce_memory, "Every task's memory share is a limit, also when the job did not say so");
  app.add_option("--task-processes", a.task_processes,
                 "Processes and threads that one task may have, where a pids control group can limit them (never more than "
                 "half of kernel.pid_max); 0: no limit")
      ->check(CLI::Range(0, 4'000'000))
      ->capture_default_str();
  app.add_option("--fence", a.fence_s,
                 "Requeueable tasks end after so long without a master, seconds; a master's own setting wins")
      ->check(CLI::Range(0.1, 1e9))
      ->capture_default_str();
  app.add_option("--containment", a.containment, "auto: control groups where they can be used; plain: none")
      ->check(CLI::IsMember({"auto", "plain"}))
      ->capture_default_str();
  app.add_option("--launcher", a.launcher, "The launcher program; default: muster-launcher beside this program");
  app.add_option("--stepd", a.stepd, "The program that runs the steps of allocations; default: muster-stepd beside the launcher");
  app.add_option("--log", a.log, "Log file; without it the log goes to stderr");
  app.add_option("--log-level", a.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.set_version_flag("--version", "muster-node " + std::string(kVersionText));
}

Status serve(const AgentOptions& options) {
  auto plan = make_plan(options);
  if (!plan) {
    return tl::unexpected(plan.error());
  }
  const bool for_all = plan->config.switch_user;
  if (for_all && ::geteuid() != 0) {
    return fail(Errc::unsupported, "--run-as-submitter: only root can run tasks as their users; start muster-node as root, or leave it out");
  }
  if (auto made = make_directory(plan->state_dir, for_all ? 0755 : 0700); !made) {
    return made;
  }
  const auto lock = LockFile::acquire(plan->state_dir + "/lock", "node " + plan->config.name);
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  // Before any thread starts: all of them inherit the blocked signals.
  const auto signals = SignalFd::open({SIGTERM, SIGINT, SIGHUP});
  if (!signals) {
    return tl::unexpected(signals.error());
  }
  ::signal(SIGPIPE, SIG_IGN);
  static_cast<void>(raise_descriptor_limit());
  auto disk = AgentDisk::open(plan->state_dir);
  if (!disk) {
    return tl::unexpected(disk.error());
  }
  Context context({.io_threads = 1, .sockets_max = 64});
  if (auto ok = context.ok(); !ok) {
    return ok;
  }
  RouterOptions job_options;
  job_options.socket.keys = plan->keys;
  job_options.on_refused = [](const std::string& text) { log::warn("job socket: " + text); };
  auto users = Router::bind(context, plan->job, job_options);
  if (!users) {
    return tl::unexpected(users.error());
  }
  for (const Endpoint& endpoint : users->endpoints()) {
    if (for_all && endpoint.kind == Endpoint::Kind::ipc) {
      if (auto opened = open_to_all(endpoint.path); !opened) {
        return opened;
      }
    }
  }
  SocketOptions master_options;
  master_options.keys = plan->keys;
  auto master = Dealer::connect(context, plan->master, master_options);
  if (!master) {
    return tl::unexpected(master.error());
  }
  plan->config.endpoint = users->endpoints().front().to_string();
  log::info("node " + plan->config.name + " offers " + to_string(plan->config.capacity) + " (" +
            plan->config.topology.to_string() + ") to " + plan->master.address() + "; job socket " +
            plan->config.endpoint);
  if (!plan->wrapping_text.empty()) {
    log::info(plan->wrapping_text);
  }
  Agent agent(*std::move(plan), *std::move(disk), *signals, *std::move(master), *std::move(users));
  return agent.run();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The muster node agent: offers a machine to the master and runs tasks on it."};
  AgentOptions options;
  define(app, options);
  auto configured = configured_arguments<CLI::App, AgentOptions>(argc, argv, define);
  if (!configured) {
    std::fprintf(stderr, "muster-node: %s\n", configured.error().text.c_str());
    return kUsage;
  }
  try {
    app.parse(configured->arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return app.exit(error);
    }
    std::fprintf(stderr, "muster-node: %s (see --help)\n", error.what());
    return kUsage;
  }
  const auto level = log::parse_level(options.log_level);
  if (!level) {
    std::fprintf(stderr, "muster-node: %s\n", level.error().text.c_str());
    return kUsage;
  }
  if (auto opened = log::open({.daemon = options.name.empty() ? "node" : options.name, .path = options.log, .level = *level}); !opened) {
    std::fprintf(stderr, "muster-node: %s\n", opened.error().text.c_str());
    return kFailed;
  }
  const Status served = serve(options);
  if (!served) {
    if (!options.log.empty()) {
      log::error(served.error().text);
    }
    std::fprintf(stderr, "muster-node: %s\n", served.error().text.c_str());
    const bool usage = served.error().code == Errc::invalid_argument || served.error().code == Errc::unsupported ||
                       served.error().code == Errc::out_of_range;
    return usage ? kUsage : kFailed;
  }
  return 0;
}

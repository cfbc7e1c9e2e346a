// muster-gang: the batch framework. Wires the command line to the shell.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "sched/gang/gang_shell.hpp"
#include "sched/gang/policies/policy.hpp"
#include "wire/base/units.hpp"
#include "wire/daemon/config_arguments.hpp"
#include "wire/daemon/key_file.hpp"
#include "wire/daemon/log.hpp"
#include "wire/daemon/machine.hpp"

namespace {

using namespace muster;
using namespace muster::gang;

// Exit codes: 0 left on request, 1 failed, 2 bad command line.
constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct Arguments {
  std::string dir;
  std::string config;
  std::string key;
  std::string master;
  std::vector<std::string> listen;
  std::string policy = "fifo";
  std::string name = "gang";
  std::string role = "default";
  std::string default_time = "UNLIMITED";
  std::uint32_t array_max = 10'000'000;
  std::uint32_t running_max = 100'000;
  std::uint32_t done_kept = 10'000;
  bool all_users{};
  bool allow_root{};
  std::vector<std::uint32_t> operators;
  std::string log;
  std::string log_level = "info";
};

void define(CLI::App& app, Arguments& a) {
  app.add_option("--dir", a.dir, "The cluster's folder: DIR/gang.ipc and DIR/gang/ are made here")->required();
  app.add_option("--config", a.config, kConfigHelp);
  app.add_option("--master", a.master,
                 "The master's endpoint; on another host tcp://HOST:PORT#KEY, with its public key. Default: ipc://DIR/master.ipc")
      ->check([](const std::string& text) { return fault_of(parse_endpoint(text)); });
  app.add_option("--key", a.key, "This host's key pair, made by `muster keygen`. Default: DIR/muster.key, if it is there");
  app.add_option("--listen", a.listen, "More endpoints for users: ipc:///path")
      ->check([](const std::string& text) { return fault_of(parse_endpoint(text)); });
  app.add_option("--policy", a.policy, "In which order jobs are tried: fifo")->capture_default_str();
  app.add_option("--name", a.name, "This framework's name at the master")->capture_default_str();
  app.add_option("--role", a.role, "The role its share is counted to")->capture_default_str();
  app.add_option("--default-time", a.default_time, "Time limit of jobs that give none, as in 'submit --time'")
      ->check([](const std::string& text) { return fault_of(parse_time_limit(text)); })
      ->capture_default_str();
  app.add_option("--array-max", a.array_max, "Most elements of an array")->capture_default_str();
  app.add_option("--running-max", a.running_max, "Most attempts that live at once")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--done-kept", a.done_kept, "Ended jobs that 'queue' and 'job' still show")->capture_default_str();
  app.add_flag("--all-users", a.all_users, "Take jobs of every local user, not only of the one who runs this");
  app.add_flag("--allow-root", a.allow_root, "With --all-users: take root's jobs too");
  app.add_option("--operator", a.operators, "Numeric user id that may touch every job");
  app.add_option("--log", a.log, "Log file; without it the log goes to stderr");
  app.add_option("--log-level", a.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.set_version_flag("--version", "muster-gang " + std::string(kVersionText));
}

Result<GangPlan> plan_of(const Arguments& a) {
  GangPlan plan;
  plan.dir = a.dir;
  auto master = a.master.empty() ? ipc_endpoint(a.dir + "/master.ipc") : parse_endpoint(a.master);
  if (!master) {
    return tl::unexpected(master.error());
  }
  plan.master = *std::move(master);
  auto keys = own_keys(a.key, a.dir);
  if (!keys) {
    return tl::unexpected(keys.error());
  }
  plan.keys = *std::move(keys);
  if (!plan.master.is_local() && plan.keys.empty()) {
    return fail(Errc::unsupported, "--master " + plan.master.address() + ": a master on another host wants to know who this is; make a "
                                       "key pair with `muster keygen --dir " + a.dir + "` and put its public key into the master's list");
  }
  auto own = ipc_endpoint(a.dir + "/gang.ipc");
  if (!own) {
    return tl::unexpected(own.error());
  }
  plan.listen.push_back(*std::move(own));
  for (const std::string& text : a.listen) {
    auto endpoint = parse_endpoint(text);
    if (!endpoint) {
      return tl::unexpected(endpoint.error());
    }
    if (endpoint->kind != Endpoint::Kind::ipc) {
      return fail(Errc::unsupported, "--listen " + text + ": nobody vouches for who connects over tcp; use an ipc:// path");
    }
    plan.listen.push_back(*std::move(endpoint));
  }
  if (const auto policy = make_policy(a.policy); !policy) {
    return fail(Errc::invalid_argument, "--policy: " + policy.error().text);
  }
  const auto limit = parse_time_limit(a.default_time);
  if (!limit) {
    return fail(Errc::invalid_argument, "--default-time: " + limit.error().text);
  }
  plan.config.name = a.name;
  plan.config.role = a.role;
  plan.config.policy = a.policy;
  plan.config.default_time_limit = *limit;
  plan.config.array_elements_max = a.array_max;
  plan.config.running_max = a.running_max;
  plan.config.done_jobs_kept = a.done_kept;
  plan.config.owner_uid = ::geteuid();
  plan.config.owner_only = !a.all_users;
  plan.config.allow_root = a.allow_root;
  plan.config.operators = a.operators;
  return plan;
}

Status serve(const Arguments& a) {
  auto plan = plan_of(a);
  if (!plan) {
    return tl::unexpected(plan.error());
  }
  // Before any thread starts: all of them inherit the blocked signals.
  const auto signals = SignalFd::open({SIGTERM, SIGINT, SIGHUP});
  if (!signals) {
    return tl::unexpected(signals.error());
  }
  ::signal(SIGPIPE, SIG_IGN);
  (void)raise_descriptor_limit();
  Context context;
  if (auto ok = context.ok(); !ok) {
    return ok;
  }
  auto shell = GangShell::open(context, *std::move(plan));
  if (!shell) {
    return tl::unexpected(shell.error());
  }
  return (*shell)->run(*signals);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"The muster batch framework: queues jobs, fills offers with them, remembers how they ended."};
  Arguments arguments;
  define(app, arguments);
  auto configured = configured_arguments<CLI::App, Arguments>(argc, argv, define);
  if (!configured) {
    std::fprintf(stderr, "muster-gang: %s\n", configured.error().text.c_str());
    return kUsage;
  }
  try {
    app.parse(configured->arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return app.exit(error);
    }
    std::fprintf(stderr, "muster-gang: %s (see --help)\n", error.what());
    return kUsage;
  }
  const auto level = log::parse_level(arguments.log_level);
  if (!level) {
    std::fprintf(stderr, "muster-gang: %s\n", level.error().text.c_str());
    return kUsage;
  }
  if (auto opened = log::open({.daemon = "gang", .path = arguments.log, .level = *level}); !opened) {
    std::fprintf(stderr, "muster-gang: %s\n", opened.error().text.c_str());
    return kFailed;
  }
  arguments.dir = std::filesystem::absolute(arguments.dir).lexically_normal().string();
  const Status served = serve(arguments);
  if (!served) {
    if (!arguments.log.empty()) {
      log::error(served.error().text);
    }
    log::flush();
    std::fprintf(stderr, "muster-gang: %s\n", served.error().text.c_str());
    return served.error().code == Errc::invalid_argument || served.error().code == Errc::unsupported ? kUsage : kFailed;
  }
  return 0;
}

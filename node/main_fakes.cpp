// muster-fakes: thousands of simulated nodes in one process, for trying a scheduler at scale. Wires the command line to the shell.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "node/fakes_shell.hpp"
#include "wire/base/units.hpp"
#include "wire/daemon/log.hpp"
#include "wire/daemon/machine.hpp"

namespace {

using namespace muster;
using namespace muster::node;

// Exit codes: 0 left on request, 1 failed, 2 bad command line.
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr std::uint64_t kCpusPerLink = 32'768;  // a registration names every task of its link, and a frame has an end

struct Arguments {
  std::string dir;
  std::string master;
  std::uint32_t nodes = 1000;
  std::uint32_t cpus = 64;
  std::string memory = "256G";
  std::uint64_t duration_ms = 100;
  std::uint32_t links = 0;
  std::string log;
  std::string log_level = "info";
};

void define(CLI::App& app, Arguments& a) {
  app.footer("The nodes are called f1, f2, … and execute nothing: every task runs for the given time and ends with exit code 0.\n"
             "SIGTERM, SIGINT and SIGHUP end them all. Exit codes: 0 left on request, 1 failed, 2 bad command line.");
  app.add_option("--dir", a.dir, "The cluster's folder; DIR/fakes is made here")->required();
  app.add_option("--nodes", a.nodes, "How many")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app.add_option("--cpus", a.cpus, "Cpus of each")->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--memory", a.memory, "Memory of each, such as 4G (a bare number: megabytes)")->capture_default_str();
  app.add_option("--duration-ms", a.duration_ms, "How long every task runs, milliseconds")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{366} * 86'400'000))
      ->capture_default_str();
  app.add_option("--links", a.links, "Connections to the master that they share; 0: 64, and more for more than 2 million cpus")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--master", a.master, "ipc:///path or tcp://127.0.0.1:PORT; default: ipc://DIR/master.ipc");
  app.add_option("--log", a.log, "Log file; without it the log goes to stderr");
  app.add_option("--log-level", a.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  app.set_version_flag("--version", "muster-fakes " + std::string(kVersionText));
}

Result<FakesPlan> plan_of(const Arguments& a) {
  FakesPlan plan;
  const std::string dir = std::filesystem::absolute(a.dir).lexically_normal().string();
  plan.folder = dir + "/fakes";
  auto master = parse_endpoint(a.master.empty() ? "ipc://" + dir + "/master.ipc" : a.master);
  if (!master) {
    return fail(master.error().code, "--master: " + master.error().text);
  }
  if (!master->is_local()) {
    return fail(Errc::unsupported, "--master " + a.master + ": simulated nodes stay with a master on their own machine");
  }
  plan.master = *std::move(master);
  const auto memory = parse_bytes(a.memory);
  if (!memory) {
    return fail(memory.error().code, "--memory: " + memory.error().text);
  }
  plan.config.nodes = a.nodes;
  plan.config.cpus = a.cpus;
  plan.config.memory_bytes = *memory;
  plan.config.duration = Duration::from_ms(static_cast<std::int64_t>(a.duration_ms));
  const std::uint64_t links = a.links != 0 ? a.links : std::max<std::uint64_t>(64, std::uint64_t{a.nodes} * a.cpus / kCpusPerLink);
  plan.config.links = static_cast<std::uint32_t>(std::min<std::uint64_t>({links, a.nodes, 4096}));
  auto boot = boot_id();
  if (!boot) {
    return tl::unexpected(boot.error());
  }
  plan.config.boot_id = *boot + "-" + std::to_string(random_u64());  // nothing of them survives this process
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
  static_cast<void>(raise_descriptor_limit());
  Context context({.io_threads = 1, .sockets_max = 64 + 4 * static_cast<int>(plan->config.links)});
  if (auto ok = context.ok(); !ok) {
    return ok;
  }
  auto shell = FakesShell::open(context, *plan);
  if (!shell) {
    return tl::unexpected(shell.error());
  }
  log::info(std::to_string(a.nodes) + " simulated nodes of " + std::to_string(a.cpus) + " cpus on " +
            std::to_string(plan->config.links) + " links to " + plan->master.to_string());
  return (*shell)->run(*signals);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Simulated muster nodes: the real protocol, mocked execution."};
  Arguments arguments;
  define(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      return app.exit(error);
    }
    std::fprintf(stderr, "muster-fakes: %s (see --help)\n", error.what());
    return kUsage;
  }
  const auto level = log::parse_level(arguments.log_level);
  if (!level) {
    std::fprintf(stderr, "muster-fakes: %s\n", level.error().text.c_str());
    return kUsage;
  }
  if (auto opened = log::open({.daemon = "fakes", .path = arguments.log, .level = *level}); !opened) {
    std::fprintf(stderr, "muster-fakes: %s\n", opened.error().text.c_str());
    return kFailed;
  }
  const Status served = serve(arguments);
  if (!served) {
    if (!arguments.log.empty()) {
      log::error(served.error().text);
    }
    std::fprintf(stderr, "muster-fakes: %s\n", served.error().text.c_str());
    const bool usage = served.error().code == Errc::invalid_argument || served.error().code == Errc::unsupported ||
                       served.error().code == Errc::out_of_range;
    return usage ? kUsage : kFailed;
  }
  return 0;
}

#include "node/agent_options.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "node/core/cpu_binding.hpp"
#include "node/core/stepd_plan.hpp"
#include "node/exec/system_files.hpp"
#include "node/topology/hwloc_topology.hpp"
#include "node/topology/node_cpus.hpp"
#include "wire/daemon/key_file.hpp"
#include "wire/daemon/machine.hpp"
#include "wire/model/cpu_list.hpp"
#include "wire/model/topology_text.hpp"

namespace muster::node {
namespace {

tl::unexpected<Error> named(const std::string& option, const Error& error) {
  return fail(error.code, option + ": " + error.text);
}

Result<Endpoint> endpoint_of(const std::string& option, const std::string& text) {
  auto endpoint = parse_endpoint(text);
  if (!endpoint) {
    return named(option, endpoint.error());
  }
  return endpoint;
}

// The master, the job socket and the keys: how this host is connected to others.
Status connect_to_others(const AgentOptions& options, const std::string& dir, AgentPlan& plan) {
  auto master = endpoint_of("--master", options.master.empty() ? "ipc://" + dir + "/master.ipc" : options.master);
  if (!master) {
    return tl::unexpected(master.error());
  }
  plan.master = *std::move(master);
  auto keys = own_keys(options.key, dir);
  if (!keys) {
    return tl::unexpected(keys.error());
  }
  plan.keys = *std::move(keys);
  if (!plan.master.is_local() && plan.keys.empty()) {
    return fail(Errc::unsupported, "--master " + plan.master.address() + ": a master on another host wants to know who this is; make a "
                                       "key pair with `muster keygen --dir " + dir + "` and put its public key into the master's list");
  }
  std::string address = options.address;
  if (address.empty() && options.job_endpoint.empty() && !plan.master.is_local()) {
    auto own = address_towards(plan.master.host, plan.master.port);
    if (!own) {
      return fail(own.error().code, own.error().text + "; give this host's own address with --address");
    }
    address = *std::move(own);
  }
  auto local = ipc_endpoint(plan.state_dir + "/job.ipc");
  if (!local) {
    return tl::unexpected(local.error());
  }
  if (options.job_endpoint.empty() && address.empty()) {
    plan.job = {*std::move(local)};
    return {};
  }
  const bool six = address.find(':') != std::string::npos;
  auto job = endpoint_of(options.job_endpoint.empty() ? "--address" : "--job-endpoint",
                         options.job_endpoint.empty() ? "tcp://" + (six ? "[" + address + "]" : address) + ":*" : options.job_endpoint);
  if (!job) {
    return tl::unexpected(job.error());
  }
  if (job->host == "*" || job->host == "0.0.0.0" || job->host == "::") {
    return fail(Errc::invalid_argument, job->address() + ": others can't connect to \"any address\"; name the address that they "
                                                         "reach this host at");
  }
  plan.job = {*job};
  if (job->kind == Endpoint::Kind::tcp) {
    plan.job.push_back(*std::move(local));
    if (!job->is_local()) {
      Endpoint any_port = *job;
      any_port.port = 0;
      any_port.key.clear();
      plan.config.step_listen = any_port.address();
    }
  }
  return {};
}

Result<std::uint32_t> whole_cpus(const std::string& text) {
  if (text.empty()) {
    return 0;
  }
  auto cpus = parse_cpus(text);
  if (!cpus) {
    return named("--cpus", cpus.error());
  }
  if (*cpus == 0 || *cpus % 1000 != 0) {
    return fail(Errc::invalid_argument, "--cpus " + text + ": a node has whole cpus; give 1 or more");
  }
  return *cpus / 1000;
}

Result<NodeCpus> cpus_of(const AgentOptions& options, std::uint32_t advertised, const Topology& machine) {
  const NodeCpusOptions wanted{
      .advertised_cpus = advertised, .reserved_cpus = options.reserve_cpus, .first_cpu = options.first_cpu};
  if (options.synthetic.empty()) {
    return NodeCpus::of_machine(machine, wanted);
  }
  auto pretended = HwlocTopology::synthetic(options.synthetic);
  if (!pretended) {
    return named("--synthetic", pretended.error());
  }
  return NodeCpus::of_synthetic(pretended->topology(), machine, wanted);
}

Result<Bytes> memory_of(const AgentOptions& options, Bytes machine) {
  Bytes memory = machine;
  if (!options.memory.empty()) {
    auto given = parse_bytes(options.memory);
    if (!given) {
      return named("--memory", given.error());
    }
    memory = *given;
  }
  if (!options.reserve_memory.empty()) {
    auto reserve = parse_bytes(options.reserve_memory);
    if (!reserve) {
      return named("--reserve-memory", reserve.error());
    }
    if (*reserve >= memory) {
      return fail(Errc::invalid_argument, "--reserve-memory " + options.reserve_memory + " leaves nothing of " +
                                              format_bytes_short(memory) + " for tasks; reserve less");
    }
    memory -= *reserve;
  }
  return memory;
}

Result<Resources> capacity_of(const AgentOptions& options, const NodeCpus& cpus, Bytes machine_memory) {
  Resources capacity;
  capacity.cpus_milli = cpus.size() * 1000;
  auto memory = memory_of(options, machine_memory);
  if (!memory) {
    return tl::unexpected(memory.error());
  }
  capacity.memory_bytes = *memory;
  if (!options.disk.empty()) {
    auto disk = parse_bytes(options.disk);
    if (!disk) {
      return named("--disk", disk.error());
    }
    capacity.disk_bytes = *disk;
  }
  capacity.gpus = options.gpus;
  auto ports = PortSet::parse(options.ports);
  if (!ports) {
    return named("--ports", ports.error());
  }
  capacity.ports = *std::move(ports);
  for (const std::string& count : options.counts) {
    const auto equals = count.find('=');
    const std::string name = count.substr(0, equals);
    std::uint64_t value = 0;
    const char* const end = count.data() + count.size();
    if (equals == std::string::npos || !is_count_name(name) ||
        std::from_chars(count.data() + equals + 1, end, value).ptr != end || equals + 1 == count.size()) {
      return fail(Errc::invalid_argument, "--count " + count + ": give NAME=N, such as licence.matlab=3");
    }
    capacity.set_count(name, value);
  }
  return capacity;
}

Result<std::string> launcher_of(const AgentOptions& options) {
  std::string path = options.launcher;
  if (path.empty()) {
    std::error_code error;
    const auto own = std::filesystem::read_symlink("/proc/self/exe", error);
    path = (own.parent_path() / "muster-launcher").string();
  }
  path = std::filesystem::absolute(path).string();
  if (::access(path.c_str(), X_OK) != 0) {
    return fail(Errc::not_found, "launcher program " + path + " can't be executed; give its path with --launcher");
  }
  return path;
}

// Made by the launcher when the first task needs it.
std::string jobs_directory_of(const AgentPlan& plan) {
  const std::string path = plan.config.switch_user ? "/run/muster/jobs" : plan.state_dir + "/jobs";
  return path.size() <= kJobsDirectoryMax ? path : "/tmp/muster-" + std::to_string(::geteuid());
}

// Half of what the kernel can number stays for everybody else.
std::uint32_t processes_max_of(std::uint32_t wanted) {
  const auto text = read_file("/proc/sys/kernel/pid_max");
  const std::uint64_t half = text ? first_number(*text) / 2 : 0;
  return half == 0 ? wanted : static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, half));
}

Status check_name(const std::string& name) {
  const bool good = !name.empty() && name.size() <= 64 && name.front() != '.' && name.front() != '-' &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
                    });
  if (!good) {
    return fail(Errc::invalid_argument, "--name '" + name + "': use up to 64 letters, digits, '.', '_' and '-'");
  }
  return {};
}

}  // namespace

Result<AgentPlan> make_plan(const AgentOptions& options) {
  AgentPlan plan;
  NodeConfig& config = plan.config;
  config.name = options.name.empty() ? host_name() : options.name;
  if (auto good = check_name(config.name); !good) {
    return tl::unexpected(good.error());
  }
  config.switch_user = options.run_as_submitter;
  config.owner_uid = ::geteuid();
  config.allow_root = options.allow_root;
  const std::string dir = std::filesystem::absolute(options.dir).lexically_normal().string();
  plan.state_dir = options.state_dir.empty() ? dir + "/nodes/" + config.name
                                             : std::filesystem::absolute(options.state_dir).lexically_normal().string();
  if (auto connected = connect_to_others(options, dir, plan); !connected) {
    return tl::unexpected(connected.error());
  }
  auto launcher = launcher_of(options);
  if (!launcher) {
    return tl::unexpected(launcher.error());
  }
  plan.launcher = *std::move(launcher);
  plan.plain = options.containment == "plain";
  config.stepd_path = options.stepd.empty()
                          ? (std::filesystem::path(plan.launcher).parent_path() / "muster-stepd").string()
                          : std::filesystem::absolute(options.stepd).string();
  config.jobs_directory = jobs_directory_of(plan);

  const auto advertised = whole_cpus(options.cpus);
  if (!advertised) {
    return tl::unexpected(advertised.error());
  }
  const auto machine = HwlocTopology::discover();
  if (!machine) {
    return named("this machine's topology", machine.error());
  }
  const auto cpus = cpus_of(options, *advertised, machine->topology());
  if (!cpus) {
    return tl::unexpected(cpus.error());
  }
  config.topology = cpus->topology();
  config.machine_cpus = cpus->machine_cpus();
  if (cpus->wrapped()) {
    std::vector<std::uint32_t> all;
    for (const Pu& pu : config.topology.pus) {
      all.push_back(pu.os_index);
    }
    plan.wrapping_text = "cpus " + format_cpu_list(all) + " of this node are wrapped onto the machine's cpus " +
                         format_cpu_list(CpuBinding(config.topology, config.machine_cpus).os_cpus(all));
  }
  auto capacity = capacity_of(options, *cpus, machine->memory_bytes());
  if (!capacity) {
    return tl::unexpected(capacity.error());
  }
  config.capacity = *std::move(capacity);
  auto boot = boot_id();
  if (!boot) {
    return tl::unexpected(boot.error());
  }
  config.boot_id = *std::move(boot);
  config.attributes = options.attributes;
  if (const std::string map = describe_topology(config.topology); !map.empty()) {
    config.attributes.push_back("topology=" + map);  // what tools draw it from
  }
  config.switch_name = options.switch_name;
  config.enforce_memory = options.enforce_memory;
  config.processes_max = processes_max_of(options.task_processes);
  config.fence = Duration::from_ns(static_cast<std::int64_t>(options.fence_s * 1e9));
  return plan;
}

}  // namespace muster::node

// The agent's options and what they make of the machine: a NodeConfig. No thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "node/core/node_core.hpp"
#include "wire/base/result.hpp"
#include "wire/socket/curve.hpp"
#include "wire/socket/endpoint.hpp"

namespace muster::node {

struct AgentOptions {
  std::string dir;                        // of the cluster
  std::string name;                       // "" = the host's
  std::string state_dir;                  // "" = dir/nodes/name
  std::string master;                     // "" = ipc://dir/master.ipc
  std::string job_endpoint;               // "" = tcp://address:*, or without an address ipc://state_dir/job.ipc
  std::string address;                    // of this host, for others; "" = the one it reaches a master elsewhere from
  std::string config;
  std::string key;                        // "" = dir/muster.key, if it is there
  bool run_as_submitter{};
  bool allow_root{};
  std::string cpus;                       // advertised; "" = the machine's
  std::uint32_t first_cpu{};
  std::string memory;                     // advertised; "" = the machine's
  std::string disk;
  std::uint32_t gpus{};
  std::string ports;
  std::vector<std::string> counts;        // NAME=N
  std::vector<std::string> attributes;
  std::string switch_name;
  std::string synthetic;
  std::uint32_t reserve_cpus{};
  std::string reserve_memory;
  std::string containment = "auto";
  std::string launcher;                   // "" = muster-launcher beside this program
  std::string stepd;                      // "" = muster-stepd beside the launcher
  bool enforce_memory{};
  std::uint32_t task_processes{32'768};   // and threads, of one task; 0 = no limit
  double fence_s = 60;
  std::string log;
  std::string log_level = "info";
};

// All that the agent needs, checked. Errors name the option, its value and the way out.
struct AgentPlan {
  NodeConfig config;
  std::string state_dir;
  Endpoint master;
  std::vector<Endpoint> job;              // first the one to tell others
  KeyPair keys;
  std::string launcher;
  bool plain{};
  std::string wrapping_text;              // for the log; "" when cpus are the machine's own
};

[[nodiscard]] Result<AgentPlan> make_plan(const AgentOptions& options);

}  // namespace muster::node

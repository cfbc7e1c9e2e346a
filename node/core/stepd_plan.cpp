#include "node/core/stepd_plan.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "node/core/file_pattern.hpp"

namespace muster::node {
namespace {

// What a daemon of the user's needs; the rest of the user's variables is for the ranks, in the spec.
constexpr std::array<std::string_view, 7> kOwnVariables = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ"};

std::vector<std::string> own_environment(const fb::TaskSpec& spec) {
  std::vector<std::string> lines;
  if (spec.environment() != nullptr) {
    for (const auto* line : *spec.environment()) {
      const std::string_view name = name_of_variable(text_of(line));
      if (std::find(kOwnVariables.begin(), kOwnVariables.end(), name) != kOwnVariables.end()) {
        lines.emplace_back(text_of(line));
      }
    }
  }
  if (std::none_of(lines.begin(), lines.end(), [](const std::string& line) { return name_of_variable(line) == "PATH"; })) {
    lines.emplace_back("PATH=/usr/local/bin:/usr/bin:/bin");
  }
  return lines;
}

// 13 letters and digits that no other attempt on this machine has.
std::string directory_name(const SpawnNode& node, const SpawnLaunch& launch) {
  const AttemptId attempt = from_fb(launch.entry.attempt());
  std::uint64_t bits = mix64(launch.framework.value() ^ mix64(attempt.hi ^ mix64(attempt.lo)));
  for (const char c : node.name) {
    bits = mix64(bits ^ static_cast<std::uint8_t>(c));  // several nodes may share a machine
  }
  std::string name;
  for (int i = 0; i < 13; ++i, bits >>= 5U) {
    name += "abcdefghijklmnopqrstuvwxyz234567"[bits & 31U];
  }
  return name;
}

std::uint32_t dense(std::map<std::uint32_t, std::uint32_t>& numbers, std::uint32_t group) {
  return numbers.try_emplace(group, static_cast<std::uint32_t>(numbers.size())).first->second;
}

std::string encode_plan(const SpawnNode& node, const SpawnLaunch& launch, const std::string& directory) {
  flatbuffers::FlatBufferBuilder builder(launch.spec_bytes.size() + 4096);
  builder.ForceVectorAlignment(launch.spec_bytes.size(), 1, 8);
  const auto spec = builder.CreateVector(launch.spec_bytes.data(), launch.spec_bytes.size());
  std::vector<std::uint32_t> os_cpus;
  for (const std::uint32_t cpu : launch.grant.cpus) {
    const auto os = node.binding.os_cpus(std::span(&cpu, 1));
    os_cpus.insert(os_cpus.end(), os.begin(), os.end());
  }
  if (os_cpus.size() != launch.grant.cpus.size()) {
    os_cpus.clear();
  }
  const Topology part = topology_of(node.topology, launch.grant.cpus);
  std::vector<fb::PuPlace> pus;
  for (const Pu& pu : part.pus) {
    pus.emplace_back(pu.os_index, pu.core, pu.l3, pu.numa, pu.package);
  }
  const auto topology = fb::CreateTopology(builder, part.hash(), builder.CreateVectorOfStructs(pus));
  const auto node_name = builder.CreateString(node.name);
  const auto agent = builder.CreateString(node.endpoint);
  const auto listen = builder.CreateString(node.step_listen);
  const auto place = builder.CreateString(directory);
  const auto cpus = builder.CreateVector(launch.grant.cpus);
  const auto os = builder.CreateVector(os_cpus);
  const auto environment = builder.CreateVectorOfStrings(task_environment(node, launch));
  fb::StepdPlanBuilder plan(builder);
  plan.add_spec(spec);
  plan.add_framework(launch.framework.value());
  const fb::AttemptId attempt = launch.entry.attempt();
  plan.add_attempt(&attempt);
  plan.add_index(launch.entry.index());
  plan.add_member(launch.entry.member());
  plan.add_first_rank(launch.entry.first_rank());
  plan.add_ranks(launch.entry.ranks());
  plan.add_node(node_name);
  plan.add_agent_endpoint(agent);
  plan.add_listen(listen);
  plan.add_directory(place);
  plan.add_cpus(cpus);
  plan.add_os_cpus(os);
  plan.add_topology(topology);
  plan.add_memory_bytes(launch.shape.memory_bytes);
  plan.add_environment(environment);
  builder.Finish(plan.Finish());
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

}  // namespace

Topology topology_of(const Topology& whole, std::span<const std::uint32_t> cpus) {
  Topology part;
  std::array<std::map<std::uint32_t, std::uint32_t>, 4> numbers;
  for (const Pu& pu : whole.pus) {
    if (std::binary_search(cpus.begin(), cpus.end(), pu.os_index)) {
      part.pus.push_back({pu.os_index, dense(numbers[0], pu.core), dense(numbers[1], pu.l3), dense(numbers[2], pu.numa),
                          dense(numbers[3], pu.package)});
    }
  }
  return part;
}

TaskStart plan_stepd(const SpawnNode& node, const SpawnLaunch& launch) {
  const fb::TaskSpec& spec = launch.spec;
  TaskStart start = plan_task(node, launch);
  start.argv = {std::string(node.stepd_path)};
  start.environment = own_environment(spec);
  start.has_report = true;
  start.directory = std::string(node.jobs_directory) + "/" + directory_name(node, launch);
  start.input = encode_plan(node, launch, start.directory);
  RankStart rank;
  rank.rank = launch.entry.first_rank();
  rank.cpus = start.cpus;
  if (spec.kind() == fb::TaskKind::Batch && launch.entry.member() == 0) {
    // What it has to say about itself goes where the user looks.
    PatternValues values = pattern_values(node.name, spec, launch.entry);
    values.rank = rank.rank;
    const std::string_view own = text_of(spec.stderr_path()).empty() ? text_of(spec.stdout_path()) : text_of(spec.stderr_path());
    rank.stderr_path = absolute_path(
        expand_pattern(own.empty() ? default_output_pattern(spec.is_array()) : own, values), start.working_directory);
  }
  start.ranks.push_back(std::move(rank));
  return start;
}

}  // namespace muster::node

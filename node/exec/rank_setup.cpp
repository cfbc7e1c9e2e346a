#include "node/exec/rank_setup.hpp"

#include <unistd.h>

#include <algorithm>
#include <climits>

#include "node/exec/command_places.hpp"
#include "node/exec/run_log.hpp"

namespace muster::node {

std::unique_ptr<RankSetup> prepare_rank(const SpawnSettings& settings, RankSpawn spawn) {
  auto setup = std::make_unique<RankSetup>();
  const TaskStart& task = spawn.task;
  const RankStart& rank = task.ranks[spawn.rank_index];
  setup->settings = &settings;
  setup->task = &task;
  setup->gate_fd = spawn.gate_fd;
  setup->log_fd = spawn.log_fd;
  setup->input = std::move(spawn.input);
  setup->report_fd = spawn.report_fd;
  setup->clone_fd = spawn.group.clone_fd();
  std::copy_n(spawn.group.join_fds().begin(), std::min(spawn.group.join_fds().size(), setup->join_fds.size()),
              setup->join_fds.begin());
  for (const std::uint32_t cpu : rank.cpus) {
    constexpr std::size_t kBits = sizeof(unsigned long) * CHAR_BIT;
    setup->cpu_mask.resize(std::max(setup->cpu_mask.size(), cpu / kBits + 1));
    setup->cpu_mask[cpu / kBits] |= 1UL << (cpu % kBits);
  }
  setup->switch_user = task.switch_user && (::geteuid() == 0 || task.uid != ::geteuid());
  setup->supplementary_groups = spawn.supplementary_groups;
  setup->environment = ProcessEnvironment(task.shared_environment, task.environment, rank.environment,
                                          attempt_marker(settings.launcher_id, task));
  for (const std::string& argument : task.argv) {
    setup->arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  setup->arguments.push_back(nullptr);
  setup->commands = command_places(task.argv.front(), setup->environment.search_path());
  if (spawn.gate_fd < 0) {
    setup->started_record = run_log::encode_started(task.framework, task.attempt, WallTime(),
                                                    {RankProcess{rank.rank, 0, 0}}, spawn.group.directory());
  }
  setup->report.token = spawn.token;
  setup->report.rank_index = spawn.rank_index;
  return setup;
}

std::string attempt_marker(const std::string& launcher_id, const TaskStart& task) {
  return "MUSTER_ATTEMPT_KEY=" + launcher_id + ":" + std::to_string(task.framework.value()) + ":" +
         std::to_string(task.attempt.hi) + ":" + std::to_string(task.attempt.lo);
}

}  // namespace muster::node

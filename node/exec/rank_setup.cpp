#include "node/exec/rank_setup.hpp"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string_view>
#include <unordered_map>

#include "node/exec/run_log.hpp"

namespace muster::node {
namespace {

constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

// Every place where the command may be; searched by the child, as the user and in the directory of the task.
std::vector<std::string> places_of(const std::string& command, const std::string& path) {
  if (command.find('/') != std::string::npos) {
    return {command};
  }
  std::vector<std::string> places;
  for (std::size_t at = 0; !command.empty() && at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    const std::string directory = path.substr(at, end - at);
    places.push_back((directory.empty() ? "." : directory) + "/" + command);
    at = end + 1;
  }
  return places;
}

}  // namespace

std::unique_ptr<RankSetup> prepare_rank(const SpawnSettings& settings, const RankSpawn& spawn) {
  auto setup = std::make_unique<RankSetup>();
  const TaskStart& task = spawn.task;
  const RankStart& rank = task.ranks[spawn.rank_index];
  setup->settings = &settings;
  setup->task = &task;
  setup->gate_fd = spawn.gate_fd;
  setup->log_fd = spawn.log_fd;
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
  setup->environment_texts =
      merge_environment(task.environment, rank.environment, attempt_marker(settings.launcher_id, task));
  for (std::string& entry : setup->environment_texts) {
    setup->environment.push_back(entry.data());
  }
  setup->environment.push_back(nullptr);
  for (const std::string& argument : task.argv) {
    setup->arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  setup->arguments.push_back(nullptr);
  setup->commands = places_of(task.argv.front(), search_path(setup->environment_texts));
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

std::vector<std::string> merge_environment(const std::vector<std::string>& task, const std::vector<std::string>& rank,
                                           std::string marker) {
  std::vector<std::string> merged;
  merged.reserve(task.size() + rank.size() + 1);
  std::unordered_map<std::string, std::size_t> places;
  auto add = [&](const std::string& entry) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0 || entry.find('\0') != std::string::npos) {
      return;
    }
    auto [it, is_new] = places.try_emplace(entry.substr(0, equals), merged.size());
    if (is_new) {
      merged.push_back(entry);
    } else {
      merged[it->second] = entry;
    }
  };
  for (const std::string& entry : task) {
    add(entry);
  }
  for (const std::string& entry : rank) {
    add(entry);
  }
  add(marker);
  return merged;
}

std::string search_path(const std::vector<std::string>& environment) {
  for (const std::string& entry : environment) {
    if (entry.starts_with("PATH=")) {
      return entry.substr(5);
    }
  }
  return kDefaultPath;
}

}  // namespace muster::node

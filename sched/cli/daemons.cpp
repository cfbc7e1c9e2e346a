#include "sched/cli/daemons.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "sched/cli/session.hpp"
#include "sched/cli/settings.hpp"
#include "sched/cli/table.hpp"
#include "wire/daemon/durable_file.hpp"

namespace muster::cli {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::vector<std::int32_t> all_pids() {
  std::vector<std::int32_t> pids;
  DIR* const proc = ::opendir("/proc");
  if (proc == nullptr) {
    return pids;
  }
  while (const dirent* entry = ::readdir(proc)) {
    const std::string_view name(entry->d_name);
    std::int32_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr == name.data() + name.size() && pid > 0) {
      pids.push_back(pid);
    }
  }
  ::closedir(proc);
  return pids;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::int32_t parent_of(std::int32_t pid) {
  const std::string stat = content_of("/proc/" + std::to_string(pid) + "/stat");
  const auto after_name = stat.rfind(')');  // the name may hold anything
  std::int32_t parent = 0;
  if (after_name != std::string::npos && after_name + 4 < stat.size()) {
    std::from_chars(stat.data() + after_name + 4, stat.data() + stat.size(), parent);
  }
  return parent;
}

// Of its last 4 KiB.
std::string last_line_of(const std::string& path) {
  constexpr std::streamoff kTail = 4096;
  std::ifstream file(path, std::ios::ate | std::ios::binary);
  if (!file) {
    return {};
  }
  file.seekg(std::max<std::streamoff>(0, static_cast<std::streamoff>(file.tellg()) - kTail));
  std::string last;
  for (std::string line; std::getline(file, line);) {
    last = line.empty() ? last : line;
  }
  return last;
}

}  // namespace

std::vector<std::string> program_candidates(const std::string& name, const std::string& own_path) {
  const std::string here = folder_of(own_path);
  const std::string above = folder_of(here);
  return {above + "/libexec/muster/" + name, above + "/master/" + name, above + "/node/" + name, above + "/sched/" + name,
          here + "/" + name};
}

Result<std::string> find_program(const std::string& name, const std::string& own_path) {
  const auto candidates = program_candidates(name, own_path);
  for (const std::string& candidate : candidates) {
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return fail(Errc::io, name + " is not installed beside " + own_path + " (looked for " + candidates.front() +
                            " and in the build tree's folders); build or install all of muster");
}

Result<std::vector<DaemonRecord>> plan_daemons(const ClusterPlace& place, const ClusterRecord& options,
                                               std::uint32_t machine_cpus, bool fresh) {
  char* const resolved = ::realpath("/proc/self/exe", nullptr);
  const std::string own = resolved == nullptr ? "muster" : resolved;
  std::free(resolved);
  auto master = find_program("muster-master", own);
  auto gang = find_program("muster-gang", own);
  auto node = find_program(options.fake_duration ? "muster-fakes" : "muster-node", own);
  auto launcher = options.fake_duration ? Result<std::string>() : find_program("muster-launcher", own);
  for (const auto* program : {&master, &gang, &node, &launcher}) {
    if (!*program) {
      return tl::unexpected(program->error());
    }
  }
  std::vector<DaemonRecord> daemons;
  DaemonRecord first{.name = "master", .command = {*master, "--dir", place.dir, "--log", place.log_path("master")}, .process = {}};
  if (options.http_port) {
    first.command.insert(first.command.end(), {"--http", std::to_string(*options.http_port)});
  }
  const bool settles = std::any_of(options.settings.begin(), options.settings.end(),
                                   [](const ChosenSetting& s) { return s.name == "settle"; });
  if ((fresh || options.fake_duration) && !settles) {
    first.command.insert(first.command.end(), {"--settle", "0"});  // nobody can come back to where nobody was, or nothing ran
  }
  daemons.push_back(std::move(first));
  daemons.push_back({.name = "gang", .command = {*gang, "--dir", place.dir, "--log", place.log_path("gang")}, .process = {}});
  if (options.fake_duration) {
    daemons.push_back({.name = "fakes",
                       .command = {*node, "--dir", place.dir, "--nodes", std::to_string(options.nodes), "--cpus",
                                   format_cpus(options.cpus_milli), "--memory", format_bytes(options.memory_bytes),
                                   "--duration-ms", std::to_string(options.fake_duration->ms()), "--log", place.log_path("fakes")},
                       .process = {}});
  }
  for (std::uint32_t i = 1; i <= options.nodes && !options.fake_duration; ++i) {
    const std::string name = "n" + std::to_string(i);
    const std::uint64_t first_cpu = std::uint64_t{i - 1} * (options.cpus_milli / 1000) % std::max(1U, machine_cpus);
    daemons.push_back({.name = name,
                       .command = {*node, "--dir", place.dir, "--name", name, "--cpus", format_cpus(options.cpus_milli),
                                   "--first-cpu", std::to_string(first_cpu), "--memory", format_bytes(options.memory_bytes),
                                   "--launcher", *launcher, "--log", place.log_path(name)},
                       .process = {}});
  }
  for (DaemonRecord& daemon : daemons) {
    add_setting_options(options.settings, daemon.is_node() && !options.fake_duration ? "node" : daemon.name, daemon.command);
  }
  return daemons;
}

Result<ProcessIdentity> start_daemon(const ClusterPlace& place, const DaemonRecord& daemon) {
  if (auto made = make_directory(place.dir + "/log"); !made) {
    return tl::unexpected(made.error());
  }
  const std::string errors = place.dir + "/log/" + daemon.name + ".err";
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawn_file_actions_addchdir_np(&files, place.dir.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  std::vector<char*> argv;
  for (const std::string& word : daemon.command) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), ::environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) {
    return fail_errno(error, "start " + daemon.command.front());
  }
  return identity_of(pid);
}

std::string last_words(const ClusterPlace& place, const DaemonRecord& daemon) {
  return printable(last_line_of(place.dir + "/log/" + daemon.name + ".err"));
}

// "TIME error NAME[PID] TEXT"
std::string last_error(const ClusterPlace& place, const std::string& daemon) {
  const std::string last = last_line_of(place.log_path(daemon));
  const auto level = last.find(" error ");
  const auto text = last.find("] ");
  const bool is_error = level != std::string::npos && text != std::string::npos && level < text;
  return is_error ? printable(last.substr(text + 2)) : std::string();
}

std::vector<ClusterProcess> processes_of_cluster(const std::string& dir) {
  std::vector<ClusterProcess> found;
  char* const resolved = ::realpath(dir.c_str(), nullptr);
  const std::string real = resolved == nullptr ? dir : resolved;
  std::free(resolved);
  for (const std::int32_t pid : all_pids()) {
    const auto words = split(content_of("/proc/" + std::to_string(pid) + "/cmdline"), '\0');
    const std::string program = words.front().substr(words.front().find_last_of('/') + 1);
    static constexpr std::array<std::string_view, 5> kPrograms{"muster-master", "muster-gang", "muster-node", "muster-launcher",
                                                               "muster-fakes"};
    if (std::find(kPrograms.begin(), kPrograms.end(), program) == kPrograms.end()) {
      continue;
    }
    const bool ours = std::any_of(words.begin() + 1, words.end(), [&](const std::string& word) {
      return word == dir || word == real || word.starts_with(dir + "/") || word.starts_with(real + "/");
    });
    if (auto identity = identity_of(pid); ours && identity && is_alive(*identity)) {
      found.push_back({*identity, program});
    }
  }
  return found;
}

std::vector<ProcessIdentity> descendants_of(const ProcessIdentity& process) {
  std::vector<std::pair<std::int32_t, std::int32_t>> parents;
  for (const std::int32_t pid : all_pids()) {
    parents.emplace_back(pid, parent_of(pid));
  }
  std::vector<std::int32_t> family{process.pid};
  std::vector<ProcessIdentity> out;
  for (std::size_t i = 0; i < family.size(); ++i) {
    for (const auto& [pid, parent] : parents) {
      if (parent == family[i] && pid != parent) {
        family.push_back(pid);
        if (auto identity = identity_of(pid)) {
          out.push_back(*identity);
        }
      }
    }
  }
  return out;
}

void signal_process(const ProcessIdentity& process, int signal) {
  if (is_alive(process)) {
    ::kill(process.pid, signal);
  }
}

bool wait_ended(const std::vector<ProcessIdentity>& processes, Instant deadline) {
  for (;;) {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (std::none_of(processes.begin(), processes.end(), [](const ProcessIdentity& p) { return is_alive(p); })) {
      return true;
    }
    if (mono_now() >= deadline) {
      return false;
    }
    wait_readable(-1, std::min(deadline, mono_now() + Duration::from_ms(10)));
  }
}

}  // namespace muster::cli

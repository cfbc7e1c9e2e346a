#include "node/exec/process_scan.hpp"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "node/exec/system_files.hpp"

namespace muster::node {
namespace {

std::string proc_path(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

}  // namespace

std::optional<ProcessInfo> parse_stat(std::string_view text) {
  // "pid (name) S ppid pgrp session tty tpgid flags ..." where name may hold anything, so count from the last ')'.
  ProcessInfo info;
  auto number = [](std::string_view field, auto& value) {
    auto [p, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    return error == std::errc{} && p == field.data() + field.size();
  };
  const std::size_t open = text.find(" (");
  const std::size_t close = text.rfind(") ");
  if (open == std::string_view::npos || close == std::string_view::npos || !number(text.substr(0, open), info.pid)) {
    return std::nullopt;
  }
  std::string_view rest = text.substr(close + 2);
  bool ok = true;
  for (int field = 3; field <= 22 && ok; ++field) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    if (word.size() == rest.size()) {
      return std::nullopt;  // too short
    }
    switch (field) {
      case 3: info.state = word.empty() ? '?' : word[0]; break;
      case 4: ok = number(word, info.parent); break;
      case 6: ok = number(word, info.session); break;
      case 22: ok = number(word, info.start_time_ticks); break;
      default: break;
    }
    rest.remove_prefix(word.size() + 1);
  }
  return ok ? std::optional(info) : std::nullopt;
}

std::optional<ProcessInfo> read_process(pid_t pid) {
  auto text = read_file(proc_path(pid, "stat"));
  return text ? parse_stat(*text) : std::nullopt;
}

std::vector<ProcessInfo> scan_processes() {
  std::vector<ProcessInfo> all;
  DIR* proc = ::opendir("/proc");
  if (proc == nullptr) {
    return all;
  }
  while (const dirent* entry = ::readdir(proc)) {
    const std::string_view name(entry->d_name);
    pid_t pid = 0;
    auto [p, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || p != name.data() + name.size()) {
      continue;
    }
    if (auto info = read_process(pid)) {
      all.push_back(*info);
    }
  }
  ::closedir(proc);
  return all;
}

bool has_environment_entry(pid_t pid, std::string_view entry) {
  auto text = read_file(proc_path(pid, "environ"));
  if (!text) {
    return false;
  }
  std::string_view rest(*text);
  while (!rest.empty()) {
    const std::string_view one = rest.substr(0, rest.find('\0'));
    if (one == entry) {
      return true;
    }
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
  }
  return false;
}

std::vector<ProcessInfo> find_task_processes(const std::vector<ProcessInfo>& all, const TaskTraces& traces) {
  std::unordered_map<pid_t, const ProcessInfo*> by_pid;
  std::unordered_map<pid_t, std::vector<const ProcessInfo*>> children;
  for (const ProcessInfo& info : all) {
    by_pid[info.pid] = &info;
    children[info.parent].push_back(&info);
  }
  std::uint64_t earliest = ~std::uint64_t{0};
  std::unordered_set<pid_t> sessions;
  std::vector<const ProcessInfo*> roots;
  for (const RankProcess& rank : traces.ranks) {
    earliest = std::min(earliest, rank.start_time_ticks);
    const auto it = by_pid.find(rank.pid);
    if (it == by_pid.end()) {
      sessions.insert(rank.pid);  // its session may live on without it
    } else if (it->second->start_time_ticks == rank.start_time_ticks || rank.start_time_ticks == 0) {
      sessions.insert(rank.pid);
      roots.push_back(it->second);
    }
  }
  for (pid_t pid : traces.adopted) {
    if (const auto it = by_pid.find(pid); it != by_pid.end()) {
      roots.push_back(it->second);
    }
  }
  if (traces.ranks.empty()) {
    earliest = 0;
  }
  const pid_t self = ::getpid();
  for (const ProcessInfo& info : all) {
    if (info.pid == self || info.pid == traces.launcher || info.is_dead() || info.start_time_ticks < earliest) {
      continue;
    }
    if (sessions.contains(info.session) ||
        (!traces.marker.empty() && has_environment_entry(info.pid, traces.marker))) {
      roots.push_back(&info);
    }
  }
  std::unordered_set<pid_t> seen;
  std::vector<ProcessInfo> found;
  while (!roots.empty()) {
    const ProcessInfo* info = roots.back();
    roots.pop_back();
    if (info->pid == self || info->pid == traces.launcher || !seen.insert(info->pid).second) {
      continue;
    }
    if (!info->is_dead()) {
      found.push_back(*info);
    }
    if (const auto it = children.find(info->pid); it != children.end()) {
      roots.insert(roots.end(), it->second.begin(), it->second.end());
    }
  }
  return found;
}

bool signal_process(const ProcessInfo& process, int signal) {
  // The descriptor holds the process; then a look at its start time says whether it is the right one.
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0));
  if (fd < 0) {
    return false;
  }
  const auto now = read_process(process.pid);
  const bool same = now && now->start_time_ticks == process.start_time_ticks;
  const bool sent = same && ::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0;
  ::close(fd);
  return sent;
}

std::optional<std::vector<pid_t>> own_children() {
  DIR* threads = ::opendir("/proc/self/task");
  if (threads == nullptr) {
    return std::nullopt;
  }
  std::vector<pid_t> pids;
  bool told = true;
  while (const dirent* entry = ::readdir(threads)) {
    if (entry->d_name[0] == '.') {
      continue;
    }
    const auto text = read_file(std::string("/proc/self/task/") + entry->d_name + "/children");
    if (!text) {
      told = false;
      break;
    }
    const std::vector<pid_t> children = pids_in(*text);
    pids.insert(pids.end(), children.begin(), children.end());
  }
  ::closedir(threads);
  return told ? std::optional(pids) : std::nullopt;
}

}  // namespace muster::node

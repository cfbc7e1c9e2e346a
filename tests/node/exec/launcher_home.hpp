// A launcher of its own in a temporary directory, and the agent's end of its socket, for tests with real processes.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "node/exec/launcher_client.hpp"
#include "node/exec/process_scan.hpp"
#include "node/exec/system_files.hpp"

namespace muster::node {

inline bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Living processes whose environment names this launcher directory.
inline std::vector<ProcessInfo> living_with(const std::string& entry) {
  std::vector<ProcessInfo> found;
  for (const ProcessInfo& info : scan_processes()) {
    if (!info.is_dead() && has_environment_entry(info.pid, entry)) {
      found.push_back(info);
    }
  }
  return found;
}

class LauncherHome {
 public:
  explicit LauncherHome(bool plain = false, const std::string& below = {}) : plain_(plain) {
    std::string name = (std::filesystem::temp_directory_path() / "muster-exec-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    top_ = name;
    directory_ = below.empty() ? name : name + "/" + below;
    std::filesystem::create_directories(directory_);
    ::chmod(name.c_str(), 0755);
  }
  LauncherHome(const LauncherHome&) = delete;
  LauncherHome& operator=(const LauncherHome&) = delete;
  ~LauncherHome() {
    if (const pid_t pid = launcher_pid(); pid > 0) {
      if (client_) {
        (void)client_->send(command::Shutdown{true});
      } else {
        ::kill(pid, SIGTERM);
      }
      if (!eventually([&] { return !is_alive(pid); }, std::chrono::seconds(10))) {
        ::kill(pid, SIGKILL);
      }
    }
    std::error_code ignored;
    std::filesystem::remove_all(top_, ignored);
  }

  static std::string launcher_path() { return MUSTER_BINARY_DIR "/node/muster-launcher"; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string file(const std::string& name) const { return directory_ + "/" + name; }
  [[nodiscard]] std::string mark() const { return "MUSTER_TEST_HOME=" + directory_; }

  static bool is_alive(pid_t pid) {
    const auto info = read_process(pid);
    return info && !info->is_dead();
  }
  [[nodiscard]] pid_t launcher_pid() const {
    std::istringstream text(slurp(file("launcher.pid")));
    pid_t pid = 0;
    std::uint64_t ticks = 0;
    text >> pid >> ticks;
    const auto info = read_process(pid);
    return pid > 0 && info && !info->is_dead() && info->start_time_ticks == ticks ? pid : 0;
  }

  // Connects (again); starts a launcher if there is none. Returns its hello.
  LauncherHello connect() {
    client_.reset();
    auto client = LauncherClient::connect(
        {.directory = directory_, .launcher_path = launcher_path(), .plain = plain_, .unkillable_seconds = "1"});
    if (!client) {
      FAIL(client.error().text << "\n" << slurp(file("launcher.log")));
    }
    client_.emplace(std::move(*client));
    events_.clear();
    LauncherHello hello;
    REQUIRE(wait_for([&](LauncherMessage& message) {
      if (auto* found = std::get_if<LauncherHello>(&message)) {
        hello = std::move(*found);
        return true;
      }
      return false;
    }));
    return hello;
  }
  void disconnect() { client_.reset(); }
  LauncherClient& client() { return *client_; }

  void send(const LauncherCommand& command) {
    auto sent = client_->send(command);
    while (sent && client_->wants_write()) {
      pollfd p{client_->fd(), POLLOUT, 0};
      ::poll(&p, 1, 100);
      sent = client_->flush();
    }
    REQUIRE(sent);
  }

  // Takes the first message, received before or within the limit, for which `take` is true.
  bool wait_for(const std::function<bool(LauncherMessage&)>& take,
                std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (true) {
      for (auto it = events_.begin(); it != events_.end(); ++it) {
        if (take(*it)) {
          events_.erase(it);
          return true;
        }
      }
      if (std::chrono::steady_clock::now() > deadline) {
        return false;
      }
      pollfd p{client_->fd(), POLLIN, 0};
      ::poll(&p, 1, 50);
      if (const Status received = client_->receive(events_); !received && events_.empty()) {
        return false;
      }
    }
  }
  template <class Event>
  std::optional<Event> wait_event(const TaskStart& task, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    std::optional<Event> found;
    wait_for(
        [&](LauncherMessage& message) {
          if (auto* event = std::get_if<LauncherEvent>(&message)) {
            if (auto* wanted = std::get_if<Event>(event); wanted != nullptr && wanted->attempt == task.attempt) {
              found = *wanted;
              return true;
            }
          }
          return false;
        },
        limit);
    return found;
  }
  event::Ended wait_end(const TaskStart& task) {
    auto ended = wait_event<event::Ended>(task);
    if (!ended) {
      FAIL("no end came; launcher.log: " << slurp(file("launcher.log")));
    }
    return *ended;
  }

  // A task of `ranks` ranks that runs `sh -c script`, output in out.<number>.
  TaskStart shell(const std::string& script, std::uint32_t ranks = 1) {
    TaskStart task;
    task.framework = FrameworkId(7);
    task.attempt = AttemptId{100, ++attempts_};
    task.job = JobId(100);
    task.name = "test";
    task.argv = {"sh", "-c", script};
    task.environment = {"PATH=/usr/bin:/bin", mark()};
    task.working_directory = directory_;
    task.agent_note = "note of the agent";
    for (std::uint32_t i = 0; i < ranks; ++i) {
      task.ranks.push_back({.rank = i,
                            .environment = {"RANK=" + std::to_string(i)},
                            .cpus = {},
                            .stdout_path = file("out." + std::to_string(attempts_)),
                            .stderr_path = {}});
    }
    return task;
  }
  [[nodiscard]] std::string output(const TaskStart& task) const { return slurp(task.ranks.front().stdout_path); }

  void kill_launcher() {
    const pid_t pid = launcher_pid();
    REQUIRE(pid > 0);
    ::kill(pid, SIGKILL);
    REQUIRE(eventually([&] { return !is_alive(pid); }));
  }

 private:
  bool plain_{};
  std::string top_;
  std::string directory_;
  std::optional<LauncherClient> client_;
  std::vector<LauncherMessage> events_;
  std::uint64_t attempts_{};
};

}  // namespace muster::node

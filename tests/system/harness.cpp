#include "tests/system/harness.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "sched/cli/daemons.hpp"

namespace muster::system_test {
namespace {

Instant now() { return SystemClock{}.now().mono; }

// Appends what is there; false at its end.
bool drain(int& fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
    return true;
  }
  ::close(fd);
  fd = -1;
  return false;
}

}  // namespace

Child::Child(const std::vector<std::string>& argv, const Options& options) {
  int out[2];
  int err[2];
  REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(err, O_CLOEXEC) == 0);
  std::vector<char*> words;
  for (const std::string& word : argv) {
    words.push_back(const_cast<char*>(word.c_str()));
  }
  words.push_back(nullptr);
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    ::setpgid(0, 0);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    for (const std::string& entry : options.environment) {
      ::putenv(const_cast<char*>(entry.c_str()));
    }
    if (!options.working_directory.empty() && ::chdir(options.working_directory.c_str()) != 0) {
      ::_exit(126);
    }
    ::execvp(words[0], words.data());
    ::_exit(127);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Child::~Child() {
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  for (const int fd : {out_, err_}) {
    if (fd >= 0) {
      ::close(fd);
    }
  }
}

void Child::signal(int number) const { ::kill(pid_, number); }

bool Child::read_some(Instant deadline) {
  std::array<pollfd, 2> entries{{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};
  const auto left_ms = std::clamp<std::int64_t>((deadline - now()).ms(), 0, 60'000);
  if (::poll(entries.data(), entries.size(), static_cast<int>(left_ms)) <= 0) {
    return false;
  }
  if (entries[0].revents != 0) {
    drain(out_, outcome_.out);
  }
  if (entries[1].revents != 0) {
    drain(err_, outcome_.err);
  }
  return true;
}

Outcome Child::wait(Duration at_most) {
  const Instant deadline = now() + at_most;
  while ((out_ >= 0 || err_ >= 0) && now() < deadline) {
    read_some(deadline);
  }
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (now() >= deadline) {
      ::kill(-pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      pid_ = 0;
      outcome_.err += "\n(killed by the test: it did not end in time)";
      return outcome_;
    }
    ::usleep(1000);
  }
  pid_ = 0;
  outcome_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome_;
}

bool Child::wait_for_output(const std::string& text, Duration at_most) {
  const Instant deadline = now() + at_most;
  while (outcome_.out.find(text) == std::string::npos && outcome_.err.find(text) == std::string::npos) {
    if (now() >= deadline || (out_ < 0 && err_ < 0)) {
      return false;
    }
    read_some(deadline);
  }
  return true;
}

TemporaryFolder::TemporaryFolder() {
  char name[] = "/tmp/mst.XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  path_ = name;
  ::chmod(name, 0755);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string LocalCluster::program() { return std::string(MUSTER_BINARY_DIR) + "/sched/muster"; }

LocalCluster::LocalCluster(std::vector<std::string> run_as, std::string muster)
    : dir_(folder_.path() + "/c"), work_(folder_.path() + "/w"), run_as_(std::move(run_as)), muster_(std::move(muster)) {
  std::filesystem::create_directory(work_);
  if (!run_as_.empty()) {  // somebody else must be able to write here
    ::chmod(folder_.path().c_str(), 0777);
    ::chmod(work_.c_str(), 0777);
  }
}

LocalCluster::~LocalCluster() {
  if (std::filesystem::exists(dir_ + "/cluster.json")) {
    (void)muster({"down", "--grace", "5s"});
  }
  // Whatever a failed test left, by pid and start time: tasks first, their launcher last.
  for (int round = 0; round < 3; ++round) {
    for (const auto& process : cli::processes_of_cluster(dir_)) {
      for (const auto& child : cli::descendants_of(process.process)) {
        cli::signal_process(child, SIGKILL);
      }
      cli::signal_process(process.process, SIGKILL);
    }
  }
}

Child::Options LocalCluster::child_options() const {
  return {.working_directory = work_, .environment = {"MUSTER_DIR=" + dir_}};
}

std::vector<std::string> LocalCluster::command_line(const std::vector<std::string>& args) const {
  std::vector<std::string> words = run_as_;
  words.push_back(muster_);
  words.insert(words.end(), args.begin(), args.end());
  return words;
}

Outcome LocalCluster::muster(const std::vector<std::string>& args, Duration at_most) const {
  Child child(command_line(args), child_options());
  return child.wait(at_most);
}

void LocalCluster::up(const std::vector<std::string>& options) {
  std::vector<std::string> args{"up", "--http-port", "0"};
  args.insert(args.end(), options.begin(), options.end());
  const Outcome outcome = muster(args);
  INFO(outcome.out << outcome.err);
  REQUIRE(outcome.exit_code == 0);
}

std::string LocalCluster::expect(int exit_code, const std::vector<std::string>& args) const {
  const Outcome outcome = muster(args);
  std::string words;
  for (const std::string& arg : args) {
    words += " " + arg;
  }
  INFO("muster" << words << "\n" << outcome.out << outcome.err);
  REQUIRE(outcome.exit_code == exit_code);
  return outcome.out;
}

nlohmann::json LocalCluster::json(const std::vector<std::string>& args) const {
  std::vector<std::string> words = args;
  words.emplace_back("--json");
  return nlohmann::json::parse(expect(0, words));
}

nlohmann::json LocalCluster::record() const { return nlohmann::json::parse(content_of(dir_ + "/cluster.json")); }

void LocalCluster::kill_daemons(const std::vector<std::string>& names) const {
  std::vector<ProcessIdentity> killed;
  const auto all = record();
  for (const auto& daemon : all["daemons"]) {
    if (std::find(names.begin(), names.end(), daemon["name"].get<std::string>()) != names.end()) {
      killed.push_back({.pid = daemon["pid"].get<std::int32_t>(), .start_ticks = daemon["start_ticks"].get<std::uint64_t>()});
      cli::signal_process(killed.back(), SIGKILL);
    }
  }
  REQUIRE(killed.size() == names.size());
  REQUIRE(cli::wait_ended(killed, now() + Duration::from_seconds(10)));
}

std::size_t LocalCluster::processes() const { return cli::processes_of_cluster(dir_).size(); }

bool eventually(const std::function<bool()>& condition, Duration at_most) {
  const Instant deadline = now() + at_most;
  while (!condition()) {
    if (now() >= deadline) {
      return false;
    }
    ::usleep(20'000);
  }
  return true;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_file(const std::string& path, const std::string& content, bool executable) {
  std::ofstream(path, std::ios::binary) << content;
  if (executable) {
    ::chmod(path.c_str(), 0755);
  }
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

}  // namespace muster::system_test

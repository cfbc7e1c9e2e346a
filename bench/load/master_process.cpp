#include "bench/load/master_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace muster::bench {
namespace {

constexpr int kStartMs = 10'000;
constexpr int kStopMs = 3'000;

void wait_a_bit() { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }

// The ports of the announcement's tcp endpoint and pages; 0 while there is none.
std::uint16_t announced_port(const std::string& path, std::uint16_t& http_port) {
  std::ifstream in(path);
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object()) {
    return 0;
  }
  http_port = json.value("http_port", std::uint16_t{0});
  for (const auto& endpoint : json.value("endpoints", nlohmann::json::array())) {
    const std::string text = endpoint.get<std::string>();
    if (text.starts_with("tcp://")) {
      return static_cast<std::uint16_t>(std::stoi(text.substr(text.rfind(':') + 1)));
    }
  }
  return 0;
}

}  // namespace

Status MasterProcess::start(const std::string& program, const std::vector<std::string>& more_arguments) {
  std::string name = (std::filesystem::temp_directory_path() / "muster-load-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    return fail(Errc::io, "make a folder for the master: " + std::string(std::strerror(errno)));
  }
  folder_ = name;
  std::vector<std::string> arguments{program, "--dir", folder_, "--listen", "tcp://127.0.0.1:0", "--settle", "0",
                                     "--lease", "300", "--log", folder_ + "/log", "--log-level", "warn"};
  if (std::none_of(more_arguments.begin(), more_arguments.end(), [](const std::string& a) { return a.starts_with("--http"); })) {
    arguments.insert(arguments.end(), {"--http", "off"});
  }
  arguments.insert(arguments.end(), more_arguments.begin(), more_arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) {
    pid_ = 0;
    return fail(Errc::io, "start the master: " + std::string(std::strerror(errno)));
  }
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {
      ::execv(program.c_str(), argv.data());
    }
    ::_exit(127);
  }
  for (int ms = 0; ms < kStartMs; ms += 5) {
    if (!is_running()) {
      return fail(Errc::io, "the master '" + program + "' ended at once; build it first, or name it by --master");
    }
    port_ = announced_port(folder_ + "/master/master.json", http_port_);
    if (port_ != 0) {
      return {};
    }
    wait_a_bit();
  }
  return fail(Errc::timed_out, "the master '" + program + "' has not announced a TCP port. " + last_words());
}

void MasterProcess::stop() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    for (int ms = 0; ms < kStopMs && is_running(); ms += 5) {
      wait_a_bit();
    }
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      pid_ = 0;
    }
  }
  if (!folder_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    folder_.clear();
  }
}

bool MasterProcess::is_running() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) != 0) {
    pid_ = 0;
  }
  return pid_ > 0;
}

ThreadSeconds MasterProcess::thread_seconds() const {
  ThreadSeconds out;
  std::error_code error;
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task", error)) {
    std::ifstream in(task.path() / "stat");
    std::string line;
    std::getline(in, line);
    const auto open = line.find('(');
    const auto close = line.rfind(')');
    if (open == std::string::npos || close == std::string::npos) {
      continue;
    }
    std::istringstream fields(line.substr(close + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) {
      fields >> skipped;
    }
    double user = 0;
    double system = 0;
    fields >> user >> system;
    out[line.substr(open + 1, close - open - 1)] += (user + system) / ticks;
  }
  return out;
}

std::uint64_t MasterProcess::resident_bytes() const {
  std::ifstream in("/proc/" + std::to_string(pid_) + "/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string MasterProcess::last_words() const {
  std::ifstream in(folder_ + "/log");
  std::string line;
  std::string last;
  while (std::getline(in, line)) {
    last = line;
  }
  return last.empty() ? "Its log is empty." : "Its log ends: " + last;
}

void MasterProcess::give_up(const char* program, const std::string& what) {
  const bool gone = !is_running();
  std::fprintf(stderr, "%s: %s%s\n", program, what.c_str(), gone ? ("; the master has ended. " + last_words()).c_str() : "");
  stop();
  std::exit(1);
}

}  // namespace muster::bench

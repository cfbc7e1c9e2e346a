// A local cluster for one test: real daemons in a temporary folder, ended and removed with the object.
#pragma once

#include <sys/types.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "wire/base/time.hpp"
#include "wire/daemon/process_identity.hpp"

namespace muster::system_test {

// How a program ended and what it wrote.
struct Outcome {
  int exit_code{-1};      // 128 + signal; -1: it did not end in time and was killed
  std::string out;
  std::string err;
};

// A program that runs. Pure helper of one thread; killed and reaped with the object.
class Child {
 public:
  struct Options {
    std::string working_directory{};
    std::vector<std::string> environment{};  // added to ours
  };
  Child(const std::vector<std::string>& argv, const Options& options);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const;
  // Reads until it has ended; kills it at the deadline.
  [[nodiscard]] Outcome wait(Duration at_most = Duration::from_seconds(60));
  // Reads until `out` holds `text`; false at the deadline or its end.
  [[nodiscard]] bool wait_for_output(const std::string& text, Duration at_most = Duration::from_seconds(30));

 private:
  bool read_some(Instant deadline);
  pid_t pid_{};
  int out_{-1};
  int err_{-1};
  Outcome outcome_;
};

// A folder in /tmp with a short name; removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// One thread. Commands run in work() with this cluster's MUSTER_DIR.
class LocalCluster {
 public:
  // Not started. `run_as`: words before each command, such as setpriv's. `muster`: the program.
  explicit LocalCluster(std::vector<std::string> run_as = {}, std::string muster = program());
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  // `muster up …`, required to succeed.
  void up(const std::vector<std::string>& options);
  // `muster …`
  [[nodiscard]] Outcome muster(const std::vector<std::string>& args, Duration at_most = Duration::from_seconds(60)) const;
  // The same, required to exit with `exit_code`; returns its output.
  std::string expect(int exit_code, const std::vector<std::string>& args) const;
  [[nodiscard]] nlohmann::json json(const std::vector<std::string>& args) const;
  [[nodiscard]] std::vector<std::string> command_line(const std::vector<std::string>& args) const;
  [[nodiscard]] Child::Options child_options() const;

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] const std::string& work() const { return work_; }
  [[nodiscard]] nlohmann::json record() const;
  // kill -9, and waits until they are gone.
  void kill_daemons(const std::vector<std::string>& names) const;
  // Daemons and launchers of this cluster that are alive.
  [[nodiscard]] std::size_t processes() const;

  static std::string program();

 private:
  TemporaryFolder folder_;
  std::string dir_;
  std::string work_;
  std::vector<std::string> run_as_;
  std::string muster_;
};

// Polls until `condition` holds; false at the deadline.
[[nodiscard]] bool eventually(const std::function<bool()>& condition, Duration at_most = Duration::from_seconds(30));

[[nodiscard]] std::string content_of(const std::string& path);
void write_file(const std::string& path, const std::string& content, bool executable = false);
[[nodiscard]] std::vector<std::string> lines_of(const std::string& text);

}  // namespace muster::system_test

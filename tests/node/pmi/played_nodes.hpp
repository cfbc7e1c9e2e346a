// Step daemons for tests, reduced to what concerns MPI: one process per node that holds the PMI servers and starts
// the ranks, and this process, which carries exchanges and questions among them as the real ones do over their tree.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/pmi/pmi_server.hpp"

namespace muster::node {

struct PlayedStep {
  std::vector<std::string> command;
  std::vector<std::vector<std::uint32_t>> layout;  // ranks of each node
  bool pmix{true};
  bool pmi1{true};
  std::vector<std::string> environment{};  // beyond the servers' and PATH
};

struct PlayedEnd {
  std::map<std::uint32_t, int> exits;            // by rank: exit code, or 128 + signal
  std::map<std::uint32_t, std::string> outputs;  // by rank: what it wrote
  std::map<PmiKind, std::set<std::uint32_t>> connected;
  std::map<PmiKind, std::set<std::uint32_t>> finalized;
  std::vector<pmi_event::Aborted> aborted;
  std::vector<std::string> refused;    // texts of Unsupported
  std::vector<std::string> variables;  // the servers' of the first rank
  std::uint64_t exchanges{};
  std::uint64_t questions{};  // of direct modex
  bool in_time{true};
  std::string error;  // a server said no

  // Sorted lines of all ranks.
  [[nodiscard]] std::vector<std::string> lines() const;
  [[nodiscard]] bool all_exited_with(int code) const;
};

// Owned by the test's thread.
class PlayedNodes {
 public:
  explicit PlayedNodes(std::size_t count, std::uint32_t uid = 0);
  ~PlayedNodes();
  PlayedNodes(const PlayedNodes&) = delete;
  PlayedNodes& operator=(const PlayedNodes&) = delete;

  // Runs them at the same time. A rank that dies without having finalized ends its step, as does an abort.
  [[nodiscard]] std::vector<PlayedEnd> run(const std::vector<PlayedStep>& steps,
                                           std::chrono::seconds deadline = std::chrono::seconds(60));
  [[nodiscard]] PlayedEnd run(const PlayedStep& step) { return run(std::vector{step}).front(); }

 private:
  struct Node { pid_t pid{}; int fd{-1}; };
  struct Running;
  struct Message;
  void on_message(std::size_t node, const Message& message, std::map<std::uint32_t, Running>& running);
  void end(std::uint32_t step, Running& running);

  std::vector<Node> nodes_;
  std::string directory_;
  std::uint32_t uid_{};
  std::uint32_t steps_begun_{};
};

// Compiled test program of tests/mpi; "" where that MPI is not installed.
[[nodiscard]] std::string mpi_program(const std::string& mpi, const std::string& name);

}  // namespace muster::node

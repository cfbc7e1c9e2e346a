// Starts one rank of a step: a child that shares our memory until it execs. Owned by the daemon's only thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "node/step/step_core.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

// Our ends of a rank's pipes; -1: none. With a terminal all three are its master.
struct RankPipes {
  int input{-1};
  int output{-1};
  int error{-1};
};

struct StartedRank {
  pid_t pid{};
  RankPipes pipes;
};

struct StartFault {
  std::int32_t exit_code{1};  // 127 not found, 126 not executable
  std::string text;
};

// Output files of one step, by path: ranks that share a file share its description, so that nothing is overwritten.
class StepFiles {
 public:
  StepFiles() = default;
  StepFiles(const StepFiles&) = delete;
  StepFiles& operator=(const StepFiles&) = delete;
  ~StepFiles();
  [[nodiscard]] Result<int> output(const std::string& path, bool truncate);

 private:
  std::map<std::string, int> open_;
};

struct RankExtras {
  std::vector<std::string> environment;                  // beyond StartRank's
  struct Inherit { int fd{}; std::string variable; };
  std::vector<Inherit> inherit;
  std::string script_path;                               // of a batch script, written out
};

// We hold many pipes; ranks get the limit that we found. Once, before the first rank.
void raise_open_files();

[[nodiscard]] tl::expected<StartedRank, StartFault> start_rank(const step_out::StartRank& rank, const RankExtras& extras,
                                                               StepFiles& files);

}  // namespace muster::node

// EnvironmentCache: the launches of a job find the SharedEnvironment that an earlier one made. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "node/exec/shared_environment.hpp"
#include "wire/schema/frame.hpp"

namespace muster::node {

class EnvironmentCache {
 public:
  // The submitter's variables without those that an outer job left in it (is_task_variable).
  [[nodiscard]] SharedEnvironmentPtr of(const fb::TaskSpec& spec);

 private:
  struct Known {
    std::string text;  // as the spec has it, line by line
    SharedEnvironmentPtr environment;
    std::uint64_t used{};
  };
  std::vector<Known> known_;
  std::string text_;
  std::uint64_t uses_{};
};

}  // namespace muster::node

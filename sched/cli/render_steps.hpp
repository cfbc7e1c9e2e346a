// The steps of a job as text and as JSON (fields as in docs/cli.md). Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>
#include <vector>

#include "wire/base/result.hpp"
#include "wire/base/time.hpp"
#include "wire/schema/frame.hpp"

namespace muster::cli {

// Of one job, or one element of an array.
struct JobSteps {
  std::string id;                                    // "7", "7_3"
  std::string text;                                  // what happened first and where; "" when all is well
  std::vector<std::unique_ptr<fb::StepRowT>> steps;  // in the order of their start
  std::uint32_t total{};                             // ≥ steps.size(): older ones are left out
};

// What the step daemon of an ended element has left. malformed: it does not verify.
[[nodiscard]] Result<JobSteps> steps_in(const std::string& id, const std::vector<std::uint8_t>& report);

[[nodiscard]] std::string render_steps(const JobSteps& job, WallTime now);
[[nodiscard]] nlohmann::ordered_json json_of(const JobSteps& job);

}  // namespace muster::cli

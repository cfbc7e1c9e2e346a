// The names of the variables that tell a task about its job. Pure.
#pragma once

#include <string_view>

namespace muster::node {

// Is `name` one that a plan (node/core/spawn_plan.hpp) or a step (node/step/step_environment.hpp) sets? Those of an
// outer job are not passed on.
[[nodiscard]] bool is_task_variable(std::string_view name);

}  // namespace muster::node

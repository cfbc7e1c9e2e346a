// Where a command may be. Pure.
#pragma once

#include <string>
#include <vector>

namespace muster::node {

// Every place where `command` may be, in order; `path` is PATH's value. Searched by whoever is about to exec, as the user and in the
// directory of the task. Empty when the command is.
[[nodiscard]] std::vector<std::string> command_places(const std::string& command, const std::string& path);

}  // namespace muster::node

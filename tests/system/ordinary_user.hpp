// Running things as somebody who is not root.
#pragma once

#include <string>
#include <vector>

namespace muster::system_test {

// Words before a command that make it nobody's.
[[nodiscard]] std::vector<std::string> as_nobody();
[[nodiscard]] bool can_run(std::vector<std::string> as, const std::string& program);
// `muster` with its daemons where everybody can reach them: here, or copies in `folder` laid out as they are installed.
[[nodiscard]] std::string reachable_program(const std::vector<std::string>& as, const std::string& folder);

}  // namespace muster::system_test

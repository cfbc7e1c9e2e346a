// Small files of the system (/proc, cgroups) and of the launcher's directory, read and written whole.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/base/result.hpp"

namespace muster::node {

// not_found, permission or io, whichever errno says; the text names the file.
[[nodiscard]] tl::unexpected<Error> file_error(int error, const std::string& path);
// Errors as file_error.
[[nodiscard]] Result<std::string> read_file(const std::string& path);
// Writes into an existing file, never creates one.
[[nodiscard]] Status write_existing(const std::string& path, std::string_view text);

// Positive numbers that blanks or line ends separate; ends at anything else.
[[nodiscard]] std::vector<pid_t> pids_in(std::string_view text);
// The first number in the text; 0 when there is none.
[[nodiscard]] std::uint64_t first_number(std::string_view text);
// The number after "name " at the start of a line ("oom_kill 1"); 0 when there is none.
[[nodiscard]] std::uint64_t number_after(std::string_view text, std::string_view name);

}  // namespace muster::node

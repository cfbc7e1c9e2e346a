// Reads tasks' output files for their users.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/exec/user_groups.hpp"
#include "wire/base/result.hpp"
#include "wire/base/time.hpp"

namespace muster::node {

struct FileUser {
  std::uint32_t uid{};
  std::uint32_t gid{};
};

// Owned by one thread, whose file-system user changes during a read; other threads' does not.
class OutputReader {
 public:
  struct Part {
    std::string path;
    std::uint64_t offset{};
    std::uint32_t bytes_max{};
    // Whose rights count: the job's user chose the path, and may have put a link to anything there. None: our own.
    std::optional<FileUser> as;
  };
  // What is there now; less than bytes_max at the end, nothing from what is not a regular file.
  // not_found, permission or io: the text names the path.
  [[nodiscard]] Result<std::string> read(const Part& part, Instant now);

 private:
  UserGroups groups_;
};

}  // namespace muster::node

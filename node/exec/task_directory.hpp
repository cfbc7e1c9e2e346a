// Directories that the launcher makes for tasks, and takes away with everything in them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "node/exec/output_file.hpp"
#include "wire/base/result.hpp"

namespace muster::node {

// Owned by the launcher's thread. What users have put into their directories may be large, deep, or change while it
// is removed: it goes in bounded pieces, two open directories at a time, and no link is followed.
class TaskDirectories {
 public:
  // `path`, absolute: mode 0700, of `user` if one is given; parents that are missing are made with 0711. What was there is
  // removed. permission: the directory around it is not ours alone to write. io.
  [[nodiscard]] Status make(const std::string& path, const std::optional<FileUser>& user);
  // Nothing has this name any more; much content goes with later calls of sweep().
  void remove(const std::string& path);
  [[nodiscard]] bool has_rest() const { return !rest_.empty(); }
  void sweep();

 private:
  std::deque<std::string> rest_;
};

}  // namespace muster::node

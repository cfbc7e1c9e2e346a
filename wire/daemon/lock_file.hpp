// LockFile: one holder per path and machine, for as long as the process lives. The kernel drops it at any death.
#pragma once

#include <string>

#include "wire/base/result.hpp"

namespace muster {

class LockFile {
 public:
  // Creates the file if needed and locks it without waiting, unless its holder is just dying. The holder's pid is written into it.
  // Errc::conflict "<what> is already running (pid N holds <path>)…" when somebody else has it.
  // The descriptor is close-on-exec unless `inherit` (then children keep the lock).
  [[nodiscard]] static Result<LockFile> acquire(const std::string& path, const std::string& what, bool inherit = false);
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  int fd_{-1};
};

// Is somebody holding it? False also when the file does not exist.
[[nodiscard]] bool is_locked(const std::string& path);

}  // namespace muster

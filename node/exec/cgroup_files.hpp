// Single operations on the directories and files of control groups, v1 and v2.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace muster::node {

// Owned by its holder's thread. A descriptor that closes itself.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~FileHandle() { reset(); }
  void reset();
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  // The first 4 KiB of the file, read anew; "" on an error.
  [[nodiscard]] std::string read() const;
  bool write(std::string_view text) const;

 private:
  int fd_{-1};
};

[[nodiscard]] FileHandle open_file(const std::string& path, int flags);
[[nodiscard]] bool is_dir(const std::string& path);
[[nodiscard]] bool is_file(const std::string& path);
// True too when it is there already.
[[nodiscard]] bool make_dir(const std::string& path);
[[nodiscard]] std::string without_newline(std::string text);

// Processes of the group and of groups below it.
void collect_processes(const std::string& dir, std::vector<pid_t>& pids);
// True when the group is gone. A group with a living process can't be removed, so this also verifies.
bool remove_group(const std::string& dir);
// v2: lets subgroups of `group` use the controller; changes the group's settings only if `may_enable`.
[[nodiscard]] bool passes_on(const std::string& group, const std::string& controller, bool may_enable);
// Forks a child that exits at once into the v2 group. 0 or errno.
[[nodiscard]] int probe_clone_into(const std::string& group_dir);

}  // namespace muster::node

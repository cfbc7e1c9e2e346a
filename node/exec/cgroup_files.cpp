#include "node/exec/cgroup_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

#include "node/exec/system_files.hpp"

namespace muster::node {
namespace {

// A group's entries cost three system calls, but groups within a task's group are rare, so ask only
// for the link count first: a group without subgroups has 2.
std::vector<std::string> subgroups(const std::string& dir) {
  std::vector<std::string> names;
  struct stat info {};
  if (::stat(dir.c_str(), &info) != 0 || info.st_nlink == 2) {
    return names;
  }
  DIR* handle = ::opendir(dir.c_str());
  if (handle == nullptr) {
    return names;
  }
  while (const dirent* entry = ::readdir(handle)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
      names.push_back(dir + "/" + entry->d_name);
    }
  }
  ::closedir(handle);
  return names;
}

bool lists(std::string_view words, std::string_view word) {
  while (!words.empty()) {
    const std::size_t at = words.find_first_of(" \n");
    if (words.substr(0, at) == word) {
      return true;
    }
    if (at == std::string_view::npos) {
      return false;
    }
    words.remove_prefix(at + 1);
  }
  return false;
}

}  // namespace

void FileHandle::reset() {
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

std::string FileHandle::read() const {
  std::array<char, 4096> text;  // filled by pread
  const ssize_t n = ::pread(fd_, text.data(), text.size(), 0);
  return n > 0 ? std::string(text.data(), static_cast<std::size_t>(n)) : std::string();
}

bool FileHandle::write(std::string_view text) const {
  return ::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

FileHandle open_file(const std::string& path, int flags) { return FileHandle(::open(path.c_str(), flags | O_CLOEXEC)); }

bool make_dir(const std::string& path) { return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST; }
bool is_dir(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}
bool is_file(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::string without_newline(std::string text) {
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

void collect_processes(const std::string& dir, std::vector<pid_t>& pids) {
  if (auto text = read_file(dir + "/cgroup.procs")) {
    const std::vector<pid_t> own = pids_in(*text);
    pids.insert(pids.end(), own.begin(), own.end());
  }
  for (const std::string& sub : subgroups(dir)) {
    collect_processes(sub, pids);
  }
}

bool remove_group(const std::string& dir) {
  if (::rmdir(dir.c_str()) == 0 || errno == ENOENT) {
    return true;
  }
  const std::vector<std::string> subs = subgroups(dir);
  bool all = true;
  for (const std::string& sub : subs) {
    all = remove_group(sub) && all;
  }
  return all && !subs.empty() && (::rmdir(dir.c_str()) == 0 || errno == ENOENT);
}

bool passes_on(const std::string& group, const std::string& controller, bool may_enable) {
  auto enabled = read_file(group + "/cgroup.subtree_control");
  if (enabled && lists(*enabled, controller)) {
    return true;
  }
  auto available = read_file(group + "/cgroup.controllers");
  return may_enable && available && lists(*available, controller) &&
         write_existing(group + "/cgroup.subtree_control", "+" + controller).has_value();
}

int probe_clone_into(const std::string& group_dir) {
  const FileHandle group = open_file(group_dir, O_RDONLY | O_DIRECTORY);
  if (!group) {
    return errno;
  }
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP;
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<std::uint64_t>(group.fd());
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof(args)));
  if (pid == 0) {
    ::_exit(0);
  }
  if (pid < 0) {
    return errno;
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return 0;
}

}  // namespace muster::node

#include "node/exec/output_file.hpp"

#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "node/exec/cgroup_files.hpp"
#include "node/exec/system_files.hpp"
#include "wire/base/check.hpp"

namespace muster::node {
namespace {

// This thread's files are opened with the user's rights as long as it lives. System calls, because libc would change
// the groups of every thread of the process.
class FileRights {
 public:
  FileRights(const FileUser& user, const std::vector<gid_t>& groups) {
    const int count = ::getgroups(0, nullptr);
    own_groups_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    if (count < 0 || ::getgroups(count, own_groups_.data()) != count || !set_groups(groups)) {
      return;
    }
    changed_ = true;
    ::setfsgid(user.gid);
    ::setfsuid(user.uid);  // last: from here on nothing is root's
    // They say who it was before, and nothing about success.
    taken_ = static_cast<std::uint32_t>(::setfsuid(static_cast<uid_t>(-1))) == user.uid &&
             static_cast<std::uint32_t>(::setfsgid(static_cast<gid_t>(-1))) == user.gid;
  }
  FileRights(const FileRights&) = delete;
  FileRights& operator=(const FileRights&) = delete;
  ~FileRights() {
    if (!changed_) {
      return;
    }
    ::setfsuid(::geteuid());
    ::setfsgid(::getegid());
    check(set_groups(own_groups_) && static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))) == ::geteuid(),
          "output file: this thread can't become itself again");
  }
  [[nodiscard]] bool taken() const { return taken_; }

 private:
  static bool set_groups(const std::vector<gid_t>& groups) {
    return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
  }
  std::vector<gid_t> own_groups_;
  bool changed_{};
  bool taken_{};
};

Result<std::string> read_part(const OutputReader::Part& part) {
  const FileHandle file = open_file(part.path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) {
    return file_error(errno, part.path);
  }
  struct stat about {};
  std::string data;
  if (::fstat(file.fd(), &about) == 0 && S_ISREG(about.st_mode) && static_cast<std::int64_t>(part.offset) >= 0) {
    data.resize(part.bytes_max);
    const ssize_t n = ::pread(file.fd(), data.data(), data.size(), static_cast<off_t>(part.offset));
    if (n < 0) {
      return file_error(errno, part.path);
    }
    data.resize(static_cast<std::size_t>(n));
  }  // devices and pipes have nothing to give back
  return data;
}

}  // namespace

Result<std::string> OutputReader::read(const Part& part, Instant now) {
  if (!part.as || (part.as->uid == ::geteuid() && ::geteuid() != 0)) {
    return read_part(part);
  }
  const auto& known = groups_.of(part.as->uid, part.as->gid, now);
  const FileRights rights(*part.as, known ? *known : std::vector<gid_t>{part.as->gid});
  if (!rights.taken()) {
    return fail(Errc::permission, part.path + ": the node can't take the rights of user " + std::to_string(part.as->uid));
  }
  return read_part(part);
}

}  // namespace muster::node

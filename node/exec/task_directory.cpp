#include "node/exec/task_directory.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

#include "node/exec/cgroup_files.hpp"
#include "node/exec/system_files.hpp"

namespace muster::node {
namespace {

constexpr int kPieceEntries = 512;

struct Place {
  std::string parent;
  std::string name;
};

Place place_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

FileHandle open_directory(int at, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = ::openat(at, name, kFlags);
  if (fd < 0 && errno == EACCES && ::fchmodat(at, name, 0700, 0) == 0) {
    fd = ::openat(at, name, kFlags);  // ours; its user closed it to itself
  }
  return FileHandle(fd);
}

// Calls `visit(name)` for the entries of a directory until it returns false. False: it can't be read.
template <class Visit>
bool each_entry(int directory, Visit visit) {
  const int fd = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // a position of its own
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fd < 0 ? nullptr : ::fdopendir(fd), ::closedir);
  if (!entries) {
    return false;
  }
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != ".." && !visit(entry->d_name)) {
      break;
    }
  }
  return true;
}

// Pure but for the files. Empties one directory; directories in directories are lifted to the top first.
class Emptier {
 public:
  explicit Emptier(int top) : top_(top) {}
  enum class Result : std::uint8_t { empty, more, stuck };

  Result run() {
    while (true) {
      bool found = false;
      bool removed = false;
      const bool readable = each_entry(top_, [&](const char* name) {
        found = true;
        removed |= remove_entry(top_, name) || lift_and_remove(name);
        return left_ > 0;
      });
      if (left_ <= 0) {
        return Result::more;
      }
      if (!found || !readable || !removed) {
        return !found && readable ? Result::empty : Result::stuck;
      }
    }
  }

 private:
  bool remove_entry(int at, const char* name) {
    --left_;
    return ::unlinkat(at, name, 0) == 0 || errno == ENOENT;
  }
  // True when anything has gone.
  bool lift_and_remove(const char* name) {
    const FileHandle inner = open_directory(top_, name);
    if (!inner) {
      return false;
    }
    static_cast<void>(::fchmod(inner.fd(), 0700));
    bool removed = false;
    each_entry(inner.fd(), [&](const char* entry) {
      removed |= remove_entry(inner.fd(), entry) || lift(inner.fd(), entry);
      return left_ > 0;
    });
    return ::unlinkat(top_, name, AT_REMOVEDIR) == 0 || removed;
  }
  bool lift(int from, const char* name) {
    const std::string lifted = ".lifted-" + std::to_string(::getpid()) + "-" + std::to_string(++lifted_);
    if (::renameat(from, name, top_, lifted.c_str()) == 0) {
      return true;
    }
    // A directory that its user may not write can't be moved.
    return errno == EACCES && ::fchmodat(from, name, 0700, 0) == 0 && ::renameat(from, name, top_, lifted.c_str()) == 0;
  }

  static inline std::uint64_t lifted_{};
  int top_;
  int left_{kPieceEntries};
};

Status make_parents(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0711) == 0) {
      static_cast<void>(::chmod(part.c_str(), 0711));  // whatever our umask is
    } else if (errno != EEXIST) {
      return file_error(errno, part);
    }
  }
  return {};
}

}  // namespace

Status TaskDirectories::make(const std::string& path, const std::optional<FileUser>& user) {
  if (auto made = make_parents(path); !made) {
    return made;
  }
  const Place place = place_of(path);
  const FileHandle parent = open_file(place.parent, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  struct stat about {};
  if (!parent || ::fstat(parent.fd(), &about) != 0) {
    return file_error(errno, place.parent);
  }
  if (about.st_uid != ::geteuid() || (about.st_mode & 022U) != 0) {
    return fail(Errc::permission, place.parent + " must belong to user " + std::to_string(::geteuid()) +
                                      " and be writable by nobody else; remove it, or choose another place");
  }
  if (::mkdirat(parent.fd(), place.name.c_str(), 0700) != 0) {
    if (errno != EEXIST) {
      return file_error(errno, path);
    }
    remove(path);
    if (::mkdirat(parent.fd(), place.name.c_str(), 0700) != 0) {
      return file_error(errno, path);
    }
  }
  if (user && ::fchownat(parent.fd(), place.name.c_str(), user->uid, user->gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return file_error(errno, path);
  }
  return {};
}

void TaskDirectories::remove(const std::string& path) {
  const Place place = place_of(path);
  const FileHandle parent = open_file(place.parent, O_RDONLY | O_DIRECTORY);
  struct stat about {};
  if (!parent || ::fstatat(parent.fd(), place.name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  static std::uint64_t removed = 0;
  const std::string gone = ".gone-" + std::to_string(::getpid()) + "-" + std::to_string(++removed);
  const bool renamed = ::renameat(parent.fd(), place.name.c_str(), parent.fd(), gone.c_str()) == 0;
  rest_.push_front(place.parent + "/" + (renamed ? gone : place.name));
  sweep();
}

void TaskDirectories::sweep() {
  if (rest_.empty()) {
    return;
  }
  const std::string path = rest_.front();
  const Place place = place_of(path);
  const FileHandle parent = open_file(place.parent, O_RDONLY | O_DIRECTORY);
  Emptier::Result result = Emptier::Result::stuck;
  if (parent && ::unlinkat(parent.fd(), place.name.c_str(), 0) == 0) {
    rest_.pop_front();  // it was no directory
    return;
  }
  if (const FileHandle top = parent ? open_directory(parent.fd(), place.name.c_str()) : FileHandle()) {
    if (::geteuid() == 0) {
      static_cast<void>(::fchown(top.fd(), 0, 0));  // whoever still has it open adds nothing to it
    }
    static_cast<void>(::fchmod(top.fd(), 0700));
    result = Emptier(top.fd()).run();
  }
  if (result == Emptier::Result::more) {
    return;
  }
  rest_.pop_front();
  if (parent && ::unlinkat(parent.fd(), place.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    std::fprintf(stderr, "muster-launcher: a task's directory stays behind: %s\n",
                 file_error(errno, path).value().text.c_str());
  }
}

}  // namespace muster::node

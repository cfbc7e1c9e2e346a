#include "node/exec/run_log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "node/exec/system_files.hpp"

namespace muster::node {
namespace {

// Disk space is taken this far ahead, so that a full disk is noticed before a record is cut.
constexpr std::int64_t kReserveBytes = std::int64_t{1} << 20;

std::string path_in(const std::string& directory) { return directory + "/run.log"; }

bool write_all(int fd, std::string_view bytes, std::size_t& written) {
  written = 0;
  while (written < bytes.size()) {
    const ssize_t n = ::write(fd, bytes.data() + written, bytes.size() - written);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    written += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

RunLogFile::~RunLogFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

Result<run_log::Contents> RunLogFile::read(const std::string& directory) {
  const std::string path = path_in(directory);
  auto bytes = read_file(path);
  if (!bytes) {
    if (bytes.error().code == Errc::not_found) {
      return run_log::Contents{};
    }
    return tl::unexpected(bytes.error());
  }
  return run_log::decode(*bytes, path);
}

Status RunLogFile::rewrite(const std::string& directory, const run_log::Head& head,
                           const std::vector<const run_log::LoggedTask*>& tasks,
                           const std::vector<AttemptKey>& forgotten) {
  const std::string path = path_in(directory);
  const std::string next = path + ".new";
  std::size_t records = 0;
  const std::string bytes = run_log::encode_file(head, tasks, forgotten, records);
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) {
    return fail_errno(errno, next);
  }
  std::size_t written = 0;
  if (!write_all(fd, bytes, written) || ::rename(next.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::close(fd);
    ::unlink(next.c_str());
    return fail_errno(error, next);
  }
  if (fd_ < 0) {
    fd_ = fd;
  } else {
    ::dup3(fd, fd_, O_CLOEXEC);  // the number stays: children keep the low ones
    ::close(fd);
  }
  records_ = records;
  unwritten_.clear();
  unwritten_records_ = 0;
  reserved_until_ = 0;
  reserve_space();
  return {};
}

void RunLogFile::add(std::string record) {
  unwritten_ += record;
  ++unwritten_records_;
}

Status RunLogFile::flush() {
  if (unwritten_.empty()) {
    return {};
  }
  reserve_space();
  const off_t before = ::lseek(fd_, 0, SEEK_END);
  std::size_t written = 0;
  if (!write_all(fd_, unwritten_, written)) {
    const int error = errno;
    // Ranks append too: cut the part off only while nothing follows it.
    if (written > 0 && ::lseek(fd_, 0, SEEK_END) == before + static_cast<off_t>(written)) {
      [[maybe_unused]] const int cut = ::ftruncate(fd_, before);
    }
    return fail_errno(error, "run log");
  }
  records_ += unwritten_records_;
  unwritten_.clear();
  unwritten_records_ = 0;
  return {};
}

void RunLogFile::reserve_space() {
  struct stat info {};
  if (::fstat(fd_, &info) == 0 && info.st_size + kReserveBytes / 2 > reserved_until_) {
    if (::fallocate(fd_, FALLOC_FL_KEEP_SIZE, info.st_size, kReserveBytes) == 0) {
      reserved_until_ = info.st_size + kReserveBytes;
    } else {
      reserved_until_ = info.st_size + kReserveBytes;  // not supported here: don't ask at every flush
    }
  }
}

}  // namespace muster::node

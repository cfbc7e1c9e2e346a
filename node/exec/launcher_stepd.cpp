// Launcher: what only the task of a step daemon has: its input, its report and its directory.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "node/exec/launcher.hpp"
#include "node/exec/system_files.hpp"

namespace muster::node {

Result<FileHandle> Launcher::open_stepd(Task& task) {
  TaskStart& start = task.known.task;
  if (!start.directory.empty()) {
    const auto user = start.switch_user ? std::optional(FileUser{start.uid, start.gid}) : std::nullopt;
    if (auto made = directories_.make(start.directory, user); !made) {
      return fail(made.error().code, "the task's directory can't be made: " + made.error().text);
    }
  }
  if (start.has_report) {
    task.report = FileHandle(::memfd_create("muster-report", MFD_CLOEXEC));
    if (!task.report) {
      return fail_errno(errno, "the task's report can't be made");
    }
  }
  if (start.input.empty()) {
    return FileHandle();
  }
  FileHandle input(::memfd_create("muster-input", MFD_CLOEXEC));
  for (std::size_t at = 0; input && at < start.input.size();) {
    // Not by write: who reads it begins at 0.
    const ssize_t n = ::pwrite(input.fd(), start.input.data() + at, start.input.size() - at, static_cast<off_t>(at));
    if (n < 0 && errno != EINTR) {
      return fail_errno(errno, "the task's input can't be written");
    }
    at += n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  if (!input) {
    return fail_errno(errno, "the task's input can't be made");
  }
  std::string().swap(start.input);
  return input;
}

void Launcher::close_stepd(Task& task, event::Ended& ended) {
  if (!task.known.task.directory.empty()) {
    directories_.remove(task.known.task.directory);
  }
  if (!task.report) {
    return;
  }
  ended.report.resize(kReportMax);
  const ssize_t n = ::pread(task.report.fd(), ended.report.data(), ended.report.size(), 0);
  ended.report.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  task.report.reset();
  if (ended.report.empty() && ended.state == TaskState::finished) {
    const std::string how = ended.signal != 0 ? "by signal " + std::to_string(ended.signal)
                                              : "with code " + std::to_string(ended.exit_code);
    ended.text = "the step daemon ended " + how + " and left no report";
  }
}

}  // namespace muster::node

// The run log as a file: `<directory>/run.log`. The format is in run_log.hpp.
#pragma once

#include <string>
#include <vector>

#include "node/exec/run_log.hpp"

namespace muster::node {

// Owned by the launcher's thread. A process that only wants to look uses read().
class RunLogFile {
 public:
  RunLogFile() = default;
  RunLogFile(const RunLogFile&) = delete;
  RunLogFile& operator=(const RunLogFile&) = delete;
  ~RunLogFile();

  // What the file says; empty contents when there is none. malformed: damaged before its end. io.
  [[nodiscard]] static Result<run_log::Contents> read(const std::string& directory);

  // Replaces the file by one that holds `tasks` and `forgotten`, and keeps it open for appending.
  // REQUIRES: no other process may still append to the earlier file.
  [[nodiscard]] Status rewrite(const std::string& directory, const run_log::Head& head,
                               const std::vector<const run_log::LoggedTask*>& tasks,
                               const std::vector<AttemptKey>& forgotten);

  // Appends at the next flush().
  void add(std::string record);
  // One write for all that was added. io: nothing counts as written, the records stay for the next
  // flush(), and the file is cut back to its whole records if it was written in part.
  [[nodiscard]] Status flush();
  [[nodiscard]] bool has_unwritten() const { return !unwritten_.empty(); }
  // A record that another process appended through fd().
  void count_foreign_record() { ++records_; }

  // Opened for appending: one write of a whole record is atomic among processes.
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::size_t records() const { return records_; }

 private:
  void reserve_space();

  int fd_{-1};
  std::size_t records_{0};
  std::size_t unwritten_records_{0};
  std::string unwritten_;
  std::int64_t reserved_until_{0};
};

}  // namespace muster::node

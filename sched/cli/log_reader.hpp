// LogReader: one output file of a job, read from the node that has it. Owned by one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sched/cli/session.hpp"

namespace muster::cli {

struct LogSource {
  std::string node;
  std::string endpoint;       // of the node's job conversation
  std::uint64_t token_hi{};
  std::uint64_t token_lo{};
  std::uint64_t job{};
  std::uint32_t index{};
  std::int32_t rank{-1};      // -1: the first rank of the node
  fb::LogStream stream{};
};

class LogReader {
 public:
  explicit LogReader(LogSource source) : source_(std::move(source)) {}

  struct Piece {
    std::string data;
    bool at_end{};   // nothing after it now
    bool ended{};    // and nothing will follow
  };
  // What follows the pieces read so far. Errc::not_found when the node knows no such output (yet).
  [[nodiscard]] Result<Piece> next(Session& session, Instant deadline);
  [[nodiscard]] const LogSource& source() const { return source_; }
  [[nodiscard]] const std::string& path() const { return path_; }  // on the node; known after the first piece
  // Ends waits of next() early.
  void interrupt_on(int fd) { interrupt_fd_ = fd; }

 private:
  LogSource source_;
  std::string path_;
  std::uint64_t offset_{};
  int interrupt_fd_{-1};
  std::unique_ptr<Conversation> node_;
};

// Where the output of one element (0 for a job that is no array) is. `job` with details, its elements included.
[[nodiscard]] std::vector<LogSource> log_sources(const fb::JobRowT& job, std::uint32_t index, fb::LogStream stream);
// On this machine: two such sources with equal paths are one file.
[[nodiscard]] bool is_same_file(const LogReader& a, const LogReader& b);

// All of it to a descriptor. False when nobody reads any more.
[[nodiscard]] bool write_all(int fd, std::string_view data);

}  // namespace muster::cli

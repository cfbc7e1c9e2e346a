// SqliteStore: the gang's durable record in one SQLite file (WAL, every commit synced). Owned by the shell's thread;
// commit() blocks for the disk.
//
// A batch is one transaction. What commit() returned Ok for survives kill -9 and power loss. Any error of a commit is
// final: the caller ends the daemon with its text and never retries, because nobody knows what the disk still holds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sched/gang/store.hpp"
#include "wire/base/result.hpp"

namespace muster::gang {

class SqliteStore {
 public:
  // Creates the file if needed. Errors name the path and the way out:
  //   Errc::conflict    another gang has it open       Errc::malformed  damaged, or no store of ours
  //   Errc::unsupported of a later version             Errc::io         the system refuses
  [[nodiscard]] static Result<SqliteStore> open(const std::string& path);
  ~SqliteStore();
  SqliteStore(SqliteStore&&) noexcept;
  SqliteStore& operator=(SqliteStore&&) noexcept;

  // All unfinished jobs, and the `ended_kept` that ended last.
  [[nodiscard]] Result<LoadedState> load(std::uint32_t ended_kept);
  [[nodiscard]] Status commit(const StoreBatch& batch);

  // For the shell's own words (framework id, incarnation), each durable when it returns.
  [[nodiscard]] Result<std::string> meta(const std::string& key);  // "" if unknown
  [[nodiscard]] Status set_meta(const std::string& key, const std::string& value);

 private:
  struct Impl;
  explicit SqliteStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muster::gang

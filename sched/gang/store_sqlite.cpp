#include "sched/gang/store_sqlite.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "sched/gang/job_spec.hpp"
#include "sched/gang/record_codec.hpp"

namespace muster::gang {
namespace {

constexpr int kSchemaVersion = 2;
constexpr int kApplicationId = 0x4d535452;  // "MSTR"

constexpr const char* kSchema = R"(
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE jobs (
    job INTEGER PRIMARY KEY, key_hi INTEGER NOT NULL, key_lo INTEGER NOT NULL, spec BLOB NOT NULL,
    submitted_ns INTEGER NOT NULL, token_hi INTEGER NOT NULL, token_lo INTEGER NOT NULL,
    held INTEGER NOT NULL, cancelled INTEGER NOT NULL, state INTEGER NOT NULL, ended_ns INTEGER NOT NULL);
  CREATE INDEX jobs_by_end ON jobs (state, ended_ns);
  CREATE TABLE attempts (
    job INTEGER NOT NULL, idx INTEGER NOT NULL, try INTEGER NOT NULL, state INTEGER NOT NULL,
    exit_code INTEGER NOT NULL, signal INTEGER NOT NULL, launched_ns INTEGER NOT NULL, started_ns INTEGER NOT NULL,
    ended_ns INTEGER NOT NULL, cpu_time_us INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL,
    flags INTEGER NOT NULL, reason TEXT NOT NULL, cpus TEXT NOT NULL, places BLOB NOT NULL, ends BLOB,
    report BLOB,
    PRIMARY KEY (job, idx, try)) WITHOUT ROWID;
  CREATE TABLE ended_elements (
    job INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, state INTEGER NOT NULL,
    reason TEXT NOT NULL, ended_ns INTEGER NOT NULL);
  CREATE INDEX ended_elements_by_job ON ended_elements (job);
)";

enum Statement : std::size_t {
  kBegin, kCommit, kPutJob, kPutAttempt, kSetHeld, kSetCancelled, kEndElements, kEndJob, kSetMeta, kGetMeta,
  kJobs, kAttempts, kRanges, kNextJob, kAllMeta, kStatements
};

constexpr const char* kSql[kStatements] = {
    "BEGIN IMMEDIATE",
    "COMMIT",
    "INSERT INTO jobs VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,0,0)",
    "INSERT OR REPLACE INTO attempts VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)",
    "UPDATE jobs SET held=?2 WHERE job=?1",
    "UPDATE jobs SET cancelled=1 WHERE job=?1",
    "INSERT INTO ended_elements VALUES (?1,?2,?3,?4,?5,?6)",
    "UPDATE jobs SET state=?2, ended_ns=?3 WHERE job=?1",
    "INSERT OR REPLACE INTO meta VALUES (?1,?2)",
    "SELECT value FROM meta WHERE key=?1",
    "SELECT * FROM jobs WHERE state=0 OR job IN (SELECT job FROM jobs WHERE state<>0 ORDER BY ended_ns DESC, job DESC "
    "LIMIT ?1) ORDER BY CASE WHEN state=0 THEN 1 ELSE 0 END, ended_ns, job",
    "SELECT * FROM attempts WHERE job=?1 ORDER BY idx, try",
    "SELECT first,last,state,reason,ended_ns FROM ended_elements WHERE job=?1 ORDER BY rowid",
    "SELECT coalesce(max(job),0)+1 FROM jobs",
    "SELECT key,value FROM meta ORDER BY key",
};

[[nodiscard]] std::int64_t as_signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }
[[nodiscard]] std::uint64_t as_unsigned(std::int64_t value) { return static_cast<std::uint64_t>(value); }

}  // namespace

struct SqliteStore::Impl {
  ~Impl() {
    for (sqlite3_stmt* statement : statements) {
      sqlite3_finalize(statement);
    }
    sqlite3_close(db);
  }

  [[nodiscard]] tl::unexpected<Error> failure(const std::string& doing) const {
    const int code = sqlite3_errcode(db);
    const std::string where = "gang store " + path + ": ";
    switch (code & 0xff) {
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return fail(Errc::conflict, where + "another muster-gang has it open; stop that one first");
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return fail(Errc::malformed, where + "is damaged (" + sqlite3_errmsg(db) +
                                         "): move it away to start empty, or put a backup in its place");
      case SQLITE_FULL:
        return fail(Errc::io, where + "the disk is full while " + doing + ": free some space, then start muster-gang again");
      default:
        return fail(Errc::io, where + doing + ": " + sqlite3_errmsg(db) + " (" + std::to_string(sqlite3_extended_errcode(db)) + ")");
    }
  }

  [[nodiscard]] Status execute(const char* sql, const std::string& doing) {
    if (sqlite3_exec(db, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
      return failure(doing);
    }
    return {};
  }

  // A bound statement, used once. Parameters are numbered from 1 in the order they are given.
  class Use {
   public:
    Use(Impl& store, Statement which) : statement_(store.statements[which]) {}
    ~Use() {
      sqlite3_reset(statement_);
      sqlite3_clear_bindings(statement_);
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Use& add(std::int64_t value) { sqlite3_bind_int64(statement_, ++at_, value); return *this; }
    Use& add(std::uint64_t value) { return add(as_signed(value)); }
    Use& add(std::uint32_t value) { return add(std::int64_t{value}); }
    Use& add(std::int32_t value) { return add(std::int64_t{value}); }
    Use& add(JobState value) { return add(static_cast<std::int64_t>(value)); }
    Use& add(const std::string& text) {
      sqlite3_bind_text64(statement_, ++at_, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
      return *this;
    }
    Use& add(const FrameBytes& bytes) {
      sqlite3_bind_blob64(statement_, ++at_, bytes.data(), bytes.size(), SQLITE_STATIC);
      return *this;
    }
    Use& add_blob(const std::string& bytes) {
      sqlite3_bind_blob64(statement_, ++at_, bytes.empty() ? nullptr : bytes.data(), bytes.size(), SQLITE_STATIC);
      return *this;
    }
    [[nodiscard]] int step() { return sqlite3_step(statement_); }
    [[nodiscard]] std::int64_t integer(int column) { return sqlite3_column_int64(statement_, column); }
    [[nodiscard]] std::string text(int column) {
      const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
      return data == nullptr ? std::string() : std::string(data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
    }
    [[nodiscard]] FrameBytes bytes(int column) {
      const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
      return data == nullptr ? FrameBytes() : FrameBytes(data, data + sqlite3_column_bytes(statement_, column));
    }

   private:
    sqlite3_stmt* statement_;
    int at_{};
  };

  [[nodiscard]] Status run(Use& use, const char* doing) {
    if (use.step() != SQLITE_DONE) {
      return failure(doing);
    }
    return {};
  }

  [[nodiscard]] Status write(const op::PutJob& put);
  [[nodiscard]] Status write(const op::PutAttempt& put);
  [[nodiscard]] Status write(const op::SetHeld& set);
  [[nodiscard]] Status write(const op::SetCancelled& set);
  [[nodiscard]] Status write(const op::EndElements& end);
  [[nodiscard]] Status write(const op::EndJob& end);
  [[nodiscard]] Status write(const op::SetMeta& set);
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status load_parts(LoadedJob& job);

  std::string path;
  sqlite3* db{};
  sqlite3_stmt* statements[kStatements]{};
};

SqliteStore::SqliteStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteStore::~SqliteStore() = default;
SqliteStore::SqliteStore(SqliteStore&&) noexcept = default;
SqliteStore& SqliteStore::operator=(SqliteStore&&) noexcept = default;

Status SqliteStore::Impl::prepare() {
  // EXCLUSIVE: one gang per store, and no shared-memory file that a crash could leave behind.
  for (const char* pragma : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
                             "PRAGMA wal_autocheckpoint=4000", "PRAGMA temp_store=MEMORY"}) {
    if (auto done = execute(pragma, "opening"); !done) {
      return done;
    }
  }
  // Takes the lock now, not at the first commit.
  if (auto done = execute("BEGIN EXCLUSIVE", "opening"); !done) {
    return done;
  }
  const auto number = [this](const char* pragma) {
    sqlite3_stmt* statement = nullptr;
    std::int64_t value = -1;
    if (sqlite3_prepare_v2(db, pragma, -1, &statement, nullptr) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
      value = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return value;
  };
  const std::int64_t application = number("PRAGMA application_id");
  const std::int64_t version = number("PRAGMA user_version");
  if (application < 0 || version < 0) {
    return failure("reading its header");
  }
  if (version == 0 && application == 0 && number("SELECT count(*) FROM sqlite_master") == 0) {
    const std::string stamp = "PRAGMA application_id=" + std::to_string(kApplicationId) +
                              "; PRAGMA user_version=" + std::to_string(kSchemaVersion);
    if (auto done = execute(kSchema, "creating its tables"); !done) {
      return done;
    }
    if (auto done = execute(stamp.c_str(), "creating its tables"); !done) {
      return done;
    }
  } else if (application != kApplicationId) {
    return fail(Errc::malformed, "gang store " + path + ": is a SQLite file of something else; move it away");
  } else if (version == 1) {
    const std::string change = "ALTER TABLE attempts ADD COLUMN report BLOB; PRAGMA user_version=" + std::to_string(kSchemaVersion);
    if (auto done = execute(change.c_str(), "adding what this version keeps"); !done) {
      return done;
    }
  } else if (version != kSchemaVersion) {
    return fail(Errc::unsupported, "gang store " + path + ": has version " + std::to_string(version) +
                                       ", this program knows version " + std::to_string(kSchemaVersion) +
                                       ": use the program that wrote it");
  }
  if (auto done = execute("COMMIT", "opening"); !done) {
    return done;
  }
  sqlite3_stmt* check = nullptr;
  std::string verdict = "no answer";
  if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &check, nullptr) == SQLITE_OK && sqlite3_step(check) == SQLITE_ROW) {
    verdict = reinterpret_cast<const char*>(sqlite3_column_text(check, 0));
  }
  sqlite3_finalize(check);
  if (verdict != "ok") {
    return fail(Errc::malformed, "gang store " + path + ": is damaged (" + verdict +
                                     "): move it away to start empty, or put a backup in its place");
  }
  for (std::size_t i = 0; i < kStatements; ++i) {
    if (sqlite3_prepare_v3(db, kSql[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], nullptr) != SQLITE_OK) {
      return failure("preparing statements");
    }
  }
  return {};
}

Result<SqliteStore> SqliteStore::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  if (sqlite3_open_v2(path.c_str(), &impl->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) !=
      SQLITE_OK) {
    return impl->failure("opening");
  }
  if (auto ready = impl->prepare(); !ready) {
    return tl::unexpected(ready.error());
  }
  return SqliteStore(std::move(impl));
}

// ---- writing

Status SqliteStore::Impl::write(const op::PutJob& put) {
  const JobRecord& job = put.job;
  Use use(*this, kPutJob);
  use.add(job.job.value()).add(job.key_hi).add(job.key_lo).add(job.spec).add(job.submitted.ns());
  use.add(job.token_hi).add(job.token_lo).add(std::int64_t{job.held}).add(std::int64_t{job.cancelled});
  return run(use, "writing a job");
}

Status SqliteStore::Impl::write(const op::PutAttempt& put) {
  const AttemptRecord& a = put.attempt;
  const FrameBytes places = pack_places(a);
  const FrameBytes ends = pack_ends(a.ends);
  Use use(*this, kPutAttempt);
  use.add(a.job.value()).add(a.index).add(a.try_number).add(a.state).add(a.exit_code).add(a.signal);
  use.add(a.launched.ns()).add(a.started.ns()).add(a.ended.ns()).add(a.cpu_time_us).add(a.memory_peak_bytes);
  use.add(std::int64_t{a.cancelled ? 1 : 0} | std::int64_t{a.requeued ? 2 : 0}).add(a.reason).add(a.cpus);
  use.add(places).add(ends).add_blob(a.report);
  return run(use, "writing an attempt");
}

Status SqliteStore::Impl::write(const op::SetHeld& set) {
  Use use(*this, kSetHeld);
  use.add(set.job.value()).add(std::int64_t{set.held});
  return run(use, "writing a hold");
}

Status SqliteStore::Impl::write(const op::SetCancelled& set) {
  Use use(*this, kSetCancelled);
  use.add(set.job.value());
  return run(use, "writing a cancel");
}

Status SqliteStore::Impl::write(const op::EndElements& end) {
  Use use(*this, kEndElements);
  use.add(end.job.value()).add(end.first).add(end.last).add(end.state).add(end.reason).add(end.ended.ns());
  return run(use, "writing the end of elements");
}

Status SqliteStore::Impl::write(const op::EndJob& end) {
  Use use(*this, kEndJob);
  use.add(end.job.value()).add(end.state).add(end.ended.ns());
  return run(use, "writing the end of a job");
}

Status SqliteStore::Impl::write(const op::SetMeta& set) {
  Use use(*this, kSetMeta);
  use.add(set.key).add(set.value);
  return run(use, "writing a setting");
}

Status SqliteStore::commit(const StoreBatch& batch) {
  {
    Impl::Use begin(*impl_, kBegin);
    if (auto done = impl_->run(begin, "beginning a batch"); !done) {
      return done;
    }
  }
  for (const StoreOp& op : batch.ops) {
    if (auto done = std::visit([this](const auto& o) { return impl_->write(o); }, op); !done) {
      return done;
    }
  }
  Impl::Use commit(*impl_, kCommit);
  return impl_->run(commit, "committing a batch");
}

Result<std::string> SqliteStore::meta(const std::string& key) {
  Impl::Use use(*impl_, kGetMeta);
  use.add(key);
  const int result = use.step();
  if (result == SQLITE_ROW) {
    return use.text(0);
  }
  if (result != SQLITE_DONE) {
    return impl_->failure("reading a setting");
  }
  return std::string();
}

Status SqliteStore::set_meta(const std::string& key, const std::string& value) {
  return commit(StoreBatch{0, {op::SetMeta{key, value}}});
}

// ---- reading

Status SqliteStore::Impl::load_parts(LoadedJob& job) {
  const std::string name = "job " + std::to_string(job.job.job.value());
  Use attempts(*this, kAttempts);
  attempts.add(job.job.job.value());
  int result = SQLITE_ROW;
  while ((result = attempts.step()) == SQLITE_ROW) {
    AttemptRecord& a = job.attempts.emplace_back();
    a.job = job.job.job;
    a.index = static_cast<std::uint32_t>(attempts.integer(1));
    a.try_number = static_cast<std::uint32_t>(attempts.integer(2));
    a.state = static_cast<JobState>(attempts.integer(3));
    a.exit_code = static_cast<std::int32_t>(attempts.integer(4));
    a.signal = static_cast<std::int32_t>(attempts.integer(5));
    a.launched = WallTime::from_ns(attempts.integer(6));
    a.started = WallTime::from_ns(attempts.integer(7));
    a.ended = WallTime::from_ns(attempts.integer(8));
    a.cpu_time_us = as_unsigned(attempts.integer(9));
    a.memory_peak_bytes = as_unsigned(attempts.integer(10));
    a.cancelled = (attempts.integer(11) & 1) != 0;
    a.requeued = (attempts.integer(11) & 2) != 0;
    a.reason = attempts.text(12);
    a.cpus = attempts.text(13);
    a.report = attempts.text(16);
    const bool good = unpack_places(attempts.bytes(14), a) && unpack_ends(attempts.bytes(15), a.ends);
    if (!good || a.nodes.empty() || a.state > JobState::Lost) {
      return fail(Errc::malformed, "gang store " + path + ": an attempt of " + name +
                                       " does not read back: put a backup in the store's place");
    }
  }
  if (result != SQLITE_DONE) {
    return failure("reading attempts");
  }
  Use ranges(*this, kRanges);
  ranges.add(job.job.job.value());
  while ((result = ranges.step()) == SQLITE_ROW) {
    job.ended_elements.push_back({job.job.job, static_cast<std::uint32_t>(ranges.integer(0)),
                                  static_cast<std::uint32_t>(ranges.integer(1)), static_cast<JobState>(ranges.integer(2)),
                                  ranges.text(3), WallTime::from_ns(ranges.integer(4))});
  }
  if (result != SQLITE_DONE) {
    return failure("reading ended elements");
  }
  return {};
}

Result<LoadedState> SqliteStore::load(std::uint32_t ended_kept) {
  LoadedState state;
  int result = SQLITE_ROW;
  {
    Impl::Use next(*impl_, kNextJob);
    if (next.step() != SQLITE_ROW) {
      return impl_->failure("reading job numbers");
    }
    state.next_job = as_unsigned(next.integer(0));
  }
  Impl::Use jobs(*impl_, kJobs);
  jobs.add(ended_kept);
  while ((result = jobs.step()) == SQLITE_ROW) {
    LoadedJob& job = state.jobs.emplace_back();
    job.job.job = JobId(as_unsigned(jobs.integer(0)));
    job.job.key_hi = as_unsigned(jobs.integer(1));
    job.job.key_lo = as_unsigned(jobs.integer(2));
    job.job.spec = jobs.bytes(3);
    job.job.submitted = WallTime::from_ns(jobs.integer(4));
    job.job.token_hi = as_unsigned(jobs.integer(5));
    job.job.token_lo = as_unsigned(jobs.integer(6));
    job.job.held = jobs.integer(7) != 0;
    job.job.cancelled = jobs.integer(8) != 0;
    job.state = static_cast<JobState>(jobs.integer(9));
    job.ended = WallTime::from_ns(jobs.integer(10));
    if (!verifies_as_job_spec(job.job.spec) || job.state > JobState::Lost) {
      return fail(Errc::malformed, "gang store " + impl_->path + ": job " + std::to_string(job.job.job.value()) +
                                       " does not read back: put a backup in the store's place");
    }
  }
  if (result != SQLITE_DONE) {
    return impl_->failure("reading jobs");
  }
  for (LoadedJob& job : state.jobs) {
    if (auto done = impl_->load_parts(job); !done) {
      return tl::unexpected(done.error());
    }
  }
  Impl::Use meta(*impl_, kAllMeta);
  while ((result = meta.step()) == SQLITE_ROW) {
    state.meta.emplace_back(meta.text(0), meta.text(1));
  }
  if (result != SQLITE_DONE) {
    return impl_->failure("reading settings");
  }
  return state;
}

}  // namespace muster::gang

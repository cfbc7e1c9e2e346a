// BenchRun: what the kinds of `muster bench` share: the lock, the look at the cluster before, own jobs ended after. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "sched/cli/bench_report.hpp"
#include "sched/cli/gang_client.hpp"
#include "sched/cli/session.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/signals.hpp"

namespace muster::cli {

// The name of all jobs and of the framework.
inline constexpr const char* kBenchName = "muster-bench";

class BenchRun {
 public:
  // Errors name what stands in the way: another bench, other jobs that wait, no node, no free cpu.
  [[nodiscard]] static Result<std::unique_ptr<BenchRun>> prepare(Session& session, const BenchCommand& command);

  [[nodiscard]] Session& session() { return session_; }
  [[nodiscard]] const SignalFd& signals() const { return signals_; }
  // Ctrl-C has come.
  [[nodiscard]] bool interrupted();
  // Sleeps, but not through a Ctrl-C.
  void pause(Duration time);

  // Free places for a job of one cpu.
  [[nodiscard]] std::uint64_t slots() const { return slots_; }
  // The kept connection to the batch scheduler, opened at the first call.
  [[nodiscard]] Result<GangClient*> gang();
  // A report with what is known before anything is measured.
  [[nodiscard]] BenchReport report(std::string bench, std::string unit) const;
  // How far it is, on a terminal: "120 of 200". Empty: wiped out.
  void show(const std::string& text);

  // Ends our jobs that have not ended, and waits for it. A second Ctrl-C leaves them: false, and said why.
  bool clean_up();

 private:
  BenchRun(Session& session, SignalFd signals, LockFile lock)
      : session_(session), signals_(std::move(signals)), lock_(std::move(lock)) {}
  [[nodiscard]] Status look_at_nodes(bool force);
  [[nodiscard]] Status look_at_jobs(bool force);

  Session& session_;
  SignalFd signals_;
  LockFile lock_;
  std::optional<GangClient> gang_;
  bool interrupted_{};
  bool shown_{};
  Instant shown_at_{};
  std::uint64_t nodes_{};
  std::uint64_t cpus_milli_{};
  std::uint64_t slots_{};
  std::uint64_t others_running_{};
};

// What each kind measures. Errors: also Errc::timed_out after a Ctrl-C (see BenchRun::interrupted).
[[nodiscard]] Result<BenchReport> bench_latency(BenchRun& run, const BenchCommand& command);
[[nodiscard]] Result<BenchReport> bench_throughput(BenchRun& run, const BenchCommand& command);
[[nodiscard]] Result<BenchReport> bench_offers(BenchRun& run, const BenchCommand& command);

}  // namespace muster::cli

#include "sched/cli/bench_run.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "sched/cli/cluster_queries.hpp"
#include "sched/cli/job_queries.hpp"
#include "sched/cli/table.hpp"

namespace muster::cli {
namespace {

constexpr MilliCpus kSlotMilli = 1000;
constexpr Duration kCleanUp = Duration::from_seconds(10);
constexpr Duration kShowInterval = Duration::from_ms(100);

}  // namespace

Result<std::unique_ptr<BenchRun>> BenchRun::prepare(Session& session, const BenchCommand& command) {
  // Before any thread starts: ZeroMQ's inherit what is blocked.
  auto signals = SignalFd::open({SIGINT, SIGTERM, SIGHUP});
  if (!signals) {
    return tl::unexpected(signals.error());
  }
  auto lock = LockFile::acquire(session.place().dir + "/bench.lock", "another `muster bench` of " + session.place().dir);
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  std::unique_ptr<BenchRun> run(new BenchRun(session, *std::move(signals), *std::move(lock)));
  // Offers are the master's: they can be measured without a batch scheduler.
  const bool needs_gang = command.kind != BenchKind::offers;
  if (auto ok = run->look_at_jobs(command.force); !ok && (needs_gang || ok.error().code != Errc::unreachable)) {
    return tl::unexpected(ok.error());
  }
  if (auto ok = run->look_at_nodes(command.force); !ok) {
    return tl::unexpected(ok.error());
  }
  return run;
}

Status BenchRun::look_at_nodes(bool force) {
  const auto reply = fetch_rows(session_, fb::Subject::Nodes, "");
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  std::uint64_t whole = 0;
  for (const auto& node : reply->nodes) {
    if (node->state != fb::NodeState::Up || !node->capacity || !node->capacity->amounts) {
      continue;
    }
    const std::uint64_t cpus = node->capacity->amounts->cpus_milli();
    const std::uint64_t used = node->used && node->used->amounts ? node->used->amounts->cpus_milli() : 0;
    ++nodes_;
    cpus_milli_ += cpus;
    whole += cpus / kSlotMilli;
    slots_ += (cpus - std::min(cpus, used)) / kSlotMilli;
  }
  const std::string hint = session_.place().hint();
  if (reply->nodes.empty()) {
    return fail(Errc::refused, "no node has registered in this cluster: nothing would run; look: muster nodes" + hint);
  }
  if (nodes_ == 0) {
    return fail(Errc::refused, "none of the " + counted(reply->nodes.size(), "node") +
                                   " takes work (drained or lost): nothing would run; look: muster nodes" + hint +
                                   ", and let one work again: muster undrain" + hint + " NODE");
  }
  if (whole == 0) {
    return fail(Errc::refused, "no node has a whole cpu, which a job of the benchmark takes; look: muster nodes" + hint);
  }
  if (slots_ == 0 && !force) {
    return fail(Errc::refused, "no cpu is free (all " + format_cpus(static_cast<MilliCpus>(cpus_milli_)) +
                                   " in use): nothing would start; wait for the jobs: muster wait" + hint +
                                   ", or measure how long one waits: --force");
  }
  return {};
}

Status BenchRun::look_at_jobs(bool force) {
  fb::QueryJobsT question;
  question.states = {fb::JobState::Pending, fb::JobState::Running, fb::JobState::Completing};
  const auto jobs = fetch_jobs(session_, question, 10'000, session_.deadline());
  if (!jobs) {
    return tl::unexpected(jobs.error());
  }
  std::uint64_t pending = 0;
  std::uint64_t ours = 0;
  for (const fb::JobRowT& job : jobs->jobs) {
    for (const fb::StateCount& count : job.counts) {
      if (count.state() != fb::JobState::Pending) {
        others_running_ += count.state() < fb::JobState::Completed ? count.count() : 0;
      } else if (!job.held) {
        pending += count.count();
        ours += job.name == kBenchName ? count.count() : 0;
      }
    }
  }
  const std::string hint = session_.place().hint();
  if (pending > 0 && !force) {
    const bool left_over = ours == pending;
    return fail(Errc::conflict, counted(pending, "job") + (pending == 1 ? " waits" : " wait") +
                                    (left_over ? ", left by a bench that was killed" : "") +
                                    ": the figures would not be of an idle cluster; " +
                                    (left_over ? "end them: muster cancel" + hint + " --name " + kBenchName
                                               : "wait for them: muster wait" + hint) +
                                    ", or measure all the same: --force");
  }
  if (pending > 0 || others_running_ > 0) {
    complain(std::to_string(pending) + " other jobs wait and " + std::to_string(others_running_) +
             " run: the figures are not of an idle cluster");
  }
  return {};
}

bool BenchRun::interrupted() {
  interrupted_ = interrupted_ || signals_.next().has_value();
  return interrupted_;
}

void BenchRun::pause(Duration time) { wait_readable(signals_.fd(), mono_now() + time); }

Result<GangClient*> BenchRun::gang() {
  if (!gang_) {
    auto gang = GangClient::connect(session_.context(), session_.place().dir, session_.common().timeout);
    if (!gang) {
      return tl::unexpected(gang.error());
    }
    gang_ = *std::move(gang);
    gang_->interrupt_on(signals_.fd());
  }
  return &*gang_;
}

BenchReport BenchRun::report(std::string bench, std::string unit) const {
  BenchReport report;
  report.bench = std::move(bench);
  report.unit = std::move(unit);
  report.nodes = nodes_;
  report.cpus_milli = cpus_milli_;
  report.others_running = others_running_;
  report.machine_cpus = std::max(1U, std::thread::hardware_concurrency());
  if (double load = 0; ::getloadavg(&load, 1) == 1) {
    report.load_before = load;
    if (load > report.machine_cpus) {
      report.remarks.push_back("this machine was busy before: " + three_digits(load) + " processes wanted its " +
                               counted(report.machine_cpus, "cpu") + " (a minute's mean)");
    }
  }
  report.cluster = counted(nodes_, "node") + " with " + format_cpus(static_cast<MilliCpus>(cpus_milli_)) + " cpus" +
                   (others_running_ == 0 ? "" : ", while " + counted(others_running_, "other job") + " ran");
  return report;
}

void BenchRun::show(const std::string& text) {
  if (::isatty(STDERR_FILENO) != 1) {
    return;
  }
  const Instant now = mono_now();
  if (text.empty() ? !shown_ : now - shown_at_ < kShowInterval) {
    return;
  }
  std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
  std::fflush(stderr);
  shown_ = !text.empty();
  shown_at_ = now;
}

bool BenchRun::clean_up() {
  if (!gang_) {
    return true;
  }
  gang_->interrupt_on(-1);
  const std::string by_hand = "; look: muster queue" + session_.place().hint() + " --name " + kBenchName;
  if (auto cancelled = gang_->cancel_named(kBenchName); !cancelled) {
    complain("the jobs of the benchmark could not be cancelled: " + cancelled.error().text + by_hand);
    return false;
  }
  for (const Instant until = mono_now() + kCleanUp; mono_now() < until; pause(Duration::from_ms(20))) {
    const auto left = gang_->unfinished(kBenchName);
    if (left && *left == 0) {
      return true;
    }
    if (!left || signals_.next()) {
      break;
    }
  }
  complain("the jobs of the benchmark are cancelled but have not all ended" + by_hand);
  return false;
}

}  // namespace muster::cli

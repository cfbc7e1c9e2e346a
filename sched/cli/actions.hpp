// What each subcommand does. Each returns the exit code, and has said what went wrong on standard error.
#pragma once

#include "sched/cli/command_line.hpp"

namespace muster {
class Context;
}

namespace muster::cli {

class Session;
struct StepPlace;

[[nodiscard]] int submit(Session& session, const SubmitCommand& command);
[[nodiscard]] int batch(Session& session, const BatchCommand& command);
[[nodiscard]] int run(Session& session, const RunCommand& command);
[[nodiscard]] int run_array(Session& session, const RunCommand& command);
[[nodiscard]] int run_in_allocation(Context& context, const StepPlace& place, const RunCommand& command);
[[nodiscard]] int alloc(Session& session, const AllocCommand& command);
[[nodiscard]] int attach(Session& session, const AttachCommand& command);
[[nodiscard]] int queue(Session& session, const QueueCommand& command);
[[nodiscard]] int show_jobs(Session& session, const JobCommand& command);
[[nodiscard]] int show_steps(Session& session, const JobCommand& command);
[[nodiscard]] int wait(Session& session, const WaitCommand& command);
[[nodiscard]] int cancel(Session& session, const CancelCommand& command);
[[nodiscard]] int hold(Session& session, const HoldCommand& command);
[[nodiscard]] int logs(Session& session, const LogsCommand& command);
[[nodiscard]] int list(Session& session, const ListCommand& command);
[[nodiscard]] int drain(Session& session, const DrainCommand& command);
[[nodiscard]] int topo(Session& session, const TopoCommand& command);
[[nodiscard]] int bench(Session& session, const BenchCommand& command);
[[nodiscard]] int config(Session& session, const ConfigCommand& command);

// Cancels a job, and says so when that fails.
void cancel_job(Session& session, std::uint64_t job);

// These need no running cluster.
[[nodiscard]] int exec(const CommonOptions& common, const ExecCommand& command);
[[nodiscard]] int up(const CommonOptions& common, const UpCommand& command);
[[nodiscard]] int down(const CommonOptions& common, const DownCommand& command);
[[nodiscard]] int keygen(const CommonOptions& common, const KeygenCommand& command);
[[nodiscard]] int version(const CommonOptions& common, const VersionCommand& command);

// The whole program.
[[nodiscard]] int muster_main(int argc, char** argv);

}  // namespace muster::cli

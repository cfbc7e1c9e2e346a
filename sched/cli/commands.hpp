// What a command line asks for, as values: parsed by command_line.cpp, carried out by one function each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sched/cli/values.hpp"
#include "wire/base/time.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {

// What every subcommand takes.
struct CommonOptions {
  std::optional<std::string> dir;                 // --dir
  std::optional<std::string> cluster;             // --cluster: a cluster.toml, or a folder
  Duration timeout = Duration::from_seconds(10);  // of the whole conversation
  bool json{};
};

// One `--set NAME=VALUE`; see settings.hpp for the names.
struct ChosenSetting {
  std::string name;
  std::string value;
  bool operator==(const ChosenSetting&) const = default;
};

// What submit, run and batch take, and what directives in a script say, as written; job_option_table.cpp lists it,
// job_request.cpp and step_request.cpp give it meaning.
struct JobOptions {
  std::optional<std::string> ntasks;
  std::optional<std::string> nodes;
  std::optional<std::string> cpus_per_task;
  std::optional<std::string> ntasks_per_node;
  std::optional<std::string> gpus_per_task;
  std::optional<std::string> mem;
  std::optional<std::string> mem_per_cpu;
  std::optional<std::string> tmp;
  std::optional<std::string> time;
  std::optional<std::string> kill_grace;
  std::optional<std::string> name;
  std::optional<std::string> input;
  std::optional<std::string> output;
  std::optional<std::string> error;
  std::optional<std::string> open_mode;
  std::optional<std::string> chdir;
  std::optional<std::string> environment;  // --export
  std::optional<std::string> array;
  std::optional<std::string> comment;
  std::optional<std::string> key;
  std::optional<std::string> gpus_per_node;
  std::optional<std::string> gpus;             // of all tasks
  std::optional<std::string> gres;
  std::optional<std::string> exclusive;        // "", "user"
  std::optional<std::string> distribution;
  std::optional<std::string> cpu_bind;
  std::optional<std::string> mem_bind;
  std::optional<std::string> hint;
  std::optional<std::string> threads_per_core;
  std::optional<std::string> ntasks_per_socket;
  std::optional<std::string> mpi;
  std::optional<std::string> nodelist;         // of a step
  std::optional<std::string> kill_on_bad_exit; // "", "0", "1"
  std::optional<std::string> kill_wait;
  std::optional<std::string> wait_after_first; // run's --wait
  std::optional<std::string> partition;
  std::optional<std::string> account;
  std::optional<std::string> qos;
  std::optional<std::string> reservation;
  std::optional<std::string> mail_type;
  std::optional<std::string> mail_user;
  bool requeue{};
  bool no_requeue{};
  bool hold{};
  bool private_tmp{};
  bool overlap{};
  bool report_bindings{};
  bool label{};
  bool pty{};
  bool wait{};                                 // a script's --wait
  std::vector<std::string> ignored;            // names of options that have no meaning here
  std::vector<std::string> command;
};

struct SubmitCommand {
  JobOptions job;
  bool parsable{};
  bool wait{};
  bool bare{};                              // the command stood without "--": it may be a script
};
struct BatchCommand {
  JobOptions job;                           // command: the script and its arguments; empty or "-": standard input
  std::optional<std::string> wrap;          // instead of a script
  bool parsable{};
  bool wait{};
};
struct RunCommand {
  JobOptions job;
  bool quiet{};
};
// An allocation for a shell, or for job.command.
struct AllocCommand {
  JobOptions job;
  bool quiet{};
};
struct AttachCommand {
  JobName job;
  std::optional<std::uint32_t> step;        // absent: the newest
  bool label{};
  bool input{};
};
// One command line on a node of the allocation, as a remote shell would run it.
struct ExecCommand {
  std::string node;
  std::vector<std::string> command;
};
struct QueueCommand {
  std::vector<JobName> jobs;
  std::vector<fb::JobState> states;         // empty with all: every state
  bool all{};
  std::string user;
  std::string name;
  std::uint64_t limit{1000};                // rows; 0 = no bound
};
struct JobCommand {
  std::vector<JobName> jobs;
  std::uint64_t elements{20};
  bool steps{};                             // them instead of the job
};
struct WaitCommand {
  std::vector<JobName> jobs;                // empty: all my unfinished jobs
  std::optional<Duration> at_most;
  bool quiet{};
};
struct CancelCommand {
  std::vector<JobName> jobs;
  bool all{};
  std::string name;
  int signal{};
};
struct HoldCommand {
  std::vector<JobName> jobs;
  bool release{};
};
struct LogsCommand {
  JobName job;
  bool follow{};
  bool error_stream{};
  std::optional<std::uint32_t> rank;
  std::string node;
};
// status, nodes, frameworks, offers, tasks
struct ListCommand {
  fb::Subject subject{};
  std::string name;
  bool all{};                               // nodes: a row for each, however many
};
struct DrainCommand {
  std::vector<std::string> nodes;
  std::string reason;
  bool undrain{};
};
struct UpCommand {
  std::optional<std::uint32_t> nodes;
  bool fake{};                              // `nodes` are simulated
  std::optional<Duration> fake_duration;    // of their tasks
  std::optional<MilliCpus> cpus_milli;      // of each node
  std::optional<Bytes> memory_bytes;        // of each node
  std::optional<std::uint16_t> http_port;   // 0: any free one
  std::vector<ChosenSetting> settings;      // --set
};
struct DownCommand {
  std::optional<Duration> grace;
};
enum class BenchKind : std::uint8_t { latency, throughput, offers };
struct BenchCommand {
  BenchKind kind{};
  std::optional<std::uint64_t> count;
  bool busy{};                              // latency: beside jobs that turn over
  bool separate{};                          // throughput: separate submits too
  bool force{};                             // also while other jobs wait
  std::string svg;                          // a file for the picture; empty: none
};
struct TopoCommand {
  std::string node;                         // empty: all
  std::string svg;                          // a file for the picture; empty: text
};
struct ConfigCommand {};
struct KeygenCommand {
  bool show{};                              // only print the public key that is there
};
struct VersionCommand {};

using Command = std::variant<SubmitCommand, BatchCommand, RunCommand, AllocCommand, AttachCommand, ExecCommand, QueueCommand, JobCommand,
                             WaitCommand, CancelCommand, HoldCommand, LogsCommand, ListCommand, DrainCommand, TopoCommand,
                             BenchCommand, UpCommand, DownCommand, ConfigCommand, KeygenCommand,
                             VersionCommand>;

}  // namespace muster::cli

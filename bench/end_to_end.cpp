// end_to_end: real processes on a real local cluster of this build. No-op jobs per second from first submit to last recorded
// completion, and submit → first instruction of the task, beside the machine's raw limits measured in the same run.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "sched/cli/gang_client.hpp"
#include "wire/daemon/raw_spawn.hpp"
#include "wire/socket/raw_zmq.hpp"

extern char** environ;

namespace muster::bench {
namespace {

using cli::GangClient;

constexpr std::uint32_t kCpusPerNode = 64;

struct Options {
  std::string muster;
  std::vector<std::uint32_t> slots{16, 64, 512};
  std::uint32_t array_elements{4000};
  std::uint32_t submits{2000};
  std::uint32_t cli_submits{200};
  std::uint32_t gangs{200};
  std::uint32_t latency_samples{100};
  double raw_seconds{2};
  bool json{};
};

double now_ms() { return static_cast<double>(SystemClock{}.now().mono.ns()) * 1e-6; }

int run_command(const std::vector<std::string>& arguments, bool quiet) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (quiet) {
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  }
  pid_t pid = 0;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    return 127;
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) {
    return 0;
  }
  std::sort(values.begin(), values.end());
  const auto at = static_cast<std::size_t>(p * static_cast<double>(values.size() - 1) + 0.5);
  return values[at];
}

[[noreturn]] void give_up(const std::string& what) {
  std::fprintf(stderr, "end_to_end: %s\n", what.c_str());
  std::exit(1);
}

// A cluster with more slots than cores, gone with the object.
class Cluster {
 public:
  Cluster(const Options& options, std::uint32_t slots) : muster_(options.muster) {
    char name[] = "/tmp/muster-bench-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      give_up("can't make a folder under /tmp");
    }
    dir_ = name;
    const std::uint32_t cpus = std::min(slots, kCpusPerNode);
    if (run_command({muster_, "up", "--dir", dir_, "--http-port", "0", "--nodes", std::to_string(slots / cpus), "--cpus",
                     std::to_string(cpus)},
                    true) != 0) {
      give_up("'" + muster_ + " up' failed; see above");
    }
  }
  ~Cluster() {
    run_command({muster_, "down", "--dir", dir_}, true);
    std::filesystem::remove_all(dir_);
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;
  [[nodiscard]] const std::string& dir() const { return dir_; }

 private:
  std::string muster_;
  std::string dir_;
};

// The value, or the end of the program.
template <class T>
T need(Result<T> result) {
  if (!result) {
    give_up(result.error().text);
  }
  return *std::move(result);
}

double jobs_per_second(GangClient& gang, const std::vector<std::uint64_t>& jobs, std::uint64_t elements, double begun_ms) {
  const auto end = need(gang.wait(jobs, Duration::from_seconds(600)));
  if (end.completed != elements) {
    give_up(std::to_string(end.completed) + " of " + std::to_string(elements) + " jobs completed");
  }
  return static_cast<double>(elements) / ((now_ms() - begun_ms) / 1000);
}

std::vector<double> start_latencies(GangClient& gang, const Options& options, const std::string& dir) {
  const std::string fifo = dir + "/stamps";
  if (mkfifo(fifo.c_str(), 0600) != 0) {
    give_up("can't make " + fifo);
  }
  const int in = open(fifo.c_str(), O_RDWR);
  std::vector<double> latencies;
  const std::string stamp_program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "stamp";
  for (std::uint32_t i = 0; i < options.latency_samples; ++i) {
    const double begun = now_ms();
    GangClient::NoOp job;
    job.argv = {stamp_program, fifo};
    (void)need(gang.submit(job));
    double stamp = 0;
    pollfd readable{in, POLLIN, 0};
    if (poll(&readable, 1, 30'000) != 1 || read(in, &stamp, sizeof stamp) != sizeof stamp) {
      give_up("no stamp from the task");
    }
    latencies.push_back(stamp - begun);
    usleep(2'000 + (i * 7919U) % 10'000);  // no phase lock with anybody's timers
  }
  close(in);
  unlink(fifo.c_str());
  return latencies;
}

std::vector<double> command_times(const Options& options, std::vector<std::string> command, const std::string& dir, int times) {
  command.insert(command.begin(), options.muster);
  command.insert(command.begin() + 2, {"--dir", dir});
  std::vector<double> out;
  for (int i = 0; i < times; ++i) {
    const double begun = now_ms();
    if (run_command(command, true) != 0) {
      give_up("'muster " + command[1] + "' failed; see above");
    }
    out.push_back(now_ms() - begun);
  }
  return out;
}

// Two clients, as two users would: every submit is a process of its own.
double submit_by_commands(const Options& options, const std::string& dir) {
  const double begun = now_ms();
  std::vector<std::thread> clients;
  for (int client = 0; client < 2; ++client) {
    clients.emplace_back([&] {
      (void)command_times(options, {"submit", "-o", "/dev/null", "--", "/bin/true"}, dir, static_cast<int>(options.cli_submits / 2));
    });
  }
  for (std::thread& client : clients) {
    client.join();
  }
  return begun;
}

nlohmann::ordered_json measure(const Options& options, Context& context, std::uint32_t slots, double bare_spawn_per_second,
                               double floor_ms) {
  nlohmann::ordered_json out;
  out["slots"] = slots;
  Cluster cluster(options, slots);
  auto gang = need(GangClient::connect(context, cluster.dir()));
  const auto rate = [&](const char* name, double per_second) {
    out[std::string(name) + "_per_second"] = per_second;
    out[std::string(name) + "_ratio_to_bare_spawn"] = per_second / bare_spawn_per_second;
  };

  const std::vector<double> idle = start_latencies(gang, options, cluster.dir());
  out["submit_to_start_p50_ms"] = percentile(idle, 0.5);
  out["submit_to_start_p99_ms"] = percentile(idle, 0.99);
  out["submit_to_start_in_round_trips_and_spawn"] = percentile(idle, 0.5) / floor_ms;

  GangClient::NoOp array;
  array.array_elements = options.array_elements;
  double begun = now_ms();
  rate("array_jobs", jobs_per_second(gang, {need(gang.submit(array))}, options.array_elements, begun));

  begun = now_ms();
  rate("separate_jobs", jobs_per_second(gang, need(gang.submit_many({}, options.submits)), options.submits, begun));

  begun = submit_by_commands(options, cluster.dir());
  GangClient::NoOp last;  // behind all of them: the queue is first in, first out
  rate("command_jobs", jobs_per_second(gang, {need(gang.submit(last))}, 1, begun) * (options.cli_submits + 1));

  GangClient::NoOp four;
  four.ntasks = 4;
  begun = now_ms();
  const double gang_rate = jobs_per_second(gang, need(gang.submit_many(four, options.gangs)), options.gangs, begun);
  out["gangs_of_4_per_second"] = gang_rate;
  out["gang_processes_ratio_to_bare_spawn"] = 4 * gang_rate / bare_spawn_per_second;

  // Busy: half of the slots turn over no-op jobs all the time.
  GangClient::NoOp noise;
  noise.array_elements = 1'000'000;
  noise.array_throttle = std::max(1U, slots / 2);
  const std::uint64_t noise_job = need(gang.submit(noise));
  const std::vector<double> busy = start_latencies(gang, options, cluster.dir());
  if (auto ended = gang.cancel(noise_job); !ended) {
    give_up(ended.error().text);
  }
  (void)need(gang.wait({noise_job}, Duration::from_seconds(60)));
  out["submit_to_start_busy_p50_ms"] = percentile(busy, 0.5);
  out["submit_to_start_busy_p99_ms"] = percentile(busy, 0.99);

  out["command_submit_p50_ms"] =
      percentile(command_times(options, {"submit", "-o", "/dev/null", "--", "/bin/true"}, cluster.dir(), 30), 0.5);
  out["command_queue_p50_ms"] = percentile(command_times(options, {"queue"}, cluster.dir(), 30), 0.5);
  std::vector<double> cancels;
  for (int i = 0; i < 15; ++i) {
    const std::uint64_t job = need(gang.submit(GangClient::NoOp{.argv = {"/bin/sleep", "100"}}));
    cancels.push_back(command_times(options, {"cancel", std::to_string(job)}, cluster.dir(), 1).front());
  }
  out["command_cancel_p50_ms"] = percentile(cancels, 0.5);
  out["command_run_true_p50_ms"] = percentile(command_times(options, {"run", "--", "/bin/true"}, cluster.dir(), 20), 0.5);
  return out;
}

void print(const nlohmann::ordered_json& out) {
  for (const auto& [key, value] : out.items()) {
    if (value.is_array()) {
      for (const auto& part : value) {
        std::printf("\n");
        print(part);
      }
    } else {
      std::printf("%-44s %12.3f\n", key.c_str(), value.get<double>());
    }
  }
}

int run(const Options& options) {
  if (access(options.muster.c_str(), X_OK) != 0) {
    give_up("there is no program " + options.muster + "; name it with --muster");
  }
  nlohmann::ordered_json out;
  const RawSpawn raw_spawn = need(measure_spawn(options.raw_seconds));
  const RawRoundTrip raw_trip = need(measure_round_trip("ipc", options.raw_seconds));
  out["bare_spawn_per_second"] = raw_spawn.per_second_two_threads;
  out["bare_spawn_ms"] = raw_spawn.one_p50_ms;
  out["bare_round_trip_ms"] = raw_trip.p50_ms;
  Context context;
  for (const std::uint32_t slots : options.slots) {
    out["by_slots"].push_back(
        measure(options, context, slots, raw_spawn.per_second_two_threads, 3 * raw_trip.p50_ms + raw_spawn.one_p50_ms));
  }
  if (options.json) {
    std::cout << out.dump(2) << "\n";
  } else {
    print(out);
  }
  return 0;
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  using namespace muster::bench;
  Options options;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  options.muster = std::filesystem::path(self).parent_path().parent_path() / "sched" / "muster";
  CLI::App app{"No-op throughput and start latency of a local cluster, as ratios to this machine's raw limits."};
  app.add_option("--muster", options.muster, "the muster program; default: of this build");
  app.add_option("--slots", options.slots, "cpus that the nodes advertise, 64 at most on each; several: one cluster after the other")
      ->delimiter(',')
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app.add_option("--array", options.array_elements, "elements of the no-op array")->capture_default_str();
  app.add_option("--submits", options.submits, "separate no-op jobs")->capture_default_str();
  app.add_option("--command-submits", options.cli_submits, "no-op jobs submitted by 'muster submit'")->capture_default_str();
  app.add_option("--gangs", options.gangs, "gangs of 4 ranks")->capture_default_str();
  app.add_option("--samples", options.latency_samples, "latency samples")->capture_default_str();
  app.add_option("--raw-seconds", options.raw_seconds, "seconds for each raw limit")->capture_default_str();
  app.add_flag("--json", options.json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}

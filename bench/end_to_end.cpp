// end_to_end: real processes on a real local cluster of this build. No-op jobs per second from first submit to last recorded
// completion, and submit → first instruction of the task, beside the machine's raw limits measured in the same run.
#include <fcntl.h>
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

#include "bench/gang_client.hpp"
#include "bench/raw/raw_spawn.hpp"
#include "bench/raw/raw_zmq.hpp"

extern char** environ;

namespace muster::bench {
namespace {

struct Options {
  std::string muster;
  std::uint32_t slots{64};
  std::uint32_t array_elements{4000};
  std::uint32_t submits{2000};
  std::uint32_t gangs{200};
  std::uint32_t latency_samples{100};
  double raw_seconds{2};
  bool json{};
  std::string stamp;  // the task's side of a latency sample
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

// A cluster of one node with more slots than cores, gone with the object.
class Cluster {
 public:
  Cluster(const Options& options) : muster_(options.muster) {
    char name[] = "/tmp/muster-bench-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      give_up("can't make a folder under /tmp");
    }
    dir_ = name;
    if (run_command({muster_, "up", "--dir", dir_, "--nodes", "1", "--cpus", std::to_string(options.slots)}, true) != 0) {
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

double jobs_per_second(GangClient& gang, const std::vector<std::uint64_t>& jobs, std::uint64_t elements, double begun_ms) {
  std::uint64_t completed = 0;
  for (const std::uint64_t job : jobs) {
    const auto end = gang.wait(job, Duration::from_seconds(300));
    if (!end) {
      give_up(end.error().text);
    }
    completed += end->completed;
  }
  if (completed != elements) {
    give_up(std::to_string(completed) + " of " + std::to_string(elements) + " jobs completed");
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
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  for (std::uint32_t i = 0; i < options.latency_samples; ++i) {
    const double begun = now_ms();
    GangClient::NoOp job;
    job.argv = {self, "--stamp", fifo};
    if (const auto submitted = gang.submit(job); !submitted) {
      give_up(submitted.error().text);
    }
    double stamp = 0;
    if (read(in, &stamp, sizeof stamp) != sizeof stamp) {
      give_up("no stamp from the task");
    }
    latencies.push_back(stamp - begun);
    usleep(2'000 + (i * 7919U) % 10'000);  // no phase lock with anybody's timers
  }
  close(in);
  unlink(fifo.c_str());
  return latencies;
}

int run(const Options& options) {
  if (access(options.muster.c_str(), X_OK) != 0) {
    give_up("there is no program " + options.muster + "; name it with --muster");
  }
  nlohmann::ordered_json out;
  const RawSpawn raw_spawn = measure_spawn(options.raw_seconds);
  const RawRoundTrip raw_trip = measure_round_trip("ipc", options.raw_seconds);
  out["slots"] = options.slots;
  out["bare_spawn_per_second"] = raw_spawn.per_second_two_threads;
  out["bare_spawn_ms"] = raw_spawn.one_p50_ms;
  out["bare_round_trip_ms"] = raw_trip.p50_ms;

  Cluster cluster(options);
  Context context;
  auto gang = GangClient::connect(context, cluster.dir());
  if (!gang) {
    give_up(gang.error().text);
  }
  const std::vector<double> idle = start_latencies(*gang, options, cluster.dir());
  out["submit_to_start_p50_ms"] = percentile(idle, 0.5);
  out["submit_to_start_p99_ms"] = percentile(idle, 0.99);
  out["submit_to_start_in_round_trips_and_spawn"] =
      percentile(idle, 0.5) / (3 * raw_trip.p50_ms + raw_spawn.one_p50_ms);

  GangClient::NoOp array;
  array.array_elements = options.array_elements;
  double begun = now_ms();
  const auto array_job = gang->submit(array);
  if (!array_job) {
    give_up(array_job.error().text);
  }
  const double array_rate = jobs_per_second(*gang, {*array_job}, options.array_elements, begun);
  out["array_jobs_per_second"] = array_rate;
  out["array_jobs_ratio_to_bare_spawn"] = array_rate / raw_spawn.per_second_two_threads;

  begun = now_ms();
  const auto separate = gang->submit_many({}, options.submits);
  if (!separate) {
    give_up(separate.error().text);
  }
  const double separate_rate = jobs_per_second(*gang, *separate, options.submits, begun);
  out["separate_jobs_per_second"] = separate_rate;
  out["separate_jobs_ratio_to_bare_spawn"] = separate_rate / raw_spawn.per_second_two_threads;

  GangClient::NoOp four;
  four.ntasks = 4;
  begun = now_ms();
  const auto gangs = gang->submit_many(four, options.gangs);
  if (!gangs) {
    give_up(gangs.error().text);
  }
  const double gang_rate = jobs_per_second(*gang, *gangs, options.gangs, begun);
  out["gangs_of_4_per_second"] = gang_rate;
  out["gang_processes_ratio_to_bare_spawn"] = 4 * gang_rate / raw_spawn.per_second_two_threads;

  std::vector<double> cli;
  for (int i = 0; i < 10; ++i) {
    begun = now_ms();
    run_command({options.muster, "run", "--dir", cluster.dir(), "--", "/bin/true"}, true);
    cli.push_back(now_ms() - begun);
  }
  out["cli_run_true_p50_ms"] = percentile(cli, 0.5);

  if (options.json) {
    std::cout << out.dump(2) << "\n";
    return 0;
  }
  for (const auto& [key, value] : out.items()) {
    std::printf("%-44s %12.3f\n", key.c_str(), value.get<double>());
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
  app.add_option("--slots", options.slots, "cpus the node advertises")->capture_default_str();
  app.add_option("--array", options.array_elements, "elements of the no-op array")->capture_default_str();
  app.add_option("--submits", options.submits, "separate no-op jobs")->capture_default_str();
  app.add_option("--gangs", options.gangs, "gangs of 4 ranks")->capture_default_str();
  app.add_option("--samples", options.latency_samples, "latency samples")->capture_default_str();
  app.add_option("--raw-seconds", options.raw_seconds, "seconds for each raw limit")->capture_default_str();
  app.add_flag("--json", options.json, "print JSON");
  app.add_option("--stamp", options.stamp, "")->group("");
  CLI11_PARSE(app, argc, argv);
  if (!options.stamp.empty()) {
    const double stamp = static_cast<double>(muster::SystemClock{}.now().mono.ns()) * 1e-6;
    const int fd = open(options.stamp.c_str(), O_WRONLY);
    return write(fd, &stamp, sizeof stamp) == sizeof stamp ? 0 : 1;
  }
  return run(options);
}

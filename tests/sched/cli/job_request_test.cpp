// Goal: options become the job that Slurm's users expect. Method: options and surroundings in, JobSpec out.
#include "sched/cli/job_request.hpp"

#include <catch2/catch.hpp>

#include "sched/cli/step_request.hpp"

namespace muster::cli {
namespace {

using Catch::Matchers::Contains;

Surroundings here() {
  return {.environment = {"PATH=/opt/bin:/bin", "HOME=/home/ann", "A=1", "SECRET=x"},
          .working_directory = "/home/ann/jobs", .home = "/home/ann", .shell = "/bin/bash", .user = "ann",
          .host = "h", .uid = 1000, .gid = 100};
}

JobOptions job() {
  JobOptions options;
  options.command = {"./bin/app", "x"};
  return options;
}

fb::JobSpecT spec_of(const JobOptions& options) {
  auto request = make_job_request(options, here());
  INFO((request ? std::string() : request.error().text));
  REQUIRE(request);
  return request->spec;
}

std::string error_of(const JobOptions& options) {
  auto request = make_job_request(options, here());
  REQUIRE_FALSE(request);
  return request.error().text;
}

}  // namespace

TEST_CASE("a plain command is one task of one cpu, in this directory, with this environment") {
  const auto spec = spec_of(job());
  CHECK(spec.name == "app");
  CHECK(spec.argv == std::vector<std::string>{"./bin/app", "x"});
  CHECK(spec.ntasks == 1);
  CHECK(spec.nodes_min == 0);
  CHECK(spec.cpus_per_task_milli == 1000);
  CHECK(spec.memory_per_node_bytes == 0);
  CHECK(spec.time_limit_ms == 0);
  CHECK(spec.working_directory == "/home/ann/jobs");
  CHECK(spec.environment == here().environment);
  CHECK(spec.uid == 1000);
  CHECK(spec.user == "ann");
  CHECK(spec.array.empty());
  CHECK(spec.stdout_path.empty());
}

TEST_CASE("nodes and tasks are counted as Slurm counts them") {
  auto options = job();
  options.nodes = "3";
  CHECK(spec_of(options).ntasks == 3);
  options.ntasks_per_node = "4";
  CHECK(spec_of(options).ntasks == 12);
  options.ntasks = "10";
  const auto spec = spec_of(options);
  CHECK(spec.ntasks == 10);
  CHECK(spec.nodes_min == 3);
  CHECK(spec.nodes_max == 3);
  options.ntasks = "13";
  CHECK_THAT(error_of(options), Contains("--ntasks 13") && Contains("3 nodes"));
  options.ntasks = "2";
  CHECK_THAT(error_of(options), Contains("--nodes 3") && Contains("--ntasks is 2"));
}

TEST_CASE("resources and limits take their units") {
  auto options = job();
  options.cpus_per_task = "0.5";
  options.mem = "4G";
  options.time = "1-02:30:00";
  options.kill_grace = "2";
  options.tmp = "10G";
  const auto spec = spec_of(options);
  CHECK(spec.cpus_per_task_milli == 500);
  CHECK(spec.memory_per_node_bytes == 4ULL << 30U);
  CHECK(spec.time_limit_ms == 95'400'000);
  CHECK(spec.kill_grace_ms == 2000);
  CHECK(spec.disk_per_node_bytes == 10ULL << 30U);
  options.time = "0";
  CHECK(spec_of(options).time_limit_ms == 0);
  options.mem_per_cpu = "1G";
  CHECK_THAT(error_of(options), Contains("exclude each other"));
  options.mem.reset();
  CHECK(spec_of(options).memory_per_cpu_bytes == 1ULL << 30U);
  options.mem_per_cpu = "0";
  CHECK_THAT(error_of(options), Contains("--mem-per-cpu") && Contains("more than zero"));
  options.mem_per_cpu.reset();
  options.cpus_per_task = "0";
  CHECK_THAT(error_of(options), Contains("--cpus-per-task"));
  options.cpus_per_task.reset();
  options.time = "never";
  CHECK_THAT(error_of(options), Contains("--time: 'never'"));
}

TEST_CASE("a step is the whole of what was asked, and a command that needs one becomes one") {
  auto options = job();
  CHECK(spec_of(options).kind == fb::TaskKind::Ranks);
  CHECK_FALSE(spec_of(options).step);
  options.ntasks = "4";
  options.nodes = "2";
  options.mpi = "pmix";
  options.time = "1";
  options.nodelist = "n[1-2]";
  const auto spec = spec_of(options);
  CHECK(spec.kind == fb::TaskKind::Run);
  REQUIRE(spec.step);
  CHECK(spec.step->argv == options.command);
  CHECK(spec.step->ntasks == 4);
  CHECK(spec.step->nodes_min == 2);
  CHECK(spec.step->time_limit_ms == 60'000);
  CHECK(spec.step->stdout_path == "muster-%j.out");
  CHECK(spec.step->environment.empty());
  CHECK(spec.step->node_list == std::vector<std::string>{"n1", "n2"});

  std::vector<std::string> warnings;
  options.input = "0";
  options.output = "none";
  const auto step = make_step(options, here(), warnings);
  REQUIRE(step);
  CHECK(step->stdin_rank == 0);
  CHECK(step->stdin_path.empty());
  CHECK(step->stdout_path == "/dev/null");
  CHECK(step->working_directory == "/home/ann/jobs");
  CHECK(step->environment == here().environment);
  options.input = "none";
  CHECK(make_step(options, here(), warnings)->stdin_rank == -2);
  options.input = "data";
  CHECK(make_step(options, here(), warnings)->stdin_path == "data");
  options.kill_on_bad_exit = "yes";
  CHECK_THAT(make_step(options, here(), warnings).error().text, Contains("--kill-on-bad-exit: 'yes'"));
}

TEST_CASE("files are taken as written, a relative directory is below this one") {
  auto options = job();
  options.chdir = "sub";
  options.output = "out-%j";
  options.error = "/tmp/err";
  options.input = "in";
  options.open_mode = "append";
  const auto spec = spec_of(options);
  CHECK(spec.working_directory == "/home/ann/jobs/sub");
  CHECK(spec.stdout_path == "out-%j");
  CHECK(spec.stderr_path == "/tmp/err");
  CHECK(spec.stdin_path == "in");
  CHECK(spec.append_output);
  options.open_mode = "both";
  CHECK_THAT(error_of(options), Contains("--open-mode: 'both'"));
  options.open_mode.reset();
  options.output = "";
  CHECK_THAT(error_of(options), Contains("--output"));
}

TEST_CASE("option --export chooses the environment") {
  std::vector<std::string> warnings;
  CHECK(*select_environment("ALL", here(), warnings) == here().environment);
  const auto with = *select_environment("ALL,A=2,B=3", here(), warnings);
  CHECK(with == std::vector<std::string>{"PATH=/opt/bin:/bin", "HOME=/home/ann", "A=2", "SECRET=x", "B=3"});
  const std::vector<std::string> base{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/ann", "USER=ann", "LOGNAME=ann",
                                      "SHELL=/bin/bash"};
  CHECK(*select_environment("NONE", here(), warnings) == base);
  auto some = *select_environment("PATH,A", here(), warnings);
  CHECK(some.front() == "PATH=/opt/bin:/bin");
  CHECK(some.back() == "A=1");
  CHECK(warnings.empty());
  REQUIRE(select_environment("MISSING", here(), warnings));
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Contains("MISSING"));
  CHECK_FALSE(select_environment("NONE,A", here(), warnings));
  CHECK_FALSE(select_environment("A,,B", here(), warnings));
  CHECK_FALSE(select_environment("2X=1", here(), warnings));
}

TEST_CASE("directives in a script are seen before its first command") {
  CHECK(first_directive("#!/bin/sh\n#SBATCH -n 4\nhostname\n") == "#SBATCH -n 4");
  CHECK(first_directive("#!/bin/sh\n# words\n\n#MUSTER --mem=4G\n") == "#MUSTER --mem=4G");
  CHECK(first_directive("#SBATCH\n") == "#SBATCH");
  CHECK(first_directive("#!/bin/sh\nhostname\n#SBATCH -n 4\n").empty());
  CHECK(first_directive("#!/bin/sh\n#SBATCHES\n").empty());
  CHECK(first_directive("\x7f" "ELF\n#SBATCH -n 4\n").empty());
  CHECK(first_directive("").empty());
  CHECK(interpreter_of("#! /bin/bash -e\nx") == "/bin/bash -e");
  CHECK(interpreter_of("echo x") == "sh");
}

}  // namespace muster::cli

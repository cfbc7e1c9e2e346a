// Goal: directives are read as sbatch reads them, in every form that 405 public scripts use.
// Method: scripts in, options out; bad lines must be named with file and line.
#include "sched/cli/directives.hpp"

#include <catch2/catch.hpp>

#include "sched/cli/batch_request.hpp"

namespace muster::cli {
namespace {

using Catch::Matchers::Contains;

JobOptions options_in(const std::string& lines) {
  auto directives = read_directives("#!/bin/bash\n" + lines + "\nhostname\n", "job.sh");
  INFO(lines);
  INFO((directives ? std::string() : directives.error().text));
  REQUIRE(directives);
  return directives->options();
}

std::string error_in(const std::string& lines) {
  auto directives = read_directives("#!/bin/bash\n" + lines + "\nhostname\n", "job.sh");
  INFO(lines);
  REQUIRE_FALSE(directives);
  return directives.error().text;
}

Surroundings here() {
  return {.environment = {"PATH=/bin", "HOME=/home/ann"}, .working_directory = "/home/ann/jobs", .home = "/home/ann",
          .shell = "/bin/bash", .user = "ann", .host = "h", .uid = 1000, .gid = 100};
}

Result<BatchRequest> request_of(const std::string& lines, JobOptions options = {}, Surroundings from = here()) {
  if (options.command.empty()) {
    options.command = {"dir/job.sh", "x"};
  }
  return make_batch_request(options, {"dir/job.sh", "#!/bin/bash\n" + lines + "\nhostname\n"}, from);
}

fb::JobSpecT spec_of(const std::string& lines, JobOptions options = {}) {
  auto request = request_of(lines, std::move(options));
  INFO(lines);
  INFO((request ? std::string() : request.error().text));
  REQUIRE(request);
  return std::move(request->job.spec);
}

std::string refusal_of(const std::string& lines, JobOptions options = {}) {
  auto request = request_of(lines, std::move(options));
  INFO(lines);
  REQUIRE_FALSE(request);
  return request.error().text;
}

std::vector<std::string> warnings_of(const std::string& lines) {
  auto request = request_of(lines);
  INFO((request ? std::string() : request.error().text));
  REQUIRE(request);
  return request->job.warnings;
}

constexpr std::uint64_t kMinute = 60'000;
constexpr std::uint64_t kMebi = 1U << 20U;

}  // namespace

TEST_CASE("an option takes its value in getopt_long's forms") {
  for (const char* line : {"#SBATCH -N4", "#SBATCH -N 4", "#SBATCH --nodes=4", "#SBATCH --nodes 4", "#SBATCH\t-N\t4  ",
                           "#SBATCH --nodes=\"4\"", "#SBATCH --nodes='4' # comment", "#SBATCH -N4 # -N 5",
                           "#SBATCH -N4#5", "#MUSTER -N4", "#SBATCH --nodes=4\r"}) {
    INFO(line);
    CHECK(options_in(line).nodes == "4");
  }
  const auto several = options_in("#SBATCH -N 2 -n8 --job-name=\"two words\" -HJ x\\ y");
  CHECK(several.nodes == "2");
  CHECK(several.ntasks == "8");
  CHECK(several.hold);
  CHECK(several.name == "x y");
  CHECK(options_in("#SBATCH -J 'a#b'").name == "a#b");
  CHECK(options_in("#SBATCH -J \"it's\"").name == "it's");
  CHECK(options_in("#SBATCH -J \"\"").name == "");
  CHECK(options_in("#SBATCH").name == std::nullopt);
  CHECK(options_in("#SBATCH # nothing").name == std::nullopt);
  CHECK(options_in("#SBATCH --exclusive").exclusive == "");
  CHECK(options_in("#SBATCH --exclusive=user").exclusive == "user");
  const auto optional = options_in("#SBATCH --exclusive -n 4");
  CHECK(optional.exclusive == "");
  CHECK(optional.ntasks == "4");
}

TEST_CASE("directives stand before the first command, in the first column") {
  CHECK(options_in("##SBATCH -N 4\n# SBATCH -N 4\n #SBATCH -N 4\n#SBATCHED -N 4\n#sbatch -N 4").nodes == std::nullopt);
  CHECK(options_in("\n  \t\n# words\n   # more\n#SBATCH -N 4").nodes == "4");
  CHECK(options_in("echo\n#SBATCH -N 4").nodes == std::nullopt);
  CHECK(options_in("#SBATCH -N 3\nset -e; #SBATCH -N 4\n#SBATCH -N 5").nodes == "3");
  CHECK(options_in("#SBATCH -N 3\n#SBATCH -N 4").nodes == "4");
  CHECK(options_in("#MUSTER -N 3\n#SBATCH -N 4").nodes == "3");  // ours win
  CHECK(read_directives("#SBATCH -N 4", "x")->options().nodes == "4");
  CHECK(read_directives("", "x")->list.empty());
}

TEST_CASE("a long name may be cut to what no other begins with") {
  CHECK(options_in("#SBATCH --tasks=48").ntasks_per_node == "48");  // as sbatch: the beginning of --tasks-per-node
  CHECK(options_in("#SBATCH --tasks-per-node=3").ntasks_per_node == "3");
  CHECK(options_in("#SBATCH --mem 4G").mem == "4G");
  CHECK(options_in("#SBATCH --cpus-per-t 2").cpus_per_task == "2");
  CHECK(options_in("#SBATCH --gpus 2").gpus == "2");
  CHECK_THAT(error_in("#SBATCH --n=4"), Contains("job.sh:2: --n may be ") && Contains("--ntasks") && Contains("write it out"));
}

TEST_CASE("what can't be read is named by file and line") {
  CHECK(error_in("\n#SBATCH --nods=4") == "job.sh:3: unknown option --nods; did you mean --nodes?");
  CHECK_THAT(error_in("#SBATCH --walltime=4"), Contains("job.sh:2: unknown option --walltime"));
  CHECK_THAT(error_in("#SBATCH -Z"), Contains("job.sh:2: unknown option -Z; see: muster batch --help"));
  CHECK(error_in("#SBATCH -N") == "job.sh:2: -N needs a value: N|MIN-MAX");
  CHECK(error_in("#SBATCH --time") == "job.sh:2: --time needs a value: TIME");
  CHECK(error_in("#SBATCH --requeue=1") == "job.sh:2: --requeue takes no value");
  CHECK(error_in("#SBATCH -J \"x") == "job.sh:2: a quotation does not end");
  CHECK_THAT(error_in("#SBATCH -n 4 hello"), Contains("job.sh:2: 'hello' is no option"));
  CHECK_THAT(error_in("#SBATCH -"), Contains("'-' is no option"));
  CHECK_THAT(error_in("#SBATCH -- x"), Contains("a command stands below"));
  CHECK(error_in("#SBATCH -d singleton") == "job.sh:2: muster has no --dependency yet; leave it out");
  CHECK_THAT(error_in("#SBATCH --licenses=a:1"), Contains("muster has no --licenses yet"));
  CHECK_THAT(error_in("#SBATCH --share"), Contains("unknown option --share"));
}

TEST_CASE("bad values are named by line, unless they come from elsewhere") {
  CHECK_THAT(refusal_of("#SBATCH -n 4\n#SBATCH --mem=4Q"), Contains("dir/job.sh:3: --mem: ") && Contains("4Q"));
  CHECK_THAT(refusal_of("#SBATCH -t soon"), Contains("dir/job.sh:2: --time: 'soon'"));
  JobOptions options;
  options.mem = "5Q";
  CHECK_THAT(refusal_of("#SBATCH --mem=4Q", options), Contains("--mem: ") && Contains("5Q") && !Contains("job.sh:"));
}

TEST_CASE("every form of time, memory and array seen in public scripts is understood") {
  const std::vector<std::pair<std::string, std::uint64_t>> times{
      {"0-00:30", 30 * kMinute}, {"30", 30 * kMinute}, {"00:01:00", kMinute}, {"0-01:00:00", 60 * kMinute},
      {"15", 15 * kMinute}, {"1:00:00", 60 * kMinute}, {"1:0:0", 60 * kMinute}, {"0-0:10", 10 * kMinute},
      {"00:00:10", 10'000}, {"0:30:00", 30 * kMinute}, {"30:00", 30 * kMinute}, {"7-00:00:00", 7 * 1440 * kMinute},
      {"1-0", 1440 * kMinute}, {"2-12", 3600 * kMinute}, {"03:00:00", 180 * kMinute}};
  for (const auto& [text, ms] : times) {
    CHECK(spec_of("#SBATCH -t " + text).time_limit_ms == ms);
    CHECK(spec_of("#SBATCH --time=" + text).time_limit_ms == ms);
  }
  const std::vector<std::pair<std::string, std::uint64_t>> sizes{
      {"4000", 4000}, {"4G", 4096}, {"12000", 12000}, {"100", 100}, {"150gb", 153600}, {"12g", 12288}, {"8g", 8192},
      {"14GB", 14336}, {"400", 400}, {"100M", 100}, {"1G", 1024}};
  for (const auto& [text, mebi] : sizes) {
    CHECK(spec_of("#SBATCH --mem=" + text).memory_per_node_bytes == mebi * kMebi);
    CHECK(spec_of("#SBATCH --mem-per-cpu " + text).memory_per_cpu_bytes == mebi * kMebi);
  }
  const auto all = spec_of("#SBATCH --mem=0");
  CHECK(all.all_memory);
  CHECK(all.memory_per_node_bytes == 0);
  CHECK_FALSE(spec_of("#SBATCH --mem=1").all_memory);
  const auto array = [](const std::string& text) {
    const auto spec = spec_of("#SBATCH --array=" + text);
    return format_array(spec.array, spec.array_throttle);
  };
  const std::vector<std::pair<std::string, std::string>> arrays{
      {"1-3", "1-3"}, {"1-4%4", "1-4%4"}, {"1", "1"}, {"100,200,300", "100,200,300"}, {"[0-4]", "0-4"}, {"[0-9]%3", "0-9%3"},
      {"1-100:2", "1-99:2"}, {"0-2", "0-2"}, {"1-25535", "1-25535"}, {"1-100%10", "1-100%10"}};
  for (const auto& [text, ranges] : arrays) {
    CHECK(array(text) == ranges);
  }
}

TEST_CASE("every option used by five scripts or more is understood") {
  const auto spec = spec_of(
      "#SBATCH --job-name=my.job-1_x\n#SBATCH -p test,serial_requeue\n#SBATCH -t 0-00:30\n#SBATCH -o out/%x_%j.out\n"
      "#SBATCH -e %A_%a.err\n#SBATCH -N 2\n#SBATCH -c 4\n#SBATCH -n 8\n#SBATCH --mem=4000\n#SBATCH --mail-type=begin,end\n"
      "#SBATCH --mail-type=ALL\n#SBATCH --ntasks-per-node 4\n#SBATCH --mail-user=a@b.org\n#SBATCH -D /scratch/x\n"
      "#SBATCH --gres=gpu:4\n#SBATCH --array=1-3\n#SBATCH --qos normal\n#SBATCH -A proj\n#SBATCH --open-mode=append\n"
      "#SBATCH --reservation=r1\n#SBATCH --exclusive\n#SBATCH --export=ALL\n#SBATCH --ntasks-per-socket=1\n#SBATCH --no-requeue");
  CHECK(spec.kind == fb::TaskKind::Batch);
  CHECK(spec.name == "my.job-1_x");
  CHECK(spec.partition == "test,serial_requeue");
  CHECK(spec.time_limit_ms == 30 * kMinute);
  CHECK(spec.stdout_path == "out/%x_%j.out");
  CHECK(spec.stderr_path == "%A_%a.err");
  CHECK(spec.nodes_min == 2);
  CHECK(spec.nodes_max == 2);
  CHECK(spec.cpus_per_task_milli == 4000);
  CHECK(spec.ntasks == 8);
  CHECK(spec.ntasks_per_node == 4);
  CHECK(spec.mail_type == "ALL");
  CHECK(spec.mail_user == "a@b.org");
  CHECK(spec.working_directory == "/scratch/x");
  CHECK(spec.gpus_per_task == 1);
  CHECK(spec.account == "proj");
  CHECK(spec.qos == "normal");
  CHECK(spec.reservation == "r1");
  CHECK(spec.append_output);
  CHECK(spec.exclusive);
  CHECK_FALSE(spec.requeue);
  REQUIRE(spec.step);
  CHECK(spec.step->cpus_per_task == 4);
  CHECK(spec.step->distribution == "block:cyclic");
  CHECK(spec.step->ntasks == 0);
  CHECK(spec.argv == std::vector<std::string>{"dir/job.sh", "x"});
  CHECK(std::string(spec.script.begin(), spec.script.end()).starts_with("#!/bin/bash\n#SBATCH"));
  // Scripts look for where they were submitted from.
  CHECK(spec.environment.back() == "MUSTER_SUBMIT_DIR=/home/ann/jobs");
  CHECK(spec_of("").environment == here().environment);
  CHECK(spec_of("").name == "job.sh");
}

TEST_CASE("gpus of a node are shared out among its tasks") {
  CHECK(spec_of("#SBATCH --gres=gpu:2").gpus_per_task == 2);
  CHECK(spec_of("#SBATCH --gres=gpu:a100:1").gpus_per_task == 1);
  CHECK(spec_of("#SBATCH -N 2 --gpus-per-node=4 --ntasks-per-node=2").gpus_per_task == 2);
  CHECK(spec_of("#SBATCH -G 8 -n 4").gpus_per_task == 2);
  CHECK(spec_of("#SBATCH -G 1").gpus_per_task == 1);
  CHECK(spec_of("#SBATCH --gres=none").gpus_per_task == 0);
  CHECK_THAT(refusal_of("#SBATCH -n 4\n#SBATCH --gres=gpu:1"), Contains("dir/job.sh:3: --gres=gpu:1 can't be shared out") && Contains("--gpus-per-task"));
  CHECK_THAT(refusal_of("#SBATCH --gres=fpga:1"), Contains("'fpga:1' is not a device"));
}

TEST_CASE("the command line wins over variables, and these over directives") {
  JobOptions options;
  options.ntasks = "2";
  auto from = here();
  from.environment.insert(from.environment.end(), {"SBATCH_TIMELIMIT=5", "SBATCH_PARTITION=p", "SBATCH_NTASKS=7", "SBATCH_FOO=1",
                                                   "MUSTER_BATCH_TIME=6", "SBATCH_ARRAY_INX=1-2", "SBATCH_EXCLUSIVE="});
  const auto request = request_of("#SBATCH -n 4 -t 10 -c 2 -p q --requeue", options, from);
  REQUIRE(request);
  const auto& spec = request->job.spec;
  CHECK(spec.ntasks == 2);
  CHECK(spec.time_limit_ms == 6 * kMinute);
  CHECK(spec.cpus_per_task_milli == 2000);
  CHECK(spec.partition == "p");
  CHECK(spec.array.size() == 1);
  CHECK(spec.exclusive);
  CHECK(spec.requeue);
  // One kind of memory replaces the other, and so does --no-requeue.
  JobOptions memory;
  memory.mem_per_cpu = "1G";
  memory.no_requeue = true;
  const auto other = spec_of("#SBATCH --mem=4G --requeue", memory);
  CHECK(other.memory_per_node_bytes == 0);
  CHECK(other.memory_per_cpu_bytes == 1024 * kMebi);
  CHECK_FALSE(other.requeue);
  CHECK_THAT(refusal_of("#SBATCH --mem=4G --mem-per-cpu=1G"), Contains("exclude each other"));
}

TEST_CASE("what has no effect is accepted with one line each") {
  CHECK(warnings_of("#SBATCH -n 1").empty());
  const auto kept = warnings_of("#SBATCH -p a\n#SBATCH -p b\n#SBATCH --mail-type=END --mail-user=x --qos=q");
  REQUIRE(kept.size() == 4);
  CHECK(kept[0] == "--partition is kept with the job and has no effect yet");
  const auto ignored = warnings_of("#SBATCH --overcommit --nice -k --ntasks-per-core=1 --clusters=c\n#SBATCH -O --nice=5");
  CHECK(ignored.size() == 5);
  for (const auto& line : ignored) {
    CHECK_THAT(line, Contains("has no effect: "));
  }
  const auto foreign = warnings_of("#PBS -l nodes=2\n#PBS -N x\n#SBATCH -n 1");
  REQUIRE(foreign.size() == 1);
  CHECK_THAT(foreign[0], Contains("dir/job.sh:2: '#PBS -l nodes=2' is for another batch system"));
}

TEST_CASE("what steps inherit is said once, in our words") {
  const auto spec = spec_of("#SBATCH -m cyclic:cyclic --hint=nomultithread --cpu-bind=verbose,cores --mem-bind=local --mpi=pmix_v4 -K\n"
                            "#SBATCH --kill-wait=3 --private-tmp");
  REQUIRE(spec.step);
  CHECK(spec.step->distribution == "cyclic:cyclic");
  CHECK(spec.step->threads_per_core == 1);
  CHECK(spec.step->cpu_bind == "core");
  CHECK(spec.step->report_bindings);
  CHECK(spec.step->mem_bind == "local");
  CHECK(spec.step->mpi == "pmix");
  CHECK(spec.step->kill_on_bad_exit);
  CHECK(spec.step->kill_wait_ms == 3000);
  CHECK(spec.private_tmp);
  CHECK(spec_of("#SBATCH -m plane=4").step->distribution == "plane=4");
  CHECK(spec_of("#SBATCH -m '*:block'").step->distribution == "block");
  CHECK(spec_of("#SBATCH --cpu-bind=map_cpu:0,2").step->cpu_bind == "map:0,2");
  CHECK_THAT(refusal_of("#SBATCH -m arbitrary"), Contains("dir/job.sh:2: --distribution: 'arbitrary' is unknown"));
  CHECK_THAT(refusal_of("#SBATCH --cpu-bind=mask_cpu:0x1"), Contains("--cpu-bind: 'mask_cpu:0x1' is unknown"));
  CHECK_THAT(refusal_of("#SBATCH --mpi=pmi2"), Contains("pmi1"));
  CHECK_THAT(refusal_of("#SBATCH --hint=fast"), Contains("--hint: 'fast'"));
}

TEST_CASE("a file that is no batch script is refused with the way out") {
  const auto fault = [](const std::string& content) {
    const auto status = check_script(content, "app");
    return status ? std::string() : status.error().text;
  };
  CHECK(fault("#!/bin/sh\n").empty());
  CHECK(fault("\x7f" "ELF...") == "app is a program, not a batch script; write: muster submit -- ./app");
  CHECK_THAT(fault(""), Contains("app is empty"));
  CHECK_THAT(fault("hostname\n"), Contains("its first line must name the interpreter, as #!/bin/bash"));
  CHECK_THAT(fault("#!/bin/bash\r\nhostname\r\n"), Contains("DOS line ends") && Contains("sed -i 's/\\r$//' app"));
  CHECK_THAT(fault(std::string("#!/bin/bash\n\0x", 14)), Contains("no text"));
  CHECK(fault(wrapped("hostname")).empty());
}

}  // namespace muster::cli

// Goal: every command line is understood as written, or refused in one clear sentence.
// Method: words in, Command or Stop out; nothing is run.
#include "sched/cli/command_line.hpp"

#include <catch2/catch.hpp>

#include "sched/cli/exit_codes.hpp"

namespace muster::cli {
namespace {

tl::expected<Parsed, Stop> parse(std::vector<std::string> words) { return parse_command_line(words); }

template <class T>
T take(std::vector<std::string> words) {
  auto parsed = parse(std::move(words));
  INFO((parsed ? std::string() : parsed.error().text));
  REQUIRE(parsed);
  REQUIRE(std::holds_alternative<T>(parsed->command));
  return std::get<T>(parsed->command);
}

std::string refusal(std::vector<std::string> words) {
  auto parsed = parse(std::move(words));
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().exit_code == kUsage);
  return parsed.error().text;
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("submit's options end where the command begins") {
  const auto a = take<SubmitCommand>({"submit", "-n", "8", "-N2-4", "--mem=4G", "--time", "1-02:30:00", "--", "./app", "-n", "x"});
  CHECK(a.job.ntasks == "8");
  CHECK(a.job.nodes == "2-4");
  CHECK(a.job.mem == "4G");
  CHECK(a.job.time == "1-02:30:00");
  CHECK(a.job.command == std::vector<std::string>{"./app", "-n", "x"});

  const auto b = take<SubmitCommand>({"submit", "--parsable", "-W", "./app", "--parsable", "--", "-n"});
  CHECK(b.parsable);
  CHECK(b.wait);
  CHECK(b.job.command == std::vector<std::string>{"./app", "--parsable", "--", "-n"});
}

TEST_CASE("the last of a repeated option counts, and values may look like options") {
  const auto a = take<RunCommand>({"run", "-n", "2", "-n", "3", "-J", "-x", "--export=A=-1", "--comment", "--odd", "true"});
  CHECK(a.job.ntasks == "3");
  CHECK(a.job.name == "-x");
  CHECK(a.job.environment == "A=-1");
  CHECK(a.job.comment == "--odd");
}

TEST_CASE("flags may be written together") {
  const auto a = take<LogsCommand>({"logs", "-fe", "7_3"});
  CHECK(a.follow);
  CHECK(a.error_stream);
  CHECK(a.job.first == 3U);
}

TEST_CASE("common options stand before or after the command") {
  auto before = parse({"--dir", "/d", "--timeout=3", "status", "--json"});
  REQUIRE(before);
  CHECK(before->common.dir == "/d");
  CHECK(before->common.timeout == Duration::from_seconds(3));
  CHECK(before->common.json);
  auto after = parse({"queue", "--timeout", "500ms", "--dir=/e"});
  REQUIRE(after);
  CHECK(after->common.dir == "/e");
  CHECK(after->common.timeout == Duration::from_ms(500));
}

TEST_CASE("a misspelt command or option gets the nearest one") {
  CHECK_THAT(refusal({"stauts"}), Contains("did you mean muster status?"));
  CHECK_THAT(refusal({"sbatch"}), Contains("did you mean muster batch?"));
  CHECK_THAT(refusal({"submit", "--ntask", "3", "x"}), Contains("--ntask") && Contains("did you mean --ntasks?"));
  CHECK_THAT(refusal({"queue", "--sates=pd"}), Contains("did you mean --states?"));
  CHECK_THAT(refusal({"--dri", "/x", "status"}), Contains("did you mean --dir?"));
  CHECK_THAT(refusal({"submit", "-Z", "x"}), Contains("unknown option -Z") && Contains("muster submit --help"));
  CHECK_THAT(refusal({"help", "quee"}), Contains("did you mean muster queue?"));
  CHECK_THAT(refusal({"xyzzy"}), Contains("muster help"));
}

TEST_CASE("Slurm's options without a counterpart are refused by name") {
  CHECK_THAT(refusal({"submit", "--constraint=big", "x"}), Contains("muster has no --constraint yet"));
  CHECK_THAT(refusal({"submit", "--wrap", "hostname"}), Contains("muster batch --wrap"));
  CHECK_THAT(refusal({"run", "-d", "x", "y"}), Contains("muster has no -d yet"));
  CHECK_THAT(refusal({"submit", "--pty", "x"}), Contains("--pty is an option of muster run"));
}

TEST_CASE("batch takes a script, standard input or a command line") {
  const auto a = take<BatchCommand>({"batch", "-N2", "--exclusive", "-n", "4", "--qos=high", "-q", "low", "job.sh", "-n", "x"});
  CHECK(a.job.nodes == "2");
  CHECK(a.job.ntasks == "4");
  CHECK(a.job.exclusive == "");
  CHECK(a.job.qos == "low");
  CHECK(a.job.command == std::vector<std::string>{"job.sh", "-n", "x"});
  CHECK(take<BatchCommand>({"batch"}).job.command.empty());
  CHECK(take<BatchCommand>({"batch", "-n", "2", "--wrap", "a | b"}).wrap == "a | b");
  CHECK(take<BatchCommand>({"batch", "-W", "--exclusive=user", "-"}).job.exclusive == "user");
  CHECK(take<BatchCommand>({"batch", "-K", "-O", "--nice", "--nice=3", "x"}).job.ignored == std::vector<std::string>{"nice", "overcommit"});
  CHECK(take<BatchCommand>({"batch", "-K0", "x"}).job.kill_on_bad_exit == "0");
  CHECK(take<SubmitCommand>({"submit", "job.sh"}).bare);
  CHECK_FALSE(take<SubmitCommand>({"submit", "-n", "2", "--", "job.sh"}).bare);
}

TEST_CASE("topo takes a node and a picture") {
  const auto a = take<TopoCommand>({"topo", "n1", "--svg", "x.svg"});
  CHECK(a.node == "n1");
  CHECK(a.svg == "x.svg");
  CHECK(take<TopoCommand>({"topo"}).node.empty());
}

TEST_CASE("run takes what shapes a step") {
  const auto a = take<RunCommand>({"run", "-l", "-K", "-W", "5", "--mpi=pmix", "-m", "cyclic", "--cpu-bind=none", "--pty",
                                   "--report-bindings", "--overlap", "-w", "n1", "-q", "./app"});
  CHECK(a.job.label);
  CHECK(a.job.kill_on_bad_exit == "");
  CHECK(a.job.wait_after_first == "5");
  CHECK(a.job.mpi == "pmix");
  CHECK(a.job.distribution == "cyclic");
  CHECK(a.job.cpu_bind == "none");
  CHECK(a.job.pty);
  CHECK(a.job.report_bindings);
  CHECK(a.job.overlap);
  CHECK(a.job.nodelist == "n1");
  CHECK(a.quiet);
}

TEST_CASE("missing and superfluous words are named") {
  CHECK_THAT(refusal({"submit"}), Contains("no command"));
  CHECK_THAT(refusal({"submit", "-n", "2", "--"}), Contains("no command"));
  CHECK_THAT(refusal({"submit", "-n"}), Contains("-n needs a value"));
  CHECK_THAT(refusal({"submit", "--requeue=1", "x"}), Contains("--requeue takes no value"));
  CHECK_THAT(refusal({"job"}), Contains("JOB"));
  CHECK_THAT(refusal({"status", "x"}), Contains("x"));
  CHECK_THAT(refusal({"cancel"}), Contains("--all"));
  CHECK_THAT(refusal({"cancel", "--all", "7"}), Contains("exclude each other"));
  CHECK_THAT(refusal({"job", "seven"}), Contains("'seven' is not a job"));
  CHECK_THAT(refusal({"queue", "--timeout", "soon"}), Contains("--timeout: 'soon'"));
  CHECK_THAT(refusal({"up", "--nodes", "0"}), Contains("--nodes: '0'"));
  CHECK_THAT(refusal({"up", "--memory", "4Q"}), Contains("--memory") && Contains("4Q"));
}

TEST_CASE("up, down, drain and the lists take their values") {
  const auto up = take<UpCommand>({"up", "--nodes", "2", "--cpus", "4", "--memory", "2G"});
  CHECK(up.nodes == 2U);
  CHECK(up.cpus_milli == 4000U);
  CHECK(up.memory_bytes == (2ULL << 30U));
  CHECK_FALSE(take<UpCommand>({"up"}).nodes);
  CHECK(take<DownCommand>({"down", "--grace", "2s"}).grace == Duration::from_seconds(2));
  const auto drain = take<DrainCommand>({"drain", "n1", "n2", "--reason", "new fan"});
  CHECK(drain.nodes == std::vector<std::string>{"n1", "n2"});
  CHECK(drain.reason == "new fan");
  CHECK(take<DrainCommand>({"undrain", "n1"}).undrain);
  CHECK(take<ListCommand>({"nodes", "n1"}).name == "n1");
  CHECK(take<ListCommand>({"tasks"}).subject == fb::Subject::Tasks);
  CHECK(take<CancelCommand>({"cancel", "-s", "USR1", "7", "8_2"}).signal == 10);
  CHECK(take<HoldCommand>({"release", "7"}).release);
  CHECK(take<QueueCommand>({"queue", "-t", "all"}).all);
  CHECK(take<QueueCommand>({"queue", "-j", "3,4", "5"}).jobs.size() == 3);
}

TEST_CASE("every command has help with examples or exit codes") {
  for (const std::string& name : subcommand_names()) {
    INFO(name);
    auto stop = parse({"help", name});
    REQUIRE_FALSE(stop);
    CHECK(stop.error().exit_code == kOk);
    CHECK_THAT(stop.error().text, Contains("muster " + name) && Contains("Exit codes") && Contains("--dir"));
    auto same = parse({name, "--help"});
    REQUIRE_FALSE(same);
    CHECK(same.error().text == stop.error().text);
  }
  CHECK(parse({"help"}).error().exit_code == kOk);
  CHECK(parse({}).error().exit_code == kUsage);
  CHECK_THAT(parse({"help", "exit-codes"}).error().text, Contains("130"));
}

TEST_CASE("bench takes a kind and what goes with it") {
  const auto a = take<BenchCommand>({"bench", "latency"});
  CHECK(a.kind == BenchKind::latency);
  CHECK_FALSE(a.count);
  CHECK_FALSE(a.busy);
  CHECK(a.svg.empty());
  const auto b = take<BenchCommand>({"bench", "--count", "20000", "throughput", "--separate", "--svg=x.svg", "--force"});
  CHECK(b.kind == BenchKind::throughput);
  CHECK(b.count == 20'000U);
  CHECK(b.separate);
  CHECK(b.force);
  CHECK(b.svg == "x.svg");
  CHECK(take<BenchCommand>({"bench", "latency", "--busy"}).busy);
  CHECK(take<BenchCommand>({"bench", "offers", "--json"}).kind == BenchKind::offers);
}

TEST_CASE("bench refuses what it can't measure") {
  CHECK_THAT(refusal({"bench"}), Contains("latency, throughput or offers"));
  CHECK_THAT(refusal({"bench", "latncy"}), Contains("'latncy'") && Contains("did you mean latency?"));
  CHECK_THAT(refusal({"bench", "quick"}), Contains("'quick' is not latency, throughput or offers"));
  CHECK_THAT(refusal({"bench", "latency", "offers"}), Contains("offers"));
  CHECK_THAT(refusal({"bench", "offers", "--count", "0"}), Contains("--count") && Contains("'0'"));
  CHECK_THAT(refusal({"bench", "latency", "--count", "100001"}), Contains("100000"));
  CHECK_THAT(refusal({"bench", "offers", "--count", "many"}), Contains("'many'"));
  CHECK_THAT(refusal({"bench", "offers", "--busy"}), Contains("--busy is for latency"));
  CHECK_THAT(refusal({"bench", "latency", "--separate"}), Contains("--separate is for throughput"));
  CHECK_THAT(refusal({"bench", "latency", "--svg", ""}), Contains("--svg") && Contains("missing"));
  CHECK_THAT(refusal({"bench", "latency", "--bussy"}), Contains("did you mean --busy?"));
}

TEST_CASE("simulated nodes have options of their own, and not those of real ones") {
  const auto up = take<UpCommand>({"up", "--fake-nodes", "10000", "--cpus", "64", "--fake-duration", "5s"});
  CHECK(up.fake);
  CHECK(up.nodes == 10'000U);
  CHECK(up.fake_duration == Duration::from_seconds(5));
  CHECK_FALSE(take<UpCommand>({"up", "--nodes", "2"}).fake);
  CHECK_THAT(refusal({"up", "--fake-nodes", "0"}), Contains("--fake-nodes: '0'"));
  CHECK_THAT(refusal({"up", "--fake-nodes", "100001"}), Contains("100000"));
  CHECK_THAT(refusal({"up", "--fake-nodes", "5", "-N", "2"}), Contains("--fake-nodes and --nodes"));
  CHECK_THAT(refusal({"up", "--fake-nodes", "5", "--fake-duration", "soon"}), Contains("'soon' is not a time"));
  CHECK_THAT(refusal({"up", "--fake-duration", "5s"}), Contains("give --fake-nodes too"));
  CHECK_THAT(refusal({"up", "--fake-nodes", "5", "--set", "containment=plain"}), Contains("setting of real nodes"));
}

}  // namespace muster::cli

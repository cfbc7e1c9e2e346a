// Goal: what people and scripts read is right and stable. Method: rows in, text and JSON out.
#include <catch2/catch.hpp>
#include <limits>
#include <nlohmann/json.hpp>

#include "sched/cli/progress.hpp"
#include "sched/cli/render_cluster.hpp"
#include "sched/cli/render_jobs.hpp"
#include "sched/cli/table.hpp"
#include "wire/base/units.hpp"

namespace muster::cli {
namespace {

constexpr std::int64_t kStart = 1'777'777'777'000'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

using Catch::Matchers::Contains;

fb::JobRowT running_job() {
  fb::JobRowT job;
  job.job = 7;
  job.name = "app";
  job.user = "ann";
  job.state = fb::JobState::Running;
  job.elements_total = 1;
  job.ntasks = 8;
  job.nodes_wanted = 2;
  job.submitted_ns = kStart - 5 * kSecond;
  job.started_ns = kStart;
  job.counts = {fb::StateCount(fb::JobState::Running, 0, 0, 1)};
  return job;
}

fb::JobRowT array_job() {
  fb::JobRowT job = running_job();
  job.job = 8;
  job.is_array = true;
  job.elements_total = 1000;
  job.counts = {fb::StateCount(fb::JobState::Completed, 0, 0, 12), fb::StateCount(fb::JobState::Pending, 0, 0, 938),
                fb::StateCount(fb::JobState::Running, 0, 0, 50)};
  job.spec = std::make_unique<fb::JobSpecT>();
  job.spec->array = {fb::IndexRange(1, 1000, 1)};
  job.spec->array_throttle = 50;
  return job;
}

std::unique_ptr<fb::ShapeT> shape(std::uint32_t cpus_milli, std::uint64_t memory_bytes) {
  auto shape = std::make_unique<fb::ShapeT>();
  shape->amounts = std::make_unique<fb::Amounts>(memory_bytes, 0, cpus_milli, 0);
  return shape;
}

}  // namespace

TEST_CASE("tables align, name empty cells and keep terminals safe") {
  TextTable table({{"A"}, {"LONG", TextTable::Align::right}, {"END"}});
  table.add({"x\x1b[2J", "1", "e"});
  table.add({"", "22222", ""});
  CHECK(table.to_string() ==
        "A       LONG  END\n"
        "x?[2J      1  e\n"
        "-      22222\n");
  CHECK(width_of("größe") == 5);
  CHECK(shell_words({"sh", "-c", "echo 'x' $Y", ""}) == "sh -c 'echo '\\''x'\\'' $Y' ''");
  CHECK(format_wall(WallTime{}) == "-");
  CHECK(is_before("n2", "n10"));
  CHECK_FALSE(is_before("n10", "n2"));
  CHECK_FALSE(is_before("n2", "n2"));
  CHECK(is_before("n", "n1"));
  CHECK(is_before("a10-x2", "a10-x11"));
  CHECK(is_before("m9", "n1"));
}

TEST_CASE("the queue shows a job in a line and an array in a line") {
  std::vector<fb::JobRowT> jobs;
  jobs.push_back(running_job());
  jobs.push_back(array_job());
  jobs.push_back(running_job());
  jobs.back().state = fb::JobState::Failed;
  jobs.back().exit_code = 3;
  jobs.back().ended_ns = kStart + 2 * kSecond;
  jobs.push_back(running_job());
  jobs.back().state = fb::JobState::Pending;
  jobs.back().started_ns = 0;
  jobs.back().held = true;
  const std::string text = render_queue(jobs, WallTime::from_ns(kStart + 67 * kSecond));
  INFO(text);
  CHECK_THAT(text, Contains("JOBID          NAME  USER  STATE    TIME  NODES  NTASKS  REASON"));
  CHECK_THAT(text, Contains("7              app   ann   RUNNING  1:07      2       8\n"));
  CHECK_THAT(text, Contains("8_[1-1000%50]  app   ann   RUNNING  1:07      2       8  938 PENDING, 50 RUNNING, 12 COMPLETED\n"));
  CHECK_THAT(text, Contains("FAILED   0:02      2       8  exit code 3\n"));
  CHECK_THAT(text, Contains("PENDING  0:00      2       8  held\n"));
}

TEST_CASE("a job's details name its parts") {
  fb::JobRowT job = running_job();
  job.state = fb::JobState::Failed;
  job.reason = "rank 3 ended badly";
  job.signal = 11;
  job.ended_ns = kStart + kSecond;
  job.spec = std::make_unique<fb::JobSpecT>();
  job.spec->argv = {"./app", "a b"};
  job.spec->working_directory = "/w";
  job.spec->ntasks = 8;
  job.spec->nodes_min = 2;
  job.spec->nodes_max = 2;
  auto element = std::make_unique<fb::JobElementT>();
  element->nodes = {"n1", "n2"};
  element->cpus = {"0-3", "0-3"};
  element->state = fb::JobState::Failed;
  job.elements.push_back(std::move(element));
  const std::string text = render_job(job, {.job = 7, .first = std::nullopt, .last = 0}, WallTime::from_ns(kStart));
  INFO(text);
  CHECK_THAT(text, Contains("Job 7 'app' of ann: FAILED\n"));
  CHECK_THAT(text, Contains("  result        SIGSEGV\n"));
  CHECK_THAT(text, Contains("  command       ./app 'a b'\n"));
  CHECK_THAT(text, Contains("  size          8 tasks, 1 cpu each, on 2 nodes\n"));
  CHECK_THAT(text, Contains("  nodes         n1 (cpus 0-3), n2 (cpus 0-3)\n"));
  CHECK_THAT(text, Contains("  output        muster-%j.out\n"));
}

TEST_CASE("JSON of jobs has its documented fields") {
  const auto job = json_of(array_job());
  CHECK(job["job_id"] == 8);
  CHECK(job["state"] == "RUNNING");
  CHECK(job["counts"]["PENDING"] == 938);
  CHECK(job["started_ms"] == kStart / 1'000'000);
  CHECK(job["ended_ms"].is_null());
  CHECK(job["exit_code"].is_null());
  CHECK(job["spec"]["array"] == "1-1000%50");
  fb::JobRowT ended = running_job();
  ended.state = fb::JobState::Timeout;
  ended.signal = 15;
  CHECK(json_of(ended)["signal"] == 15);
  for (const char* name : {"job_id", "name", "user", "state", "reason", "held", "is_array", "elements_total", "counts",
                           "ntasks", "nodes", "cpus_milli", "memory_bytes", "time_limit_ms", "submitted_ms", "started_ms",
                           "ended_ms", "exit_code", "signal"}) {
    INFO(name);
    CHECK(job.contains(name));
  }
}

TEST_CASE("a job's end is an exit code") {
  fb::JobRowT job = running_job();
  job.state = fb::JobState::Completed;
  CHECK(exit_code_of(job) == 0);
  job.state = fb::JobState::Failed;
  CHECK(exit_code_of(job) == 1);
  job.exit_code = 42;
  CHECK(exit_code_of(job) == 42);
  job.signal = 9;
  job.exit_code = 137;
  CHECK(exit_code_of(job) == 137);
}

TEST_CASE("progress counts elements and fits its line") {
  std::vector<fb::JobRowT> jobs;
  jobs.push_back(array_job());
  jobs.push_back(running_job());
  jobs.push_back(running_job());
  jobs.back().state = fb::JobState::Failed;
  jobs.back().counts.clear();
  const Progress progress = progress_of(jobs);
  CHECK(progress == Progress{.total = 1002, .ended = 13, .failed = 1, .running = 51, .pending = 938});
  CHECK(progress_line(progress) == "13 of 1002 ended, 51 running, 938 pending, 1 failed");
  for (std::size_t columns : {1U, 10U, 40U, 60U, 80U, 200U}) {
    CHECK(progress_bar(progress, Duration::from_seconds(3), columns).size() <= columns);
  }
  CHECK(progress_bar({.total = 4, .ended = 2, .failed = 0, .running = 2, .pending = 0}, Duration::from_seconds(10), 80) ==
        "[####################....................] 2/4  2 running, about 0:10 left");
  jobs.back().exit_code = 3;
  CHECK(ending_line(jobs.back()) == "job 7: FAILED (exit code 3)");
  CHECK_THAT(ending_line(jobs[0]), Contains("job 8: 1000 elements: 938 PENDING"));
}

TEST_CASE("the cluster's lists show amounts, states and remarks") {
  fb::OperatorReplyT reply;
  reply.subject = fb::Subject::Nodes;
  auto node = std::make_unique<fb::NodeRowT>();
  node->name = "n1";
  node->state = fb::NodeState::Draining;
  node->capacity = shape(4000, 4ULL << 30U);
  node->used = shape(1500, 1ULL << 30U);
  node->drain_reason = "new fan";
  node->seen_ms = 7000;
  reply.nodes.push_back(std::move(node));
  reply.nodes_total = 1;
  const std::string text = render_nodes(reply);
  INFO(text);
  CHECK_THAT(text, Contains("n1    DRAINING     4   1.5        0      4G    1G      0  new fan; silent for 0:07\n"));
  const auto json = json_of(reply);
  CHECK(json["nodes"][0]["capacity"]["cpus_milli"] == 4000);
  CHECK(json["total"] == 1);

  ClusterStatus status{.dir = "/d", .master = std::move(reply), .gang = std::nullopt, .gang_problem = "no answer"};
  status.master.subject = fb::Subject::Status;
  status.master.capacity = shape(8000, 8ULL << 30U);
  CHECK_THAT(render_status(status), Contains("nodes     0 up, 1 draining\n") && Contains("gang      no answer\n") &&
                                        Contains("cpus      0 of 8 used, 0 offered\n"));
  CHECK(json_of(status)["node_states"]["DRAINING"] == 1);
  CHECK(json_of(status)["gang"]["answers"] == false);
}

TEST_CASE("names that differ by a number are folded") {
  CHECK(fold_names({}, 6).empty());
  CHECK(fold_names({"f7"}, 6) == "f7");
  CHECK(fold_names({"f1", "f2", "f3", "f7"}, 6) == "f[1-3,7]");
  CHECK(fold_names({"a", "n2", "n3", "x01", "x02", "y5"}, 6) == "a,n[2-3],x01,x02,y5");
  CHECK(fold_names({"f1", "f3", "f5", "f7"}, 2) == "f[1,3],…");
}

TEST_CASE("many nodes share a row for each state and remark") {
  fb::OperatorReplyT reply;
  for (int i = 1; i <= 200; ++i) {
    auto node = std::make_unique<fb::NodeRowT>();
    node->name = "f" + std::to_string(i);
    node->state = i == 9 ? fb::NodeState::Draining : fb::NodeState::Up;
    node->drain_reason = i == 9 ? "fan" : "";
    node->capacity = shape(4'000'000'000, 1ULL << 30U);
    node->used = shape(1500, 0);
    node->tasks = 2;
    node->attributes = {"fake=true"};
    reply.nodes.push_back(std::move(node));
  }
  const std::string text = render_nodes_briefly(reply);
  INFO(text);
  CHECK_THAT(text, Contains("f[1-8,10-200]    199  UP        796000000  298.5") && Contains("199G") && Contains("398  simulated\n"));
  CHECK_THAT(text, Contains("f9                 1  DRAINING    4000000    1.5") && Contains("fan; simulated\n"));
  CHECK_THAT(text, Contains("200 nodes; a row for each: muster nodes --all"));
  reply.capacity = shape(std::numeric_limits<MilliCpus>::max(), 0);
  CHECK(cpu_totals(reply).capacity == 800'000'000'000);
}

}  // namespace muster::cli

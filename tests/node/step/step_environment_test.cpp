// Goal: scripts and programs written for Slurm find what they look for. Method: the variables of a job of two nodes, by name.
#include <catch2/catch.hpp>

#include <set>

#include "node/exec/task_variables.hpp"
#include "node/step/step_environment.hpp"

using namespace muster;
using namespace muster::node;

namespace {

// A job of 3 ranks of 2 cpus on n1 and n2, seen from n2.
struct Job {
  fb::TaskSpecT spec;
  fb::StepdPlanT plan;
  fb::StepSpecT step;
  StepLayout layout{3, {{0, {0, 2}}, {1, {1}}}};

  Job() {
    spec.job = 12;
    spec.name = "water";
    spec.ntasks = 3;
    spec.cpus_per_rank_milli = 2000;
    spec.nodes = {"n1", "n2"};
    spec.ranks_by_member = {2, 1};
    spec.working_directory = "/w";
    spec.submit_host = "login";
    spec.user = "ada";
    spec.uid = 1000;
    spec.gid = 100;
    plan.member = 1;
    plan.ranks = 1;
    plan.node = "n2";
    plan.cpus = {4, 5};
    step.cpus_per_task = 2;
    step.distribution = "cyclic";
  }
  [[nodiscard]] StepFacts facts() const { return {spec, plan, step, 7, layout}; }
};

std::string value(const EnvironmentLines& lines, const std::string& name) {
  const char* const found = value_in(lines, name);
  CHECK(std::count_if(lines.begin(), lines.end(), [&](const auto& l) { return l.starts_with(name + "="); }) <= 1);
  return found == nullptr ? "(unset)" : found;
}

void check_all(const EnvironmentLines& lines, const std::vector<std::pair<std::string, std::string>>& expected) {
  for (const auto& [name, text] : expected) {
    CAPTURE(name);
    CHECK(value(lines, name) == text);
  }
}

}  // namespace

TEST_CASE("a batch script sees its job as under Slurm") {
  Job job;
  check_all(job_environment(job.spec, job.plan), {
                                                     {"SLURM_JOB_ID", "12"},
                                                     {"SLURM_JOBID", "12"},
                                                     {"SLURM_JOB_NAME", "water"},
                                                     {"SLURM_NTASKS", "3"},
                                                     {"SLURM_NPROCS", "3"},
                                                     {"SLURM_NNODES", "2"},
                                                     {"SLURM_JOB_NUM_NODES", "2"},
                                                     {"SLURM_NODELIST", "n[1-2]"},
                                                     {"SLURM_JOB_NODELIST", "n[1-2]"},
                                                     {"SLURM_TASKS_PER_NODE", "2,1"},
                                                     {"SLURM_CPUS_PER_TASK", "2"},
                                                     {"SLURM_CPUS_ON_NODE", "2"},
                                                     {"SLURM_JOB_CPUS_PER_NODE", "4,2"},
                                                     {"SLURM_SUBMIT_DIR", "/w"},
                                                     {"SLURM_SUBMIT_HOST", "login"},
                                                     {"SLURM_JOB_USER", "ada"},
                                                     {"SLURM_JOB_UID", "1000"},
                                                     {"SLURM_JOB_GID", "100"},
                                                     {"SLURM_CLUSTER_NAME", "muster"},
                                                     {"SLURMD_NODENAME", "n2"},
                                                     {"SLURM_NODEID", "1"},
                                                     {"SLURM_NTASKS_PER_NODE", "(unset)"},
                                                     {"SLURM_MEM_PER_NODE", "(unset)"},
                                                     {"SLURM_MEM_PER_CPU", "(unset)"},
                                                     {"SLURM_JOB_PARTITION", "(unset)"},
                                                     {"SLURM_RESTART_COUNT", "(unset)"},
                                                     {"SLURM_ARRAY_TASK_ID", "(unset)"},
                                                     {"SLURM_JOB_GPUS", "(unset)"},
                                                 });
}

TEST_CASE("the plan's own variables are in the environment, and an outer job's are not") {
  Job job;
  job.plan.environment = {"MUSTER_JOB_ID=12", "MUSTER_SUBMIT_DIR=/other"};
  const auto lines = job_environment(job.spec, job.plan);
  CHECK(value(lines, "MUSTER_JOB_ID") == "12");
  CHECK(value(lines, "MUSTER_SUBMIT_DIR") == "/w");
  CHECK(without_task_variables({"A=1", "SLURM_PROCID=3", "MUSTER_DIR=/d", "MUSTER_RANK=3"}) == EnvironmentLines{"A=1", "MUSTER_DIR=/d"});
}

TEST_CASE("what was asked for by option is in the environment") {
  Job job;
  job.spec.ntasks_per_node = 2;
  job.spec.memory_per_node_bytes = 4096ULL << 20;
  job.spec.partition = "gpu";
  job.spec.account = "a1";
  job.spec.qos = "high";
  job.spec.cluster = "big";
  job.spec.try_number = 3;
  job.spec.environment = {"MUSTER_SUBMIT_DIR=/home/ada"};
  job.plan.gpus = {"0", "3"};
  check_all(job_environment(job.spec, job.plan), {{"SLURM_NTASKS_PER_NODE", "2"},
                                                  {"SLURM_MEM_PER_NODE", "4096"},
                                                  {"SLURM_JOB_PARTITION", "gpu"},
                                                  {"SLURM_JOB_ACCOUNT", "a1"},
                                                  {"SLURM_JOB_QOS", "high"},
                                                  {"SLURM_CLUSTER_NAME", "big"},
                                                  {"SLURM_RESTART_COUNT", "2"},
                                                  {"SLURM_SUBMIT_DIR", "/home/ada"},
                                                  {"MUSTER_SUBMIT_DIR", "/home/ada"},
                                                  {"SLURM_JOB_GPUS", "0,3"}});
  job.spec.memory_per_node_bytes = 0;
  job.spec.memory_per_cpu_bytes = 512ULL << 20;
  CHECK(value(job_environment(job.spec, job.plan), "SLURM_MEM_PER_CPU") == "512");
}

TEST_CASE("one cpu per task is in the environment only when it was asked for") {
  Job job;
  job.spec.cpus_per_rank_milli = 1000;
  job.step.cpus_per_task = 1;  // as inherited
  CHECK(value(job_environment(job.spec, job.plan), "SLURM_CPUS_PER_TASK") == "(unset)");
  CHECK(value(rank_environment(job.facts(), 0, {}, {}), "OMP_NUM_THREADS") == "(unset)");
  job.spec.step = std::make_unique<fb::StepSpecT>();
  job.spec.step->cpus_per_task = 1;
  CHECK(value(job_environment(job.spec, job.plan), "SLURM_CPUS_PER_TASK") == "1");
  CHECK(value(rank_environment(job.facts(), 0, {}, {}), "OMP_NUM_THREADS") == "1");
}

TEST_CASE("an element of an array knows the array") {
  Job job;
  job.spec.is_array = true;
  job.spec.array_min = 1;
  job.spec.array_max = 9;
  job.spec.array_count = 5;
  job.plan.index = 3;
  check_all(job_environment(job.spec, job.plan), {{"SLURM_JOB_ID", "12_3"},
                                                  {"SLURM_ARRAY_JOB_ID", "12"},
                                                  {"SLURM_ARRAY_TASK_ID", "3"},
                                                  {"SLURM_ARRAY_TASK_MIN", "1"},
                                                  {"SLURM_ARRAY_TASK_MAX", "9"},
                                                  {"SLURM_ARRAY_TASK_COUNT", "5"},
                                                  {"SLURM_ARRAY_TASK_STEP", "2"}});
}

TEST_CASE("a step's ranks see the step, and the job where Slurm shows the job") {
  Job job;
  const auto lines = overlay(job_environment(job.spec, job.plan), step_environment(job.facts()));
  check_all(lines, {{"SLURM_STEP_ID", "7"},          {"SLURM_STEPID", "7"},
                    {"SLURM_STEP_NUM_TASKS", "3"},   {"SLURM_STEP_NUM_NODES", "2"},
                    {"SLURM_STEP_NODELIST", "n[1-2]"}, {"SLURM_STEP_TASKS_PER_NODE", "2,1"},
                    {"SLURM_DISTRIBUTION", "cyclic"}, {"SLURM_GTIDS", "1"},
                    {"SLURM_NODEID", "1"},           {"MUSTER_LOCAL_NTASKS", "1"},
                    {"MUSTER_NODELIST", "n1,n2"},    {"SLURM_JOB_ID", "12"}});
  // A step on this node only: the job's list stays beside the step's.
  job.layout = {2, {{1, {0, 1}}}};
  const auto part = overlay(job_environment(job.spec, job.plan), step_environment(job.facts()));
  check_all(part, {{"SLURM_NTASKS", "2"},
                   {"SLURM_NNODES", "1"},
                   {"SLURM_NODELIST", "n2"},
                   {"SLURM_JOB_NODELIST", "n[1-2]"},
                   {"SLURM_JOB_NUM_NODES", "2"},
                   {"SLURM_NODEID", "0"},
                   {"MUSTER_NODE_RANK", "0"},
                   {"SLURM_GTIDS", "0,1"}});
}

TEST_CASE("a rank sees its number, its cpus and OpenMP's settings") {
  Job job;
  job.layout = {4, {{0, {0, 2}}, {1, {1, 3}}}};
  const RankBinding bound{{4, 5}, {0}};
  check_all(rank_environment(job.facts(), 1, bound, {}), {{"SLURM_PROCID", "3"},
                                                          {"MUSTER_RANK", "3"},
                                                          {"SLURM_LOCALID", "1"},
                                                          {"MUSTER_LOCAL_RANK", "1"},
                                                          {"MUSTER_CPUS", "4-5"},
                                                          {"OMP_NUM_THREADS", "2"},
                                                          {"OMP_PLACES", "threads"}});
  CHECK(value(rank_environment(job.facts(), 0, {{4, 5, 6, 7}, {0}}, {}), "OMP_PLACES") == "cores");
  check_all(rank_environment(job.facts(), 0, bound, {"OMP_NUM_THREADS=9", "OMP_PROC_BIND=false"}),
            {{"OMP_NUM_THREADS", "(unset)"}, {"OMP_PLACES", "(unset)"}});
  job.step.cpu_bind = "none";
  CHECK(value(rank_environment(job.facts(), 0, bound, {}), "OMP_PLACES") == "(unset)");
}

TEST_CASE("variables of an outer job are known as such, all of them") {
  Job job;
  job.spec.is_array = true;
  job.spec.try_number = 2;
  job.spec.ntasks_per_node = 1;
  job.spec.memory_per_node_bytes = job.spec.memory_per_cpu_bytes = 1 << 20;
  job.spec.partition = job.spec.account = job.spec.qos = "x";
  job.plan.gpus = {"0"};
  job.step.ntasks_per_node = 1;
  auto lines = overlay(job_environment(job.spec, job.plan), step_environment(job.facts()));
  lines = overlay(lines, rank_environment(job.facts(), 0, {{4}, {0}}, {"OMP_NUM_THREADS=1", "OMP_PLACES=cores"}));
  for (const std::string& line : lines) {
    CAPTURE(line);
    CHECK(is_task_variable(line.substr(0, line.find('='))));
  }
  CHECK(!is_task_variable("SLURM_CONF"));
  CHECK(!is_task_variable("PATH"));
}

TEST_CASE("a variable stands once and the last one wins") {
  CHECK(overlay({"A=1", "B=2", "A=3"}, {"B=4", "C="}) == EnvironmentLines{"A=3", "B=4", "C="});
}

// Goal: `muster run` behaves like the program it runs. Method: real jobs over one and two nodes.
#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>

#include "sched/cli/values.hpp"
#include "tests/system/harness.hpp"
#include "wire/model/cpu_list.hpp"

namespace muster::system_test {

using Catch::Matchers::Contains;

TEST_CASE("eight ranks over two nodes have distinct cpus on each") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "4"});
  const std::string text = cluster.expect(
      0, {"run", "-n", "8", "--", "sh", "-c", "echo \"rank $MUSTER_RANK node $MUSTER_NODE_RANK cpus $MUSTER_CPUS\""});
  std::set<int> ranks;
  std::map<int, std::set<std::uint32_t>> cpus;
  for (const std::string& line : lines_of(text)) {
    int rank = -1;
    int node = -1;
    char list[64] = "";
    INFO(line);
    REQUIRE(std::sscanf(line.c_str(), "rank %d node %d cpus %63s", &rank, &node, list) == 3);
    CHECK(ranks.insert(rank).second);
    const auto numbers = parse_cpu_list(list);
    REQUIRE(numbers);
    CHECK(numbers->size() == 1);
    for (const std::uint32_t cpu : *numbers) {
      CHECK(cpus[node].insert(cpu).second);
    }
  }
  CHECK(ranks.size() == 8);
  CHECK(*ranks.begin() == 0);
  CHECK(*ranks.rbegin() == 7);
  REQUIRE(cpus.size() == 2);
  CHECK(cpus[0].size() == 4);
  CHECK(cpus[1].size() == 4);
}

TEST_CASE("exit codes, signals and both streams pass through") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  CHECK(cluster.muster({"run", "true"}).exit_code == 0);
  CHECK(cluster.muster({"run", "--", "sh", "-c", "exit 7"}).exit_code == 7);
  CHECK(cluster.muster({"run", "--", "sh", "-c", "kill -KILL $$"}).exit_code == 128 + SIGKILL);
  CHECK(cluster.muster({"run", "--", "sh", "-c", "kill -SEGV $$"}).exit_code == 128 + SIGSEGV);
  // The worst rank decides.
  CHECK(cluster.muster({"run", "-n", "4", "--", "sh", "-c", "test $MUSTER_RANK -ne 2 || exit 3"}).exit_code == 3);
  const Outcome both = cluster.muster({"run", "--", "sh", "-c", "echo out; echo err >&2"});
  CHECK(both.exit_code == 0);
  CHECK(both.out == "out\n");
  CHECK(both.err == "err\n");
  const Outcome missing = cluster.muster({"run", "./no-such-program"});
  CHECK(missing.exit_code != 0);
  CHECK_THAT(missing.err, Contains("muster: job") && Contains("not found"));
  const Outcome nowhere = cluster.muster({"run", "-D", "/no/such/folder", "true"});
  CHECK(nowhere.exit_code != 0);
  CHECK_THAT(nowhere.err, Contains("muster: job"));
}

TEST_CASE("run leaves no file unless one is named, and keeps all of a long output") {
  LocalCluster cluster;
  cluster.up({"--cpus", "2"});
  const Outcome much = cluster.muster({"run", "--", "sh", "-c", "seq 1 200000"});
  CHECK(much.exit_code == 0);
  CHECK(lines_of(much.out).size() == 200000);
  CHECK(std::filesystem::is_empty(cluster.work()));
  const Outcome kept = cluster.muster({"run", "-o", "kept-%j.txt", "--", "sh", "-c", "echo hello"});
  CHECK(kept.exit_code == 0);
  CHECK(kept.out.empty());
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(cluster.work())) {
    CHECK_THAT(entry.path().filename().string(), Catch::Matchers::StartsWith("kept-"));
    CHECK(content_of(entry.path()) == "hello\n");
    ++files;
  }
  CHECK(files == 1);
}

TEST_CASE("output comes while the job runs, and Ctrl-C reaches its ranks") {
  LocalCluster cluster;
  cluster.up({"--cpus", "2"});
  Child run(cluster.command_line({"run", "--", "sh", "-c", "echo started $$; sleep 100; echo never"}), cluster.child_options());
  REQUIRE(run.wait_for_output("started"));
  run.signal(SIGINT);
  const Outcome outcome = run.wait();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 128 + SIGINT);
  CHECK_THAT(outcome.err, Contains("passed on to the ranks") && Contains("SIGINT"));
  CHECK_THAT(outcome.out, !Contains("never"));
  CHECK(cluster.json({"queue"})["jobs"].empty());
  CHECK(eventually([&] { return cluster.json({"nodes"})["nodes"][0]["used"]["cpus_milli"] == 0; }));
}

TEST_CASE("a second Ctrl-C ends a step that ignores the first, and a third leaves it") {
  LocalCluster cluster;
  cluster.up({"--cpus", "2"});
  Child run(cluster.command_line(
                {"run", "--kill-grace", "20", "--", "sh", "-c", "trap '' TERM INT; echo started; while :; do sleep 1; done"}),
            cluster.child_options());
  REQUIRE(run.wait_for_output("started"));
  run.signal(SIGINT);
  REQUIRE(run.wait_for_output("passed on"));
  run.signal(SIGINT);
  REQUIRE(run.wait_for_output("ending step"));
  run.signal(SIGINT);
  const Outcome outcome = run.wait(Duration::from_seconds(10));
  CHECK(outcome.exit_code == 130);
  CHECK_THAT(outcome.err, Contains("left job"));
}

TEST_CASE("ranks of a step know their job, their node and their place in both tongues") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  const std::string text = cluster.expect(
      0, {"run", "-N", "2", "-n", "2", "--", "sh", "-cu",
          "echo $MUSTER_RANK $MUSTER_JOB_ID $MUSTER_NTASKS $MUSTER_NNODES $MUSTER_NODE_NAME $MUSTER_LOCAL_RANK $MUSTER_CPUS "
          "= $SLURM_PROCID $SLURM_JOB_ID $SLURM_NTASKS $SLURM_NNODES $SLURMD_NODENAME $SLURM_LOCALID"});
  CHECK(lines_of(text).size() == 2);
  CHECK_THAT(text, Contains("0 1 2 2 n") && Contains("1 1 2 2 n"));
  for (const std::string& line : lines_of(text)) {
    const auto middle = line.find(" = ");
    REQUIRE(middle != std::string::npos);
    CHECK(line.substr(0, 10) == line.substr(middle + 3, 10));
  }
}

TEST_CASE("a reader that stops holds up no rank and loses nothing") {
  LocalCluster cluster;
  cluster.up({"--cpus", "2"});
  const std::string mark = cluster.work() + "/written-";
  Child run(cluster.command_line({"run", "-n", "2", "--", "sh", "-c",
                                  "echo begun; sleep 0.3; head -c 20000000 /dev/zero; touch " + mark + "$MUSTER_RANK"}),
            cluster.child_options());
  REQUIRE(run.wait_for_output("begun"));
  run.signal(SIGSTOP);
  CHECK(eventually([&] { return std::filesystem::exists(mark + "0") && std::filesystem::exists(mark + "1"); }));
  run.signal(SIGCONT);
  const Outcome outcome = run.wait();
  CHECK(outcome.exit_code == 0);
  CHECK(outcome.out.size() == 2 * (20'000'000 + 6));
  CHECK(outcome.err.empty());
}

TEST_CASE("standard input reaches every rank, or the one that is named") {
  LocalCluster cluster;
  cluster.up({"--cpus", "2"});
  const auto run_with_input = [&](const std::vector<std::string>& args) {
    std::vector<std::string> words{"sh", "-c", "printf 'a\\nb\\n' | \"$@\"", "sh"};
    for (const std::string& word : cluster.command_line(args)) {
      words.push_back(word);
    }
    return Child(words, cluster.child_options()).wait();
  };
  const Outcome all = run_with_input({"run", "-n", "2", "--", "sh", "-c", "cat | tr a-z A-Z"});
  CHECK(all.exit_code == 0);
  CHECK(lines_of(all.out).size() == 4);
  const Outcome one = run_with_input({"run", "-n", "2", "-i", "1", "--", "sh", "-c", "echo $MUSTER_RANK $(cat)"});
  CHECK_THAT(one.out, Contains("1 a b\n") && Contains("0\n"));
  CHECK(run_with_input({"run", "-n", "2", "-i", "none", "--", "cat"}).out.empty());
  CHECK_THAT(cluster.muster({"run", "-n", "2", "-i", "2", "--", "cat"}).err, Contains("no rank 2 among 2"));
  CHECK(cluster.muster({"run", "-e", "none", "--", "sh", "-c", "echo out; echo err >&2"}).out == "out\n");
  // Nobody sends input to a queued job: it must not wait for any.
  CHECK(cluster.muster({"submit", "-W", "-n", "2", "--mpi", "none", "--kill-wait", "1", "--", "cat"}).exit_code == 0);
}

}  // namespace muster::system_test

// Goal: what can't be done gets one clear line and its exit code, at once. Method: a table of commands on a real cluster.
#include <catch2/catch.hpp>
#include <fstream>
#include <csignal>

#include "tests/system/harness.hpp"

namespace muster::system_test {

using Catch::Matchers::Contains;

TEST_CASE("wrong commands get one clear line and a documented exit code") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2", "--memory", "1G"});
  write_file(cluster.work() + "/job.sh", "#!/bin/bash\n#SBATCH -n 5\nhostname\n", true);
  write_file(cluster.work() + "/bad.sh", "#!/bin/bash\n#SBATCH -n 1\n#SBATCH --nods 1\nhostname\n", true);
  write_file(cluster.work() + "/value.sh", "#!/bin/bash\n#SBATCH --mem=4Q\nhostname\n", true);
  write_file(cluster.work() + "/text", "echo\n", true);
  write_file(cluster.work() + "/app", "\x7f" "ELF", true);
  write_file(cluster.work() + "/plain.sh", "#!/bin/sh\necho plain\n", true);
  struct Row {
    std::vector<std::string> args;
    int exit_code;
    const char* words;
  };
  const std::vector<Row> rows{
      {{"submit", "-c", "3", "true"}, 4, "cpu"},
      {{"submit", "-n", "5", "true"}, 4, "cpu"},
      {{"submit", "-N", "3", "true"}, 4, "node"},
      {{"submit", "--mem", "2G", "true"}, 4, "1G"},
      {{"submit", "--gpus-per-task", "1", "true"}, 4, "gpu"},
      {{"run", "-c", "100", "true"}, 4, "cpu"},
      {{"job", "999"}, 4, "999"},
      {{"queue", "999"}, 4, "999"},
      {{"cancel", "999"}, 4, "999"},
      {{"hold", "999"}, 4, "999"},
      {{"release", "999"}, 4, "999"},
      {{"wait", "999"}, 4, "999"},
      {{"logs", "999"}, 4, "999"},
      {{"nodes", "n9"}, 4, "n9"},
      {{"drain", "n9"}, 4, "n9"},
      {{"undrain", "n9"}, 4, "n9"},
      {{"submit", "bad.sh"}, 2, "bad.sh:3: unknown option --nods; did you mean --nodes?"},
      {{"batch", "bad.sh"}, 2, "bad.sh:3: unknown option --nods; did you mean --nodes?"},
      {{"batch", "value.sh"}, 2, "value.sh:2: --mem: size: '4Q'"},
      {{"batch", "job.sh"}, 4, "cpu"},
      {{"batch", "none.sh"}, 2, "none.sh: No such file"},
      {{"batch", "text"}, 2, "its first line must name the interpreter"},
      {{"batch", "app"}, 2, "muster submit -- ./app"},
      {{"submit", "./app"}, 2, "muster submit -- ./app"},
      {{"batch", "--wrap", "true", "job.sh"}, 2, "--wrap and a script exclude each other"},
      {{"batch", "--label", "job.sh"}, 2, "--label is an option of muster run"},
      {{"submit", "-n", "2", "--", "./job.sh"}, 2, "/bin/bash ./job.sh"},
      {{"run", "./job.sh"}, 2, "muster batch ./job.sh"},
      {{"run", "plain.sh"}, 2, "write ./plain.sh"},
      {{"submit", "--ntaks", "2", "true"}, 2, "did you mean --ntasks?"},
      {{"submit", "--mem", "4Q", "true"}, 2, "4Q"},
      {{"submit", "-t", "soon", "true"}, 2, "soon"},
      {{"submit", "-a", "5-1", "true"}, 2, "5-1"},
      {{"submit", "-n", "2", "-N", "3", "true"}, 2, "--nodes 3"},
      {{"submit"}, 2, "no command"},
      {{"submit", "--licenses", "x", "true"}, 2, "no --licenses yet"},
      {{"quue"}, 2, "did you mean muster queue?"},
      {{"job", "x"}, 2, "'x' is not a job"},
  };
  for (const Row& row : rows) {
    const Outcome outcome = cluster.muster(row.args);
    std::string words;
    for (const std::string& arg : row.args) {
      words += " " + arg;
    }
    INFO("muster" << words << "\n" << outcome.out << outcome.err);
    CHECK(outcome.exit_code == row.exit_code);
    CHECK_THAT(outcome.err, Contains(row.words));
    CHECK_THAT(outcome.err, Catch::Matchers::StartsWith("muster: "));
    CHECK(lines_of(outcome.err).size() == 1);
  }
  CHECK(cluster.expect(0, {"run", "./plain.sh"}) == "plain\n");
  CHECK(cluster.json({"queue", "--all"})["jobs"].size() == 1);
}

TEST_CASE("a call to a daemon that does not answer ends by its deadline") {
  LocalCluster cluster;
  cluster.up({"--cpus", "1"});
  const auto record = cluster.record();
  std::vector<pid_t> stopped;
  for (const auto& daemon : record["daemons"]) {
    if (daemon["name"] == "gang" || daemon["name"] == "master") {
      stopped.push_back(daemon["pid"].get<pid_t>());
      ::kill(stopped.back(), SIGSTOP);
    }
  }
  const Outcome submit = cluster.muster({"submit", "--timeout", "1", "true"}, Duration::from_seconds(20));
  const Outcome nodes = cluster.muster({"nodes", "--timeout", "500ms"}, Duration::from_seconds(20));
  for (const pid_t pid : stopped) {
    ::kill(pid, SIGCONT);
  }
  INFO(submit.err << nodes.err);
  // Stopped before the connection's handshake, nothing has left; after it, nobody can say.
  CHECK((submit.exit_code == 5 || submit.exit_code == 3));
  CHECK((nodes.exit_code == 5 || nodes.exit_code == 3));
  if (submit.exit_code == 5) {
    CHECK_THAT(submit.err, Contains("--key") && Contains("muster queue"));
  }
}

TEST_CASE("a dead daemon is named at once") {
  LocalCluster cluster;
  cluster.up({"--cpus", "1"});
  cluster.kill_daemons({"gang"});
  const Outcome queue = cluster.muster({"queue"});
  CHECK(queue.exit_code == 3);
  CHECK_THAT(queue.err, Contains("does not run") && Contains("muster up"));
  CHECK_THAT(cluster.expect(3, {"status"}), Contains("does not run"));
  // As it would have written had the disk been full.
  std::ofstream(cluster.dir() + "/log/gang.log", std::ios::app) << "2026-01-01T00:00:00+00:00 error gang[1] the disk is full\n";
  CHECK_THAT(cluster.muster({"queue"}).err, Contains("ended with: the disk is full;"));
}

}  // namespace muster::system_test

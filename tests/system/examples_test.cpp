// Goal: the examples of the framework SDK work for whoever copies them.
// Method: each is run against a real cluster; what it prints, what it leaves and how it exits are read.
#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/system/harness.hpp"

namespace muster::system_test {
namespace {

[[nodiscard]] Outcome run_example(const LocalCluster& cluster, const std::string& name) {
  Child example({std::string(MUSTER_BINARY_DIR) + "/examples/" + name}, cluster.child_options());
  return example.wait();
}

[[nodiscard]] long count_lines(const std::string& text, const std::string& with) {
  const auto lines = lines_of(text);
  return std::count_if(lines.begin(), lines.end(), [&](const std::string& line) { return line.find(with) != std::string::npos; });
}

}  // namespace

TEST_CASE("hello_framework takes offers, runs two tasks and hears how they end, in under 80 lines") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "1"});
  const Outcome hello = run_example(cluster, "hello_framework");
  INFO(hello.out << hello.err);
  CHECK(hello.exit_code == 0);
  CHECK(hello.err.empty());
  CHECK(count_lines(hello.out, "registered in epoch") == 1);
  CHECK(count_lines(hello.out, "offered ") >= 2);
  CHECK(count_lines(hello.out, "is finished on cpus ") == 2);
  CHECK(content_of(cluster.work() + "/hello-n1.out") == "hello\n");
  CHECK(content_of(cluster.work() + "/hello-n2.out") == "hello\n");
  const auto source = content_of(std::string(MUSTER_SOURCE_DIR) + "/examples/hello_framework.cpp");
  CHECK(std::count(source.begin(), source.end(), '\n') < 80);
}

TEST_CASE("an executor does several pieces of work in one task and exchanges messages with its scheduler") {
  LocalCluster cluster;
  cluster.up({"--nodes", "1", "--cpus", "1"});
  const Outcome squares = run_example(cluster, "executor_framework");
  INFO(squares.out << squares.err);
  CHECK(squares.exit_code == 0);
  CHECK(count_lines(squares.out, "executor says: ready") == 1);
  CHECK(count_lines(squares.out, "executor says: 5 25") == 1);
  CHECK(count_lines(squares.out, "executor says: ") == 6);
  CHECK(count_lines(squares.out, "is finished") == 1);
}

TEST_CASE("an example without a cluster says where it looked") {
  LocalCluster cluster;
  const Outcome hello = run_example(cluster, "hello_framework");
  CHECK(hello.exit_code == 1);
  CHECK(hello.out.empty());
  CHECK(hello.err.find(cluster.dir()) != std::string::npos);
}

TEST_CASE("a framework that lives elsewhere builds against the installed SDK and runs") {
  LocalCluster cluster;
  cluster.up({"--nodes", "1", "--cpus", "2"});
  const std::string prefix = cluster.work() + "/prefix";
  Child install({"cmake", "--install", MUSTER_BINARY_DIR, "--prefix", prefix, "--component", "sdk"}, cluster.child_options());
  REQUIRE(install.wait().exit_code == 0);
  Child build({"sh", "-c",
               "cp " MUSTER_SOURCE_DIR "/examples/hello_framework.cpp mine.cpp && "
               "PKG_CONFIG_PATH=$(dirname $(find " + prefix + " -name muster-client.pc)) && export PKG_CONFIG_PATH && "
               "c++ -o mine mine.cpp $(pkg-config --cflags --libs muster-client)"},
              cluster.child_options());
  const Outcome built = build.wait(Duration::from_seconds(120));
  INFO(built.out << built.err);
  REQUIRE(built.exit_code == 0);
  Child mine({cluster.work() + "/mine"}, cluster.child_options());
  const Outcome ran = mine.wait();
  INFO(ran.out << ran.err);
  CHECK(ran.exit_code == 0);
  CHECK(count_lines(ran.out, "is finished on cpus ") == 2);
}

}  // namespace muster::system_test

// Goal: `muster bench` measures a running cluster, says what stands in its way, and leaves nothing behind.
// Method: small counts on a real cluster of two nodes; the JSON's keys and order of magnitude, never its speed.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "tests/system/harness.hpp"

namespace muster::system_test {
namespace {

using Catch::Matchers::Contains;

void check_measure(const nlohmann::json& json, const char* key, const char* unit, std::size_t count) {
  INFO(key << ": " << json.dump());
  REQUIRE(json.contains(key));
  const auto& measure = json[key];
  CHECK(measure["count"] == count);
  double last = 0;
  for (const char* part : {"min", "p50", "p90", "p99", "p99_9", "max"}) {
    const std::string name = std::string(part) + "_" + unit;
    REQUIRE(measure.contains(name));
    CHECK(measure[name].get<double>() >= last);
    last = measure[name].get<double>();
  }
  CHECK(last > 0);
}

// Jobs that have not ended, tasks, offers and connected frameworks of the benchmark.
bool left_nothing(const LocalCluster& cluster) {
  for (const auto& framework : cluster.json({"frameworks"})["frameworks"]) {
    if (framework["name"] == "muster-bench" && (framework["tasks"] != 0 || framework["offers"] != 0)) {
      return false;
    }
  }
  return cluster.json({"queue"})["jobs"].empty() && cluster.json({"tasks"})["tasks"].empty() &&
         cluster.json({"nodes"})["nodes"][0]["used"]["cpus_milli"] == 0;
}

}  // namespace

TEST_CASE("bench measures latency, throughput and offers and leaves nothing behind") {
  LocalCluster cluster;
  cluster.up({"--nodes", "2", "--cpus", "2"});
  const auto latency = cluster.json({"bench", "latency", "--count", "10", "--svg", "latency.svg"});
  CHECK(latency["bench"] == "latency");
  CHECK(latency["cluster"] == nlohmann::json{{"nodes", 2}, {"cpus_milli", 4000}, {"jobs_running_before", 0}});
  for (const char* key : {"submit_to_accepted", "submit_to_start", "submit_to_completion"}) {
    check_measure(latency, key, "ms", 10);
  }
  CHECK(latency["bare_round_trip"]["p50_ms"] > 0);
  CHECK(latency["bare_spawn"]["p50_ms"] > 0);
  CHECK(latency["submit_to_start_ratio_to_3_round_trips_and_spawn"] > 0);
  CHECK(latency["submit_to_start"]["p50_ms"] < latency["submit_to_completion"]["p50_ms"]);
  CHECK_THAT(content_of(cluster.work() + "/latency.svg"), Contains("<svg ") && Contains("</svg>"));
  CHECK(eventually([&] { return left_nothing(cluster); }));

  const auto throughput = cluster.json({"bench", "throughput", "--count", "60", "--separate", "--svg", "rates.svg"});
  for (const std::string way : {"array", "separate"}) {
    CHECK(throughput[way + "_jobs_per_second"] > 0);
    CHECK(throughput[way + "_jobs_ratio_to_bare_spawn"] > 0);
    CHECK(throughput[way + "_starts"]["max_per_second"] > 0);
  }
  CHECK(throughput["bare_spawn_per_second"] > 0);
  CHECK(throughput["over_time"].size() == 2);
  CHECK_THAT(content_of(cluster.work() + "/rates.svg"), Contains("</svg>"));
  CHECK(eventually([&] { return left_nothing(cluster); }));

  const auto offers = cluster.json({"bench", "offers", "--count", "10"});
  for (const char* key : {"request_to_offer", "decline_to_offer", "accept_to_accepted", "accept_to_first_update", "accept_to_ended"}) {
    check_measure(offers, key, "ms", 10);
  }
  CHECK(offers["offers_per_second"] > 0);
  CHECK(eventually([&] { return left_nothing(cluster); }));
  // A framework that says no more has left a little later.
  CHECK(eventually([&] { return cluster.json({"frameworks"})["total"] == 1; }));

  const std::string text = cluster.expect(0, {"bench", "latency", "--count", "3", "--busy"});
  CHECK_THAT(text, Contains("3 no-op jobs, one at a time, while half of the free cpus turn over other no-op jobs\n") &&
                       Contains("on 2 nodes with 4 cpus\n") && Contains("submit → start") && Contains("#"));
  CHECK(left_nothing(cluster));
  // All of its jobs can be told by their name.
  for (const auto& job : cluster.json({"queue", "--all", "--limit", "0"})["jobs"]) {
    CHECK(job["name"] == "muster-bench");
  }
}

TEST_CASE("a bench that is interrupted ends its own jobs and no others") {
  LocalCluster cluster;
  cluster.up({"--cpus", "2"});
  const std::string other = lines_of(cluster.expect(0, {"submit", "--parsable", "-o", "/dev/null", "sleep", "1000"})).at(0);
  REQUIRE(eventually([&] { return cluster.json({"job", other})["jobs"][0]["state"] == "RUNNING"; }));
  Child bench(cluster.command_line({"bench", "throughput", "--count", "500000"}), cluster.child_options());
  REQUIRE(eventually([&] {
    const auto jobs = cluster.json({"queue", "--name", "muster-bench"})["jobs"];
    return !jobs.empty() && jobs[0]["counts"].contains("COMPLETED");
  }));
  const Outcome second = cluster.muster({"bench", "latency"});
  CHECK(second.exit_code == 4);
  CHECK_THAT(second.err, Contains("another `muster bench`") && Contains("already running"));
  bench.signal(SIGINT);
  const Outcome outcome = bench.wait();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 130);
  CHECK_THAT(outcome.err, Contains("1 run: the figures are not of an idle cluster") && Contains("its jobs have ended"));
  const auto jobs = cluster.json({"queue"})["jobs"];
  REQUIRE(jobs.size() == 1);
  CHECK(jobs[0]["job_id"] == std::stoull(other));

  Child offers(cluster.command_line({"bench", "offers", "--count", "1000000"}), cluster.child_options());
  REQUIRE(eventually([&] {
    const auto frameworks = cluster.json({"frameworks"})["frameworks"];
    return std::any_of(frameworks.begin(), frameworks.end(),
                       [](const auto& f) { return f["name"] == "muster-bench" && f["connected"] == true; });
  }));
  offers.signal(SIGINT);
  CHECK(offers.wait().exit_code == 130);
  for (const auto& framework : cluster.json({"frameworks"})["frameworks"]) {
    if (framework["name"] == "muster-bench") {
      CHECK(framework["offers"] == 0);
      CHECK(framework["tasks"] == 0);
    }
  }
}

TEST_CASE("a bench that can't measure says why and what to do") {
  LocalCluster cluster;
  cluster.up({"--cpus", "1"});
  const auto refuse = [&](int exit_code, const std::vector<std::string>& args, const std::vector<std::string>& words) {
    const Outcome outcome = cluster.muster(args);
    INFO(outcome.out << outcome.err);
    CHECK(outcome.exit_code == exit_code);
    CHECK_THAT(outcome.err, Catch::Matchers::StartsWith("muster: "));
    for (const std::string& word : words) {
      CHECK_THAT(outcome.err, Contains(word));
    }
  };
  refuse(1, {"bench", "latency", "--svg", "no/such/place.svg"}, {"--svg", "no/such/", "No such file or directory"});
  refuse(2, {"bench", "latency", "--svg", "/tmp"}, {"/tmp is a folder"});
  const std::string running = lines_of(cluster.expect(0, {"submit", "--parsable", "-o", "/dev/null", "sleep", "1000"})).at(0);
  REQUIRE(eventually([&] { return cluster.json({"job", running})["jobs"][0]["state"] == "RUNNING"; }));
  refuse(4, {"bench", "latency"}, {"no cpu is free (all 1 in use)", "--force"});
  refuse(5, {"bench", "latency", "--force", "--timeout", "1"}, {"has not ended within 1 s: PENDING", "--timeout 60"});
  refuse(5, {"bench", "offers", "--force", "--timeout", "1"}, {"no offer came within 1 s", "--timeout 60"});
  const std::string waiting = lines_of(cluster.expect(0, {"submit", "--parsable", "-o", "/dev/null", "true"})).at(0);
  refuse(4, {"bench", "throughput"}, {"1 job waits", "muster wait", "--force"});
  cluster.expect(0, {"cancel", running, waiting});
  cluster.expect(0, {"drain", "n1"});
  refuse(4, {"bench", "offers"}, {"takes work", "muster undrain"});
  cluster.expect(0, {"undrain", "n1"});
  cluster.kill_daemons({"gang"});
  refuse(3, {"bench", "latency"}, {"does not run", "muster up"});
  // The master's part needs no batch scheduler.
  CHECK(cluster.json({"bench", "offers", "--count", "2"})["offers_per_second"] > 0);
  LocalCluster none;
  const Outcome outcome = none.muster({"bench", "latency"});
  CHECK(outcome.exit_code == 3);
  CHECK_THAT(outcome.err, Contains("muster up"));
}

}  // namespace muster::system_test

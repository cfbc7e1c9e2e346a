// disturbances: what others notice of somebody who treats the master badly. The load of cluster_load runs all the time; phases
// without and with a disturber alternate, and the throughput of the one is held against the other. See docs/performance.md.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/load/disturber.hpp"
#include "bench/load/load_cluster.hpp"
#include "bench/load/master_process.hpp"
#include "wire/base/sampling.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr Disturbance kAll[] = {Disturbance::web, Disturbance::poll, Disturbance::queries, Disturbance::framework,
                                Disturbance::node};

struct Arguments {
  LoadOptions load;
  std::vector<std::string> kinds;
  std::string master;
  std::vector<std::string> master_arguments;
  std::uint32_t rounds = 5;
  double seconds = 1;
  bool json = false;
};

// One stretch of full load.
struct Phase {
  double messages_per_second{};
  double master_ns_per_message{};  // cpu of all its threads
};

class Measured {
 public:
  Measured(const Arguments& a, MasterProcess& master, LoadCluster& load) : a_(a), master_(master), load_(load) {}

  void warm(double seconds) { must(load_.run({}, span(seconds))); }
  Phase phase() {
    const double cpu = cpu_seconds();
    const std::uint64_t messages = count();
    const double begun = seconds_now();
    warm(a_.seconds);
    const double s = seconds_now() - begun;
    const double done = std::max(1.0, static_cast<double>(count() - messages));
    return {done / s, (cpu_seconds() - cpu) * 1e9 / done};
  }
  // Undisturbed, disturbed, undisturbed, …: each disturbed phase is held against the mean of its neighbours.
  Json against(Disturbance kind) {
    std::vector<double> plain, disturbed, ratios, cpu_ratios;
    Disturber::Done done;
    const Json before = counters();
    const std::uint64_t rss_before = master_.resident_bytes();
    std::uint64_t rss_most = rss_before;
    Phase was = phase();
    plain.push_back(was.messages_per_second);
    for (std::uint32_t round = 0; round < a_.rounds; ++round) {
      Phase now;
      {
        Disturber disturber({kind, master_.port(), master_.http_port(), ++disturbers_});
        warm(0.3);  // until it is at work
        now = phase();
        rss_most = std::max(rss_most, master_.resident_bytes());
        if (!disturber.problem().empty()) {
          master_.give_up("disturbances", disturber.problem());
        }
        const auto d = disturber.done();
        done = {done.sent + d.sent, done.answered + d.answered, done.refused + d.refused};
      }
      warm(0.3);
      const Phase next = phase();
      disturbed.push_back(now.messages_per_second);
      plain.push_back(next.messages_per_second);
      ratios.push_back(2 * now.messages_per_second / (was.messages_per_second + next.messages_per_second));
      cpu_ratios.push_back(2 * now.master_ns_per_message / (was.master_ns_per_message + next.master_ns_per_message));
      was = next;
    }
    Json out;
    out["undisturbed_messages_per_second"] = sample_percentile(plain, 0.5);
    out["disturbed_messages_per_second"] = sample_percentile(disturbed, 0.5);
    out["throughput_ratio"] = sample_percentile(ratios, 0.5);
    out["throughput_ratio_min"] = *std::min_element(ratios.begin(), ratios.end());
    out["throughput_ratio_max"] = *std::max_element(ratios.begin(), ratios.end());
    out["master_cpu_per_message_ratio"] = sample_percentile(cpu_ratios, 0.5);
    out["requests_sent"] = done.sent;
    out["answers_read"] = done.answered;
    out["answers_busy"] = done.refused;
    out["master_rss_bytes_before"] = rss_before;
    out["master_rss_bytes_growth"] = static_cast<std::int64_t>(rss_most) - static_cast<std::int64_t>(rss_before);
    const Json after = counters();
    Json counted;
    for (const char* name : {"queries_shed", "messages_shed", "links_stalled", "links_lost", "links_deaf"}) {
      counted[name] = after.value(name, std::uint64_t{0}) - before.value(name, std::uint64_t{0});
    }
    out["counted_by_master"] = counted;
    return out;
  }

 private:
  static Duration span(double seconds) { return Duration::from_ns(static_cast<std::int64_t>(seconds * 1e9)); }
  void must(const Status& status) {
    if (!status) {
      master_.give_up("disturbances", status.error().text);
    }
  }
  [[nodiscard]] std::uint64_t count() const {
    const LoadCounts& c = load_.counts();
    return c.offers + c.launches + c.updates;
  }
  [[nodiscard]] double cpu_seconds() const {
    double sum = 0;
    for (const auto& [name, seconds] : master_.thread_seconds()) {
      sum += seconds;
    }
    return sum;
  }
  [[nodiscard]] Json counters() const {
    const auto page = Json::parse(read_page(master_.http_port(), "/state"), nullptr, false);
    return page.is_object() ? page.value("counters", Json::object()) : Json::object();
  }

  const Arguments& a_;
  MasterProcess& master_;
  LoadCluster& load_;
  std::uint32_t disturbers_{};
};

Json run(const Arguments& a) {
  Json out;
  out["nodes"] = a.load.nodes;
  out["links"] = a.load.links;
  out["frameworks"] = a.load.frameworks;
  out["pattern"] = a.load.packed ? "packed" : "spread";
  out["rounds"] = a.rounds;
  out["seconds_per_phase"] = a.seconds;
  MasterProcess master;
  std::vector<std::string> arguments = a.master_arguments;
  arguments.insert(arguments.end(), {"--http", "0"});
  if (auto started = master.start(a.master, arguments); !started) {
    master.give_up("disturbances", started.error().text);
  }
  LoadOptions options = a.load;
  options.port = master.port();
  LoadCluster load(options);
  for (const auto step : {&LoadCluster::connect_all, &LoadCluster::register_nodes, &LoadCluster::subscribe}) {
    if (auto done = (load.*step)(); !done) {
      master.give_up("disturbances", done.error().text);
    }
  }
  Measured measured(a, master, load);
  measured.warm(1);
  Json results;
  for (const Disturbance kind : kAll) {
    const std::string name(to_string(kind));
    if (a.kinds.empty() || std::find(a.kinds.begin(), a.kinds.end(), name) != a.kinds.end()) {
      results[name] = measured.against(kind);
    }
  }
  out["disturbances"] = results;
  master.stop();
  return out;
}

void print(const Json& out) {
  std::printf("%u nodes, %u links, %u frameworks, %s; medians of %u rounds of %.1f s\n\n", out["nodes"].get<unsigned>(),
              out["links"].get<unsigned>(), out["frameworks"].get<unsigned>(), out["pattern"].get<std::string>().c_str(),
              out["rounds"].get<unsigned>(), out["seconds_per_phase"].get<double>());
  std::printf("%-10s %12s %12s %7s %13s %9s %9s  %s\n", "disturbed", "messages/s", "without", "ratio", "(min-max)",
              "cpu/msg", "RSS +MiB", "shed, counted by the master");
  for (const auto& [name, r] : out["disturbances"].items()) {
    std::string counted;
    for (const auto& [counter, number] : r["counted_by_master"].items()) {
      if (number.get<std::uint64_t>() != 0) {
        counted += (counted.empty() ? "" : ", ") + counter + " " + std::to_string(number.get<std::uint64_t>());
      }
    }
    std::printf("%-10s %12.0f %12.0f %7.3f  (%.2f-%.2f) %9.3f %9.1f  %s\n", name.c_str(),
                r["disturbed_messages_per_second"].get<double>(), r["undisturbed_messages_per_second"].get<double>(),
                r["throughput_ratio"].get<double>(), r["throughput_ratio_min"].get<double>(),
                r["throughput_ratio_max"].get<double>(), r["master_cpu_per_message_ratio"].get<double>(),
                r["master_rss_bytes_growth"].get<double>() / (1 << 20), counted.c_str());
  }
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  using namespace muster::bench;
  Arguments a;
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  a.master = self.parent_path().parent_path() / "master" / "muster-master";
  std::string pattern = "packed";
  CLI::App app{"Throughput of a master while somebody treats it badly, beside its throughput without: phases alternate."};
  app.add_option("kinds", a.kinds, "which: web, poll, queries, framework, node; default: all, one after the other")
      ->check(CLI::IsMember({"web", "poll", "queries", "framework", "node"}));
  app.add_option("--nodes", a.load.nodes, "simulated nodes")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  app.add_option("--links", a.load.links, "connections that the nodes share")->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--frameworks", a.load.frameworks, "frameworks, with a connection each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--pattern", pattern, "packed: an accept fills a node; spread: one task a node and frame")
      ->check(CLI::IsMember({"packed", "spread"}))
      ->capture_default_str();
  app.add_option("--rounds", a.rounds, "disturbed phases of each kind")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--seconds", a.seconds, "of each phase")->check(CLI::Range(0.1, 60.0))->capture_default_str();
  app.add_option("--master", a.master, "the muster-master program; default: of this build");
  app.add_option("--master-argument", a.master_arguments, "for muster-master; may be repeated, as --master-argument=--threads=dedicated");
  app.add_flag("--json", a.json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  a.load.packed = pattern == "packed";
  a.load.links = std::min(a.load.links, a.load.nodes);
  (void)muster::raise_descriptor_limit();
  ::signal(SIGPIPE, SIG_IGN);
  // The last resort against hanging: children go with this process.
  ::signal(SIGALRM, [](int) {
    constexpr char kText[] = "disturbances: it takes far too long\n";
    (void)!::write(2, kText, sizeof kText - 1);
    std::_Exit(1);
  });
  ::alarm(static_cast<unsigned>(60 + 5 * (1 + a.rounds) * (2 * a.seconds + 2)));
  const Json out = run(a);
  if (a.json) {
    std::cout << out.dump(2) << "\n";
  } else {
    print(out);
  }
  return 0;
}

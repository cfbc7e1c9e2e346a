// cluster_load: how many logical messages a real master passes, beside bare ZeroMQ in the same run. See docs/performance.md.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/load/load_cluster.hpp"
#include "bench/load/master_process.hpp"
#include "bench/raw/bare_links.hpp"
#include "wire/base/sampling.hpp"
#include "wire/daemon/machine.hpp"
#include "wire/socket/raw_zmq.hpp"

namespace muster::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  LoadOptions load;
  std::string pattern = "packed";
  std::string master;
  std::vector<std::string> master_arguments;
  double seconds = 3;
  double warm_seconds = 1;
  double paced_seconds = 1.5;
  double bare_seconds = 1;
  bool direct = false;
  bool no_bare = false;
  bool json = false;
};

void must(MasterProcess& master, const Status& status) {
  if (!status) {
    master.give_up("cluster_load", status.error().text);
  }
}

double own_cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Cpus that were busy on this machine, all processes together, since the boot.
double machine_cpu_seconds() {
  std::ifstream in("/proc/stat");
  std::string name;
  double user = 0;
  double nice = 0;
  double system = 0;
  double idle = 0;
  double io = 0;
  double irq = 0;
  double soft = 0;
  double steal = 0;
  in >> name >> user >> nice >> system >> idle >> io >> irq >> soft >> steal;
  return (user + nice + system + irq + soft + steal) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double per_second(std::uint64_t after, std::uint64_t before, double seconds) {
  return static_cast<double>(after - before) / seconds;
}

// What one phase at full speed did.
struct FullPhase {
  double seconds{};
  double messages_per_second{};
  double bytes_per_second{};
  double frames_per_second{};
  double accepts_per_second{};
};

Json latency_json(std::vector<double> samples, const RawRoundTrip& bare) {
  Json out;
  const double p50_us = sample_percentile(samples, 0.5) * 1e-3;
  const double p99_us = sample_percentile(samples, 0.99) * 1e-3;
  out["samples"] = samples.size();
  out["p50_us"] = p50_us;
  out["p99_us"] = p99_us;
  out["p99_9_us"] = sample_percentile(samples, 0.999) * 1e-3;
  if (bare.p50_ms > 0) {
    out["p50_round_trips"] = p50_us * 1e-3 / bare.p50_ms;
    out["p99_round_trips"] = p99_us * 1e-3 / bare.p50_ms;
    out["p99_to_p99_round_trip"] = p99_us * 1e-3 / bare.p99_ms;
  }
  return out;
}

FullPhase measure_full(LoadCluster& load, MasterProcess& master, const Arguments& a, Json& out) {
  must(master, load.run({}, Duration::from_ns(static_cast<std::int64_t>(a.warm_seconds * 1e9))));
  (void)load.take_latencies();
  const LoadCounts before = load.counts();
  const ThreadSeconds threads_before = master.thread_seconds();
  const double cpu_before = own_cpu_seconds();
  const double machine_before = machine_cpu_seconds();
  const double begun = seconds_now();
  must(master, load.run({}, Duration::from_ns(static_cast<std::int64_t>(a.seconds * 1e9))));
  FullPhase full;
  full.seconds = seconds_now() - begun;
  const LoadCounts& after = load.counts();
  const double s = full.seconds;
  const double machine_cpu = (machine_cpu_seconds() - machine_before) / s;
  const double offers = per_second(after.offers, before.offers, s);
  const double launches = per_second(after.launches, before.launches, s);
  const double updates = per_second(after.updates, before.updates, s);
  full.messages_per_second = offers + launches + updates;
  full.accepts_per_second = per_second(after.accepts, before.accepts, s);
  const double bytes_in = per_second(after.bytes_in, before.bytes_in, s);
  const double bytes_out = per_second(after.bytes_out, before.bytes_out, s);
  const double frames_in = per_second(after.frames_in, before.frames_in, s);
  const double frames_out = per_second(after.frames_out, before.frames_out, s);
  full.bytes_per_second = bytes_in + bytes_out;
  full.frames_per_second = frames_in + frames_out;
  out["messages_per_second"] = full.messages_per_second;
  out["by_kind_per_second"] = {{"offers", offers},
                               {"launches", launches},
                               {"updates", updates},
                               {"requests", per_second(after.requests, before.requests, s)},
                               {"accepts", full.accepts_per_second},
                               {"acknowledgements", per_second(after.acknowledged, before.acknowledged, s)}};
  out["tasks_checked"] = after.tasks_checked;
  out["bytes_in_per_second"] = bytes_in;
  out["bytes_out_per_second"] = bytes_out;
  out["frames_in_per_second"] = frames_in;
  out["frames_out_per_second"] = frames_out;
  out["launches_per_launch_frame"] = static_cast<double>(after.launches - before.launches) /
                                     std::max(1.0, static_cast<double>(after.launch_frames - before.launch_frames));
  out["updates_per_forwarded_frame"] = static_cast<double>(after.updates - before.updates) /
                                       std::max(1.0, static_cast<double>(after.update_frames - before.update_frames));
  Json threads;
  double master_cpu = 0;
  for (const auto& [name, seconds] : master.thread_seconds()) {
    const auto was = threads_before.find(name);
    const double used = (seconds - (was == threads_before.end() ? 0.0 : was->second)) / s;
    threads[name] = used;
    master_cpu += used;
  }
  out["master_cpu_by_thread"] = threads;
  out["master_cpu"] = master_cpu;
  const double load_cpu = (own_cpu_seconds() - cpu_before) / s;
  out["load_cpu"] = load_cpu;
  out["other_processes_cpu"] = std::max(0.0, machine_cpu - master_cpu - load_cpu);  // more than a little: measure again
  out["master_ns_per_message"] = master_cpu * 1e9 / std::max(1.0, full.messages_per_second);
  return full;
}

void measure_latencies(LoadCluster& load, MasterProcess& master, const Arguments& a, const FullPhase& full,
                       const RawRoundTrip& bare, Json& out) {
  const auto how_long = Duration::from_ns(static_cast<std::int64_t>(a.paced_seconds * 1e9));
  Json latency;
  latency["full"] = latency_json(load.take_latencies(), bare);
  must(master, load.drain());
  for (const auto& [name, part] : {std::pair{"half", 0.5}, std::pair{"tenth", 0.1}}) {
    must(master, load.run({Pace::Kind::rate, std::max(1.0, part * full.accepts_per_second)}, how_long));
    latency[name] = latency_json(load.take_latencies(), bare);
    must(master, load.drain());
    (void)load.take_latencies();
  }
  must(master, load.run({Pace::Kind::one, 0}, how_long));
  latency["idle"] = latency_json(load.take_latencies(), bare);
  must(master, load.drain());
  out["accept_to_launch"] = latency;
  out["accept_to_launch_p99_round_trips"] = {{"idle", latency["idle"]["p99_round_trips"]},
                                             {"tenth", latency["tenth"]["p99_round_trips"]},
                                             {"half", latency["half"]["p99_round_trips"]},
                                             {"full", latency["full"]["p99_round_trips"]}};
}

void compare_with_bare(const LoadCluster& load, const Arguments& a, const FullPhase& full, Json& out) {
  const auto rates = measure_bare_links(a.load.links, load.frame_sizes(), a.bare_seconds);
  BareRate best;
  BareRate lean;
  Json list;
  for (const BareRate& rate : rates) {
    BareRate& place = rate.lean ? lean : best;
    if (rate.bytes_per_second > place.bytes_per_second) {
      place = rate;
    }
    list.push_back({{"variant", rate.variant},
                    {"frames_per_second", rate.frames_per_second},
                    {"bytes_per_second", rate.bytes_per_second}});
  }
  out["bare_zeromq_bytes_per_second"] = best.bytes_per_second;
  out["bare_zeromq_frames_per_second"] = best.frames_per_second;
  out["bare_zeromq_best_variant"] = best.variant;
  out["bytes_ratio_to_bare_zeromq"] = full.bytes_per_second / std::max(1.0, best.bytes_per_second);
  out["frames_ratio_to_bare_zeromq"] = full.frames_per_second / std::max(1.0, best.frames_per_second);
  if (lean.frames_per_second > 0) {  // with thousands of connections it may not come to a frame in its time
    out["bytes_ratio_to_bare_router_with_lean_peers"] = full.bytes_per_second / lean.bytes_per_second;
    out["frames_ratio_to_bare_router_with_lean_peers"] = full.frames_per_second / lean.frames_per_second;
  }
  out["bare_variants"] = list;
}

Json run(const Arguments& a) {
  Json out;
  out["pattern"] = a.pattern;
  out["nodes"] = a.load.nodes;
  out["links"] = a.load.links;
  out["frameworks"] = a.load.frameworks;
  out["window"] = a.load.window;
  RawRoundTrip trip;
  if (!a.no_bare) {
    auto measured = measure_round_trip("tcp", std::min(1.0, a.bare_seconds));
    if (!measured) {
      std::fprintf(stderr, "cluster_load: %s\n", measured.error().text.c_str());
      std::exit(1);
    }
    trip = *std::move(measured);
    out["bare_round_trip_p50_us"] = trip.p50_ms * 1e3;
    out["bare_round_trip_p99_us"] = trip.p99_ms * 1e3;
  }
  LoadOptions options = a.load;
  MasterProcess master;
  double begun = seconds_now();
  must(master, master.start(a.master, a.master_arguments));
  options.port = master.port();
  out["master_rss_bytes_empty"] = master.resident_bytes();
  std::unique_ptr<LoadCluster> load = std::make_unique<LoadCluster>(options);
  must(master, load->connect_all());
  out["connected_after_seconds"] = seconds_now() - begun;
  out["master_rss_bytes_connected"] = master.resident_bytes();
  must(master, load->register_nodes());
  out["registered_after_seconds"] = seconds_now() - begun;
  must(master, load->subscribe());
  out["all_offered_after_seconds"] = seconds_now() - begun;
  out["master_rss_bytes_all_offered"] = master.resident_bytes();
  if (options.hold) {
    begun = seconds_now();
    must(master, load->run({}, Duration::from_ms(static_cast<std::int64_t>(a.seconds * 1000))));
    must(master, load->drain());
    const std::uint64_t tasks = load->counts().tasks_checked;
    out["tasks_running"] = tasks;
    const std::uint64_t running = master.resident_bytes();
    const std::uint64_t offered = out["master_rss_bytes_all_offered"].get<std::uint64_t>();
    out["master_rss_bytes_running"] = running;
    out["master_rss_bytes_per_node"] =
        static_cast<double>(offered - out["master_rss_bytes_connected"].get<std::uint64_t>()) / options.nodes;
    out["master_rss_bytes_per_task"] =
        (static_cast<double>(running) - static_cast<double>(offered)) / std::max(1.0, static_cast<double>(tasks));
    return out;
  }
  const FullPhase full = measure_full(*load, master, a, out);
  measure_latencies(*load, master, a, full, trip, out);
  const LoadCounts& all = load->counts();
  out["messages_in_all"] = all.offers + all.launches + all.updates;
  out["master_rss_bytes"] = master.resident_bytes();
  master.stop();
  if (!a.no_bare) {
    std::vector<std::uint32_t> sizes = load->frame_sizes();
    compare_with_bare(*load, a, full, out);
    const double total = [&] {
      double sum = 0;
      for (const std::uint32_t size : sizes) {
        sum += size;
      }
      return sum;
    }();
    out["mean_frame_bytes"] = total / static_cast<double>(sizes.size());
  }
  return out;
}

void print(const Json& json, const std::string& indent) {
  for (const auto& [key, value] : json.items()) {
    if (value.is_object()) {
      std::printf("%s%s\n", indent.c_str(), key.c_str());
      print(value, indent + "  ");
    } else if (value.is_array()) {
      for (const auto& row : value) {
        std::printf("%s%-66s %12.0f frames/s %10.1f MB/s\n", indent.c_str(), row["variant"].get<std::string>().c_str(),
                    row["frames_per_second"].get<double>(), row["bytes_per_second"].get<double>() * 1e-6);
      }
    } else if (value.is_number_float()) {
      const double number = value.get<double>();
      std::printf("%s%-46s %16.*f\n", indent.c_str(), key.c_str(), std::abs(number) >= 1000 ? 0 : 3, number);
    } else {
      std::printf("%s%-46s %16s\n", indent.c_str(), key.c_str(),
                  value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
    }
  }
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  using namespace muster::bench;
  Arguments a;
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  a.master = self.parent_path().parent_path() / "master" / "muster-master";
  unsigned limit_seconds = 0;
  CLI::App app{"Logical messages per second through a real master, with simulated nodes and frameworks over TCP, "
               "beside bare ZeroMQ with as many links and frames of the same sizes."};
  app.add_option("--nodes", a.load.nodes, "simulated nodes")->check(CLI::Range(1, 1'000'000))->capture_default_str();
  auto* links = app.add_option("--links", a.load.links, "connections that the nodes share")
                    ->check(CLI::Range(1, 1'000'000))
                    ->capture_default_str();
  app.add_flag("--direct", a.direct, "a connection for each node")->excludes(links);
  app.add_option("--frameworks", a.load.frameworks, "frameworks, with a connection each")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--cpus", a.load.cpus, "cpus of a node: tasks of an accept when packed")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--pattern", a.pattern, "packed: an accept fills a node with a task per cpu; spread: one task a node and frame")
      ->check(CLI::IsMember({"packed", "spread"}))
      ->capture_default_str();
  app.add_option("--window", a.load.window, "accepts under way at full load, all frameworks together")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--updates-per-frame", a.load.updates_per_frame_max,
                 "packed: more than --cpus lets a connection join the updates of its nodes")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--seconds", a.seconds, "measured at full load")->check(CLI::Range(0.1, 600.0))->capture_default_str();
  app.add_option("--paced-seconds", a.paced_seconds, "measured at each lower load")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--bare-seconds", a.bare_seconds, "for each variant of bare ZeroMQ")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_flag("--no-bare", a.no_bare, "leave bare ZeroMQ out");
  app.add_flag("--hold", a.load.hold, "only fill all nodes with tasks that go on running, and report memory");
  app.add_option("--timeout", limit_seconds, "end with an error after so many seconds; 0: what the other options take, and 30");
  app.add_option("--master", a.master, "the muster-master program; default: of this build");
  app.add_option("--master-argument", a.master_arguments, "for muster-master; may be repeated, as --master-argument=--threads=dedicated");
  app.add_flag("--json", a.json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  if (a.direct) {
    a.load.links = a.load.nodes;
  }
  a.load.links = std::min(a.load.links, a.load.nodes);
  a.load.packed = a.pattern == "packed";
  if (a.load.hold) {
    a.load.window = a.load.nodes;
  }
  const std::uint64_t descriptors = muster::raise_descriptor_limit();
  if (a.load.links + a.load.frameworks + 64ULL > descriptors) {
    std::fprintf(stderr, "cluster_load: %u connections need more than the %llu descriptors of ulimit -n; use fewer --links\n",
                 a.load.links, static_cast<unsigned long long>(descriptors));
    return 2;
  }
  if (a.load.nodes / a.load.links >= 60'000) {
    std::fprintf(stderr, "cluster_load: %u nodes on %u links make a Register too large; use more --links\n", a.load.nodes,
                 a.load.links);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  // The last resort against hanging: children go with this process.
  ::signal(SIGALRM, [](int) {
    constexpr char kText[] = "cluster_load: the time limit has passed (see --timeout)\n";
    (void)!::write(2, kText, sizeof kText - 1);
    std::_Exit(1);
  });
  ::alarm(limit_seconds != 0 ? limit_seconds
                             : static_cast<unsigned>(30 + a.warm_seconds + a.seconds + 3 * a.paced_seconds +
                                                     (a.no_bare ? 0 : 20 + 6 * a.bare_seconds)));
  const Json out = run(a);
  if (a.json) {
    std::cout << out.dump(2) << "\n";
  } else {
    print(out, "");
  }
  return 0;
}

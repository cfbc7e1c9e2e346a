// raw_limits: what this machine can do without us. The speed budgets are ratios to these figures,
// taken in the same run (end_to_end measures its own).
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "wire/daemon/raw_spawn.hpp"
#include "wire/socket/raw_zmq.hpp"

namespace muster::bench {
namespace {

// The value, or the end of the program.
template <class T>
T need(Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "raw_limits: %s\n", result.error().text.c_str());
    std::exit(1);
  }
  return *std::move(result);
}

nlohmann::ordered_json measure(double seconds) {
  nlohmann::ordered_json out;
  const RawSpawn spawn = need(measure_spawn(3 * seconds));
  out["spawn_per_second_one_thread"] = spawn.per_second_one_thread;
  out["spawn_per_second_two_threads"] = spawn.per_second_two_threads;
  out["spawn_p50_ms"] = spawn.one_p50_ms;
  out["spawn_p99_ms"] = spawn.one_p99_ms;
  for (const std::string transport : {"ipc", "tcp"}) {
    const RawRoundTrip trip = need(measure_round_trip(transport, seconds));
    out[transport + "_round_trip_p50_ms"] = trip.p50_ms;
    out[transport + "_round_trip_p99_ms"] = trip.p99_ms;
    for (const std::size_t bytes : {64, 512, 4096, 32768}) {
      const RawRate rate = need(measure_rate(transport, bytes, seconds));
      const std::string name = transport + "_" + std::to_string(bytes) + "_bytes";
      out[name + "_frames_per_second"] = rate.frames_per_second;
      out[name + "_megabytes_per_second"] = rate.bytes_per_second / 1e6;
    }
  }
  return out;
}

void print_table(const nlohmann::ordered_json& out) {
  for (const auto& [name, value] : out.items()) {
    std::printf("%-42s %14.3f\n", name.c_str(), value.get<double>());
  }
}

}  // namespace
}  // namespace muster::bench

int main(int argc, char** argv) {
  double seconds = 1;
  bool json = false;
  CLI::App app{"The raw limits of this machine: bare process spawning and bare ZeroMQ."};
  app.add_option("--seconds", seconds, "seconds for each figure")->capture_default_str()->check(CLI::Range(0.01, 3600.0));
  app.add_flag("--json", json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  const auto out = muster::bench::measure(seconds);
  if (json) {
    std::printf("%s\n", out.dump(2).c_str());
  } else {
    muster::bench::print_table(out);
  }
  return 0;
}

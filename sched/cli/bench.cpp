// bench: one kind of measurement, and what is told of it.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sched/cli/actions.hpp"
#include "sched/cli/bench_run.hpp"

namespace muster::cli {
namespace {

// Before minutes are spent on a picture that can't be written.
Status check_writable(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) {
      return fail(Errc::invalid_argument, "--svg: " + path + " is a folder; name a file in it");
    }
    return ::access(path.c_str(), W_OK) == 0 ? Status() : fail_errno(errno, "--svg: " + path);
  }
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  return ::access(folder.c_str(), W_OK | X_OK) == 0 ? Status() : fail_errno(errno, "--svg: the folder " + folder);
}

Result<BenchReport> measure(BenchRun& run, const BenchCommand& command) {
  switch (command.kind) {
    case BenchKind::latency: return bench_latency(run, command);
    case BenchKind::throughput: return bench_throughput(run, command);
    case BenchKind::offers: return bench_offers(run, command);
  }
  return fail(Errc::unsupported, "bench: no such measurement");
}

}  // namespace

int bench(Session& session, const BenchCommand& command) {
  if (!command.svg.empty()) {
    if (auto writable = check_writable(command.svg); !writable) {
      complain(writable.error());
      return writable.error().code == Errc::invalid_argument ? kUsage : kFailed;
    }
  }
  auto run = BenchRun::prepare(session, command);
  if (!run) {
    return complain(run.error());
  }
  const auto report = measure(**run, command);
  const bool interrupted = !report && (*run)->interrupted();  // before a second one is looked for
  (*run)->show("");
  const bool clean = (report && !command.busy) || (*run)->clean_up();
  if (!report) {
    if (interrupted) {
      if (clean) {
        complain("left; its jobs have ended");
      }
      return kInterrupted;
    }
    Error error = report.error();
    if (error.code == Errc::unreachable && error.text.find("muster up") == std::string::npos) {
      error.text += "; if a daemon has died, start it again: muster up" + session.place().hint();
    }
    return complain(error);
  }
  say(session.common().json ? json_of(*report).dump(2) + "\n" : render_bench(*report));
  if (!command.svg.empty()) {
    std::ofstream file(command.svg, std::ios::trunc);
    file << svg_of(*report);
    file.close();
    if (!file) {
      complain("--svg: " + command.svg + " can't be written");
      return kFailed;
    }
  }
  return kOk;
}

}  // namespace muster::cli

#include <cstdio>
#include <string>
#include <vector>

#include "sched/cli/actions.hpp"
#include "sched/cli/session.hpp"
#include "sched/cli/step_link.hpp"

namespace muster::cli {
namespace {

int act(const CommonOptions& common, const Command& command) {
  if (const auto* wanted = std::get_if<VersionCommand>(&command)) {
    return version(common, *wanted);
  }
  if (const auto* wanted = std::get_if<UpCommand>(&command)) {
    return up(common, *wanted);
  }
  if (const auto* wanted = std::get_if<DownCommand>(&command)) {
    return down(common, *wanted);
  }
  if (const auto* wanted = std::get_if<ExecCommand>(&command)) {
    return exec(common, *wanted);
  }
  if (const auto* wanted = std::get_if<RunCommand>(&command); wanted != nullptr && !common.dir) {
    auto place = place_from_environment();
    if (!place) {
      return complain(place.error());
    }
    if (*place) {
      Context context;
      return run_in_allocation(context, **place, *wanted);
    }
  }
  if (const auto* wanted = std::get_if<KeygenCommand>(&command)) {
    return keygen(common, *wanted);
  }
  auto session = Session::open(common);
  if (!session) {
    return complain(session.error());
  }
  struct Act {
    Session& session;
    int operator()(const SubmitCommand& c) const { return submit(session, c); }
    int operator()(const BatchCommand& c) const { return batch(session, c); }
    int operator()(const RunCommand& c) const { return run(session, c); }
    int operator()(const AllocCommand& c) const { return alloc(session, c); }
    int operator()(const AttachCommand& c) const { return attach(session, c); }
    int operator()(const ExecCommand&) const { return kUsage; }
    int operator()(const QueueCommand& c) const { return queue(session, c); }
    int operator()(const JobCommand& c) const { return show_jobs(session, c); }
    int operator()(const WaitCommand& c) const { return wait(session, c); }
    int operator()(const CancelCommand& c) const { return cancel(session, c); }
    int operator()(const HoldCommand& c) const { return hold(session, c); }
    int operator()(const LogsCommand& c) const { return logs(session, c); }
    int operator()(const ListCommand& c) const { return list(session, c); }
    int operator()(const DrainCommand& c) const { return drain(session, c); }
    int operator()(const TopoCommand& c) const { return topo(session, c); }
    int operator()(const BenchCommand& c) const { return bench(session, c); }
    int operator()(const ConfigCommand& c) const { return config(session, c); }
    int operator()(const UpCommand&) const { return kUsage; }
    int operator()(const DownCommand&) const { return kUsage; }
    int operator()(const KeygenCommand&) const { return kUsage; }
    int operator()(const VersionCommand&) const { return kUsage; }
  };
  return std::visit(Act{**session}, command);
}

// Under the name muster-rsh: the remote shell that mpirun calls, which gives it options of ssh now and then.
std::vector<std::string> words_of(int argc, char** argv) {
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  const std::string name = argc > 0 ? argv[0] : "";
  if (name.substr(name.rfind('/') + 1) != "muster-rsh") {
    return words;
  }
  while (!words.empty() && words.front().starts_with("-")) {
    const bool has_value = words.front() == "-o" || words.front() == "-l" || words.front() == "-p";
    words.erase(words.begin(), words.begin() + (has_value && words.size() > 1 ? 2 : 1));
  }
  words.insert(words.begin(), {"exec", "--"});
  return words;
}

}  // namespace

int muster_main(int argc, char** argv) {
  const std::vector<std::string> args = words_of(argc, argv);
  auto parsed = parse_command_line(args);
  if (!parsed) {
    const Stop& stop = parsed.error();
    if (stop.exit_code == kOk || args.empty()) {
      std::fputs(stop.text.c_str(), stop.exit_code == kOk ? stdout : stderr);
    } else {
      complain(stop.text);
    }
    return stop.exit_code;
  }
  const int exit_code = act(parsed->common, parsed->command);
  if (std::fflush(stdout) != 0 && exit_code == kOk) {
    complain("standard output can't be written");
    return kFailed;
  }
  return exit_code;
}

}  // namespace muster::cli

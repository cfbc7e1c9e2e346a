#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "sched/cli/actions.hpp"
#include "sched/cli/daemons.hpp"
#include "sched/cli/session.hpp"
#include "sched/cli/shutdown.hpp"
#include "sched/cli/table.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::cli {
namespace {

constexpr Duration kAfterKill = Duration::from_seconds(5);

// Asks the processes to go, and kills what has not gone when the grace is over. A killed launcher would leave
// its tasks to nobody, so they go first.
void end_processes(const std::vector<ClusterProcess>& processes, Duration grace, StopReport& report) {
  std::vector<ProcessIdentity> waited;
  for (const ClusterProcess& process : processes) {
    signal_process(process.process, SIGTERM);
    waited.push_back(process.process);
  }
  if (wait_ended(waited, mono_now() + grace)) {
    return;
  }
  for (const ClusterProcess& process : processes) {
    if (!is_alive(process.process)) {
      continue;
    }
    report.killed.push_back(process.program + " (pid " + std::to_string(process.process.pid) + ")");
    if (process.program == "muster-launcher") {
      ::kill(process.process.pid, SIGSTOP);  // starts nothing more
      for (const ProcessIdentity& child : descendants_of(process.process)) {
        signal_process(child, SIGKILL);
      }
    }
    signal_process(process.process, SIGKILL);
  }
  (void)wait_ended(waited, mono_now() + kAfterKill);
}

std::vector<ClusterProcess> recorded(const ClusterRecord& record, const std::string& boot, bool (*wanted)(const DaemonRecord&)) {
  std::vector<ClusterProcess> processes;
  for (const DaemonRecord& daemon : record.daemons) {
    if (wanted(daemon) && is_running(record, daemon, boot)) {
      processes.push_back({daemon.process, daemon.name});
    }
  }
  return processes;
}

// "3 jobs wait and 2 run", asked for politely and shortly.
std::string jobs_text(const CommonOptions& common) {
  CommonOptions brief = common;
  brief.timeout = std::min(brief.timeout, Duration::from_seconds(2));
  auto session = Session::open(brief);
  if (!session) {
    return "";
  }
  auto gang = (*session)->gang();
  if (!gang) {
    return "";
  }
  auto status = (*gang)->ask<fb::GangStatus, fb::GangStatusQuery>({}, (*session)->deadline());
  if (!status || (status->jobs_running == 0 && status->jobs_pending == 0)) {
    return "";
  }
  std::string text;
  if (status->jobs_running != 0) {
    text += counted(status->jobs_running, "running job") + " will be ended";
  }
  if (status->jobs_pending != 0) {
    text += (text.empty() ? "" : "; ") + counted(status->jobs_pending, "waiting job") + " will be kept for the next `muster up`";
  }
  return text;
}

}  // namespace

Result<StopReport> stop_cluster(const ClusterPlace& place, ClusterRecord& record, const StopOptions& options) {
  auto boot = boot_id();
  if (!boot) {
    return tl::unexpected(boot.error());
  }
  StopReport report;
  using Wanted = bool (*)(const DaemonRecord&);
  constexpr Wanted kGang = [](const DaemonRecord& d) { return d.name == "gang"; };
  constexpr Wanted kNodes = [](const DaemonRecord& d) { return d.is_node(); };
  constexpr Wanted kMaster = [](const DaemonRecord& d) { return d.name == "master"; };
  for (const Wanted wanted : {kGang, kNodes, kMaster}) {
    const auto processes = recorded(record, *boot, wanted);
    report.ended += static_cast<std::uint32_t>(processes.size());
    end_processes(processes, options.grace, report);
  }
  // Launchers, and daemons of a start that nobody recorded.
  const auto strays = processes_of_cluster(place.dir);
  end_processes(strays, options.grace, report);
  for (const ClusterProcess& process : processes_of_cluster(place.dir)) {
    report.left.push_back(process.program + " (pid " + std::to_string(process.process.pid) + ")");
  }
  for (DaemonRecord& daemon : record.daemons) {
    daemon.process = {};
  }
  if (auto saved = save_cluster(place, record); !saved) {
    return tl::unexpected(saved.error());
  }
  std::error_code ignored;
  std::filesystem::remove_all(place.dir + "/run", ignored);
  return report;
}

int down(const CommonOptions& common, const DownCommand& command) {
  auto place = place_of(common);
  if (!place) {
    return complain(place.error());
  }
  if (place->installed) {
    return complain_installed(*place);
  }
  auto record = load_cluster(*place);
  if (!record) {
    return complain(record.error());
  }
  auto lock = LockFile::acquire(place->dir + "/up.lock", "another `muster up` or `muster down` of " + place->dir);
  if (!lock) {
    complain(lock.error().text);
    return kFailed;
  }
  if (const std::string jobs = jobs_text(common); !jobs.empty()) {
    complain(jobs);
  }
  StopOptions options;
  options.grace = command.grace.value_or(options.grace);
  auto report = stop_cluster(*place, *record, options);
  if (!report) {
    return complain(report.error());
  }
  for (const std::string& process : report->killed) {
    complain(process + " did not end when asked and was killed");
  }
  for (const std::string& process : report->left) {
    complain(process + " is still there");
  }
  if (!report->left.empty()) {
    return kFailed;
  }
  say(report->ended == 0 && report->killed.empty() ? "The cluster in " + place->dir + " was down already.\n"
                                                    : "The cluster in " + place->dir + " is down.\n");
  return kOk;
}

}  // namespace muster::cli

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "sched/cli/actions.hpp"
#include "sched/cli/daemons.hpp"
#include "sched/cli/session.hpp"
#include "sched/cli/shutdown.hpp"
#include "sched/cli/table.hpp"
#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/lock_file.hpp"
#include "wire/daemon/machine.hpp"

namespace muster::cli {
namespace {

constexpr Duration kStartPatience = Duration::from_seconds(15);
constexpr Duration kPoll = Duration::from_ms(20);
constexpr std::uint32_t kRowsAtOnce = 5000;  // nodes asked for in one question
constexpr Duration kFakeDuration = Duration::from_ms(100);
constexpr std::uint32_t kFakeCpus = 64;
constexpr Bytes kFakeMemoryPerCpu = Bytes{4} << 30U;

std::uint32_t machine_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    return static_cast<std::uint32_t>(CPU_COUNT(&set));
  }
  return static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

Bytes machine_memory() {
  return static_cast<Bytes>(::sysconf(_SC_PHYS_PAGES)) * static_cast<Bytes>(::sysconf(_SC_PAGESIZE));
}

// Makes the folder ours and private. A folder with other things in it is somebody's: it is left alone.
Status prepare_folder(const ClusterPlace& place, bool known) {
  struct stat info {};
  if (::stat(place.dir.c_str(), &info) != 0) {
    if (errno != ENOENT) {
      return fail_errno(errno, place.dir);
    }
    return make_directory(place.dir, 0700);
  }
  if (!S_ISDIR(info.st_mode)) {
    return fail(Errc::io, place.dir + " is not a folder");
  }
  if (info.st_uid != ::geteuid()) {
    return fail(Errc::io, place.dir + " belongs to user " + std::to_string(info.st_uid) + "; choose a folder of your own: muster up --dir DIR");
  }
  std::error_code error;
  if (!known && !std::filesystem::is_empty(place.dir, error)) {
    return fail(Errc::io, place.dir + " is not empty and holds no cluster; name an empty or new folder: muster up --dir DIR");
  }
  if ((info.st_mode & 0077U) != 0 && ::chmod(place.dir.c_str(), 0700) != 0) {
    return fail_errno(errno, "chmod 0700 " + place.dir);
  }
  return {};
}

// What was asked for, else what was recorded, else the machine.
ClusterRecord choose_options(const UpCommand& command, const ClusterRecord* before) {
  ClusterRecord record;
  record.nodes = command.nodes.value_or(before != nullptr ? before->nodes : 1);
  const bool was_fake = before != nullptr && before->fake_duration;
  const bool fake = command.fake || (!command.nodes && was_fake);
  if (fake) {
    record.fake_duration = command.fake_duration.value_or(was_fake ? *before->fake_duration : kFakeDuration);
  }
  const bool same_nodes = before != nullptr && record.nodes == before->nodes && fake == was_fake;
  record.cpus_milli = command.cpus_milli.value_or(same_nodes ? before->cpus_milli
                                                  : fake     ? kFakeCpus * 1000
                                                             : std::max(1U, machine_cpus() / record.nodes) * 1000);
  constexpr Bytes kMegabyte = 1U << 20U;
  const Bytes share = fake ? kFakeMemoryPerCpu * (record.cpus_milli / 1000)
                           : std::max(kMegabyte, machine_memory() / 10 * 9 / record.nodes / kMegabyte * kMegabyte);
  const bool same_size = same_nodes && (!fake || record.cpus_milli == before->cpus_milli);
  record.memory_bytes = command.memory_bytes.value_or(same_size ? before->memory_bytes : share);
  record.http_port = command.http_port ? command.http_port : before != nullptr ? before->http_port : std::nullopt;
  if (before != nullptr) {
    record.settings = before->settings;
  }
  for (const ChosenSetting& chosen : command.settings) {
    std::erase_if(record.settings, [&](const ChosenSetting& s) { return s.name == chosen.name; });
    record.settings.push_back(chosen);
  }
  std::sort(record.settings.begin(), record.settings.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return record;
}

bool asks_for_other(const UpCommand& command, const ClusterRecord& running) {
  return (command.nodes && (*command.nodes != running.nodes || command.fake != running.fake_duration.has_value())) ||
         (command.fake_duration && command.fake_duration != running.fake_duration) || (command.cpus_milli && *command.cpus_milli != running.cpus_milli) ||
         (command.memory_bytes && *command.memory_bytes != running.memory_bytes) ||
         (command.http_port && command.http_port != running.http_port) ||
         !std::all_of(command.settings.begin(), command.settings.end(), [&](const ChosenSetting& s) {
           return std::find(running.settings.begin(), running.settings.end(), s) != running.settings.end();
         });
}

std::string size_text(const ClusterRecord& record) {
  return counted(record.nodes, record.fake_duration ? "simulated node" : "node") + " of " + format_cpus(record.cpus_milli) + " cpu" +
         (record.cpus_milli == 1000 ? "" : "s") + " and " + format_bytes_short(record.memory_bytes);
}

// Asks the daemons until all of them say that they are ready. One thread.
class Readiness {
 public:
  // `fresh`: the master is new, and knows no node yet.
  Readiness(const ClusterPlace& place, const ClusterRecord& record, bool fresh) : place_(place), record_(record), fresh_(fresh) {}

  // Errc::io naming the daemon that has gone or does not get ready.
  Status wait_for(bool everything, Instant deadline) {
    std::string missing;
    for (;;) {
      for (const DaemonRecord& daemon : record_.daemons) {
        if (daemon.process.pid != 0 && wait_ended({daemon.process}, mono_now())) {
          const std::string words = last_words(place_, daemon);
          return fail(Errc::io, daemon.name + " did not start: " + (words.empty() ? "it ended without a word" : words) +
                                    "; see " + place_.log_path(daemon.name));
        }
      }
      missing = everything ? what_is_missing() : master_is_missing();
      if (missing.empty()) {
        return {};
      }
      if (mono_now() >= deadline) {
        for (const DaemonRecord& daemon : record_.daemons) {
          if (const std::string why = last_error(place_, daemon.name); !why.empty()) {
            missing += " (" + daemon.name + ": " + why + ")";
          }
        }
        return fail(Errc::io, missing + " after " + span_text(kStartPatience) + "; see the logs in " + place_.dir + "/log");
      }
      wait_readable(-1, mono_now() + kPoll);
    }
  }
  [[nodiscard]] fb::OperatorReplyT status() const { return status_; }

 private:
  std::string master_is_missing() {
    auto reply = ask<fb::OperatorReply, fb::OperatorQuery>(master_, "master", {});
    if (!reply) {
      return "the master does not answer";
    }
    status_ = *std::move(reply);
    return "";
  }
  std::string what_is_missing() {
    if (auto text = master_is_missing(); !text.empty()) {
      return text;
    }
    if (auto text = record_.fake_duration ? fakes_are_missing() : nodes_are_missing(); !text.empty()) {
      return text;
    }
    auto gang = ask<fb::GangStatus, fb::GangStatusQuery>(gang_, "gang", {});
    if (!gang || !gang->master_connected) {
      return "the batch scheduler has not connected";
    }
    return status_.settled ? "" : "the master has not settled";
  }
  // A new master knows those that have registered; an older one may still count some that went away.
  std::string fakes_are_missing() {
    const std::string some = "not all of the " + counted(record_.nodes, "simulated node") + " have registered";
    if (status_.nodes_total < record_.nodes) {
      return some;
    }
    fb::OperatorQueryT question;
    question.subject = fb::Subject::Nodes;
    question.limit = kRowsAtOnce;
    while (!fresh_) {
      auto nodes = ask<fb::OperatorReply, fb::OperatorQuery>(master_, "master", fb::OperatorQueryT(question));
      if (!nodes) {
        return "the master does not answer";
      }
      if (std::any_of(nodes->nodes.begin(), nodes->nodes.end(), [](const auto& node) { return !is_up(*node); })) {
        return some;
      }
      if (!nodes->more || nodes->next_after == question.after) {
        break;
      }
      question.after = nodes->next_after;
    }
    return "";
  }
  static bool is_up(const fb::NodeRowT& node) {
    return node.seen_ms < 3'000 && (node.state == fb::NodeState::Up || node.state == fb::NodeState::Draining);
  }
  std::string nodes_are_missing() {
    fb::OperatorQueryT question;
    question.subject = fb::Subject::Nodes;
    auto nodes = ask<fb::OperatorReply, fb::OperatorQuery>(master_, "master", std::move(question));
    if (!nodes) {
      return "the master does not answer";
    }
    for (std::uint32_t i = 1; i <= record_.nodes; ++i) {
      const std::string name = "n" + std::to_string(i);
      const bool up = std::any_of(nodes->nodes.begin(), nodes->nodes.end(), [&](const auto& node) {
        return node->name == name && is_up(*node);
      });
      if (!up) {
        return "node " + name + " has not registered";
      }
    }
    return "";
  }
  template <class Answer, class Question>
  Result<typename Answer::NativeTableType> ask(std::unique_ptr<Conversation>& with, const std::string& daemon,
                                               typename Question::NativeTableType question) {
    if (!with) {
      auto opened = Conversation::open(context_, daemon, "ipc://" + place_.socket_path(daemon));
      if (!opened) {
        return tl::unexpected(opened.error());
      }
      with = std::make_unique<Conversation>(*std::move(opened));
    }
    return with->template ask<Answer, Question>(std::move(question), mono_now() + Duration::from_ms(500));
  }

  const ClusterPlace& place_;
  const ClusterRecord& record_;
  bool fresh_;
  Context context_;
  std::unique_ptr<Conversation> master_;
  std::unique_ptr<Conversation> gang_;
  fb::OperatorReplyT status_;
};

// Starts the daemons of `record` that `missing` names, master first, and waits until all are ready.
Status start(const ClusterPlace& place, ClusterRecord& record, const std::vector<std::string>& missing,
             fb::OperatorReplyT& status) {
  const Instant deadline = mono_now() + kStartPatience;
  const bool fresh = std::find(missing.begin(), missing.end(), "master") != missing.end();
  Readiness readiness(place, record, fresh);
  for (DaemonRecord& daemon : record.daemons) {
    if (std::find(missing.begin(), missing.end(), daemon.name) == missing.end()) {
      continue;
    }
    auto process = start_daemon(place, daemon);
    if (!process) {
      return tl::unexpected(process.error());
    }
    daemon.process = *process;
    if (auto saved = save_cluster(place, record); !saved) {
      return saved;
    }
    if (daemon.name == "master") {
      if (auto ready = readiness.wait_for(false, deadline); !ready) {
        return ready;
      }
    }
  }
  auto ready = readiness.wait_for(true, deadline);
  status = readiness.status();
  status.http_port = http_port_of(place);
  return ready;
}

void report(const CommonOptions& common, const ClusterPlace& place, const ClusterRecord& record,
            const fb::OperatorReplyT& status, const std::string& first_line) {
  if (common.json) {
    nlohmann::ordered_json json = nlohmann::ordered_json::parse(to_json(record));
    json["dir"] = place.dir;
    json["epoch"] = status.epoch;
    json["http_port"] = status.http_port;
    say(json.dump(2) + "\n");
    return;
  }
  std::string text = first_line + "\n";
  text += "  folder  " + place.dir + "\n";
  if (status.http_port != 0) {
    text += "  web     http://127.0.0.1:" + std::to_string(status.http_port) + "\n";
  }
  const std::string option = place.hint();
  if (record.fake_duration) {
    text += "  nodes   f1 to f" + std::to_string(record.nodes) + " are simulated: tasks execute nothing, run for " +
            span_text(*record.fake_duration) + " and end with exit code 0\n";
    text += "Next:  muster submit" + option + " -a 1-100000 -- true   muster submit" + option + " -N " +
            std::to_string(std::min(record.nodes, 100U)) + " -- true   muster queue" + option + "   muster nodes" + option +
            "   muster down" + option + "\n";
    say(text);
    return;
  }
  text += "Next:  muster run" + option + " -n 2 -- hostname   muster submit" + option + " -- COMMAND   muster status" + option +
          "   muster down" + option + "\n";
  say(text);
}

}  // namespace

int up(const CommonOptions& common, const UpCommand& command) {
  auto place = place_of(common);
  if (!place) {
    return complain(place.error());
  }
  if (place->installed) {
    return complain_installed(*place);
  }
  std::error_code ignored;
  const bool known = std::filesystem::exists(place->record_path(), ignored);
  const std::uint32_t nodes_max = command.fake ? 1 : command.nodes.value_or(1);
  if (auto longest = ipc_endpoint(place->dir + "/nodes/n" + std::to_string(nodes_max) + "/job.ipc"); !longest) {
    return complain(Error{Errc::invalid_argument, "the folder's path is too long for local sockets: " + place->dir +
                                                      "; choose a shorter one: muster up --dir DIR"});
  }
  if (auto prepared = prepare_folder(*place, known); !prepared) {
    return complain(prepared.error());
  }
  auto lock = LockFile::acquire(place->dir + "/up.lock", "another `muster up` or `muster down` of " + place->dir);
  if (!lock) {
    complain(lock.error().text);
    return kFailed;
  }
  const auto boot = boot_id();
  if (!boot) {
    return complain(boot.error());
  }
  std::optional<ClusterRecord> before;
  if (std::filesystem::exists(place->record_path(), ignored)) {
    auto loaded = load_cluster(*place);
    if (!loaded) {
      return complain(loaded.error());
    }
    before = *std::move(loaded);
  }
  std::vector<std::string> missing;
  bool any_runs = false;
  if (before) {
    for (const DaemonRecord& daemon : before->daemons) {
      const bool runs = is_running(*before, daemon, *boot);
      any_runs = any_runs || runs;
      if (!runs) {
        missing.push_back(daemon.name);
      }
    }
  }
  fb::OperatorReplyT status;
  if (any_runs) {
    if (asks_for_other(command, *before)) {
      complain("a cluster of " + size_text(*before) + " runs in " + place->dir + " already; for other options first: muster down" +
               place->hint());
      return kFailed;
    }
    if (auto ready = start(*place, *before, missing, status); !ready) {
      return complain(ready.error());
    }
    std::string restarted;
    for (const std::string& name : missing) {
      restarted += (restarted.empty() ? "" : ", ") + name;
    }
    report(common, *place, *before, status,
           "The cluster runs already: " + size_text(*before) + (missing.empty() ? "." : "; started again: " + restarted + "."));
    return kOk;
  }
  const Instant begun = mono_now();
  ClusterRecord record = choose_options(command, before ? &*before : nullptr);
  record.boot_id = *boot;
  record.started = SystemClock{}.now().wall;
  auto daemons = plan_daemons(*place, record, machine_cpus(), !std::filesystem::exists(place->dir + "/master", ignored));
  if (!daemons) {
    return complain(daemons.error());
  }
  record.daemons = *std::move(daemons);
  missing.clear();
  for (const DaemonRecord& daemon : record.daemons) {
    missing.push_back(daemon.name);
  }
  if (auto ready = start(*place, record, missing, status); !ready) {
    const int exit_code = complain(ready.error());
    (void)stop_cluster(*place, record, {.grace = Duration::from_seconds(5)});
    return exit_code;
  }
  char seconds[32];
  std::snprintf(seconds, sizeof(seconds), "%.1f s", (mono_now() - begun).seconds());
  report(common, *place, record, status, "Cluster of " + size_text(record) + " is up (" + seconds + ").");
  return kOk;
}

}  // namespace muster::cli

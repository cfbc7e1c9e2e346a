#include "tests/sim/machine.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "node/exec/run_log.hpp"

namespace muster::sim {
namespace {

TaskKey key_of(const node::TaskStart& task) { return {task.framework, task.attempt}; }

}  // namespace

Machine::Machine(World& world, Truth& truth, std::uint32_t index, Resources capacity, TaskNature nature)
    : world_(world), truth_(truth), index_(index), capacity_(std::move(capacity)), nature_(nature) {}

// ---- power

void Machine::power_on() {
  powered_ = true;
  boot_id_ = "boot-" + std::to_string(index_) + "-" + std::to_string(++boots_);
  world_.note("power on", index_);
  if (boots_ > 1) {
    tear_log();
  }
  start_launcher();
}

// Nothing of the run log is synced: what was written in the half minute before the cut may not have reached the disk,
// the last record may be torn, zeros may follow it, and a replaced file may be the old one again.
void Machine::tear_log() {
  std::size_t safe = 0;
  for (const auto& [at, bytes] : log_ends_) {
    if (at + Duration::from_seconds(30) <= power_off_at_) {
      safe = bytes;
    }
  }
  if (safe == log_.size() || !world_.prng.percent(nature_.torn_log_percent)) {
    return;
  }
  if (safe == 0 && world_.prng.percent(30)) {
    log_ = log_replaced_;
  } else {
    const std::size_t bytes = log_.size();
    log_.resize(safe + world_.prng.below(log_.size() - safe + 1));
    if (world_.prng.percent(30)) {
      log_.resize(bytes);  // the length reached the disk, and the bytes did not
    }
  }
  std::set<TaskKey> ended;
  if (const auto contents = node::run_log::decode(log_, "run.log")) {
    for (const node::run_log::LoggedTask& logged : contents->tasks) {
      if (logged.known.phase == node::RecoveredTask::Phase::ended) {
        ended.insert(key_of(logged.known.task));
      }
    }
  }
  for (const auto& [key, known] : tasks_) {
    if (known.task.phase == node::RecoveredTask::Phase::ended && !ended.contains(key)) {
      truth_.of(key).end_torn = true;
    }
  }
}

void Machine::power_off() {
  world_.note("power off", index_);
  powered_ = false;
  power_off_at_ = world_.now();
  crash_launcher();
  for (const auto& [key, process] : processes_) {
    truth_.on_stopped(key, std::nullopt, TaskState::lost);
  }
  processes_.clear();
}

// ---- the launcher's life

void Machine::crash_launcher() {
  if (!launcher_up_) {
    return;
  }
  world_.note("launcher down", index_);
  launcher_up_ = false;
  ++launcher_life_;
  std::vector<TaskKey> gone;
  for (auto& [key, process] : processes_) {
    // Ranks of a gang's member, and ranks that have company, wait for one word through a pipe before they exec. It
    // closes with the launcher, also on those that have not come to wait yet.
    const auto known = tasks_.find(key);
    const bool gated = known != tasks_.end() && (known->second.task.task.park || known->second.task.task.ranks.size() > 1);
    if (!process.running && (gated || world_.prng.percent(50))) {
      gone.push_back(key);
    } else if (!process.running) {
      process.orphaned = true;  // forked, before its exec
      const std::uint64_t number = process.number;
      world_.after(world_.prng.between(Duration::from_us(10), Duration::from_ms(5)), [this, key = key, number] {
        const auto it = processes_.find(key);
        const auto known = tasks_.find(key);
        if (it != processes_.end() && it->second.number == number && !it->second.running && known != tasks_.end() &&
            !launcher_up_) {
          append(node::run_log::encode_started(key.framework, key.attempt, world_.wall(), {}, {}));
          it->second.running = true;
          truth_.of(key).allowed = true;
          truth_.on_exec(key);
        }
      });
    } else if (world_.prng.percent(50)) {
      gone.push_back(key);  // parent-death signal
    } else {
      process.orphaned = true;
    }
  }
  for (const TaskKey& key : gone) {
    truth_.on_stopped(key, 137, TaskState::lost);
    processes_.erase(key);
  }
  if (ears_) {
    AgentEars ears = std::move(*ears_);
    lose_agent();
    ears.lost();
  }
}

void Machine::start_launcher() {
  if (launcher_up_ || !powered_) {
    return;
  }
  world_.note("launcher up", index_);
  launcher_up_ = true;
  ++launcher_life_;
  auto contents = node::run_log::decode(log_, "run.log");
  if (!contents) {
    violated("run log", "the run log of node " + std::to_string(index_) + ": " + contents.error().text);
  }
  node::run_log::end_by_reboot(*contents, boot_id_, world_.wall());
  tasks_.clear();
  forgotten_ = contents->forgotten;
  fence_at_ = Instant::never();
  std::vector<const node::run_log::LoggedTask*> kept;
  for (node::run_log::LoggedTask& logged : contents->tasks) {
    kept.push_back(&logged);
    node::RecoveredTask task = logged.known;
    const TaskKey key = key_of(task.task);
    tasks_[key] = Known{.task = std::move(task), .number = ++next_number_};
  }
  // What the dead launcher left running is ended first, and only then its end is said.
  for (auto& [key, known] : tasks_) {
    if (known.task.phase != node::RecoveredTask::Phase::ended) {
      known.recovered = true;
      const Duration takes = world_.prng.percent(50) ? Duration{} : world_.prng.skewed(Duration::from_us(100), Duration::from_seconds(1));
      world_.after(takes, [this, key = key, life = launcher_life_] {
        if (launcher_up_ && launcher_life_ == life) {
          end_recovered(key);
        }
      });
    }
  }
  std::size_t records = 0;
  log_replaced_ = std::move(log_);
  log_ = node::run_log::encode_file({.boot_id = boot_id_, .launcher_id = "sim", .roots = {}}, kept, forgotten_, records);
  log_ends_.clear();
  log_ends_.emplace_back(world_.now(), log_.size());
}

void Machine::end_recovered(const TaskKey& key) {
  processes_.erase(key);
  truth_.on_stopped(key, 137, TaskState::lost);
  const Known& known = tasks_.at(key);
  const bool started = known.task.phase == node::RecoveredTask::Phase::started;
  end(key, started ? TaskState::lost : TaskState::not_started, TaskReason::launcher_died, 0, 0, {});
}

// ---- the agent's connection

void Machine::connect(AgentEars ears) {
  if (!launcher_up_) {
    return;
  }
  ears_ = std::move(ears);
  const std::uint64_t connection = ++connection_;
  node::LauncherHello hello{.boot_id = boot_id_, .containment = "simulated", .not_enforced = {}, .tasks = {}, .forgotten = forgotten_};
  std::map<std::uint64_t, const node::RecoveredTask*> ordered;
  for (const auto& [key, known] : tasks_) {
    ordered[known.number] = &known.task;
  }
  for (const auto& [number, task] : ordered) {
    hello.tasks.push_back(*task);
    hello.tasks.back().task.environment.clear();
  }
  last_to_agent_ = std::max(last_to_agent_, world_.now()) + world_.prng.between(Duration::from_us(20), Duration::from_ms(2));
  world_.at(last_to_agent_, [this, connection, hello = std::move(hello)] {
    if (ears_ && connection_ == connection) {
      ears_->hello(hello);
    }
  });
}

void Machine::disconnect() {
  if (ears_) {
    lose_agent();
  }
}

void Machine::lose_agent() {
  ears_.reset();
  ++connection_;
}

void Machine::tell(node::LauncherEvent event) {
  if (!ears_) {
    return;
  }
  const std::uint64_t connection = connection_;
  last_to_agent_ = std::max(last_to_agent_, world_.now()) + world_.prng.between(Duration::from_us(5), Duration::from_us(500));
  world_.at(last_to_agent_, [this, connection, event = std::move(event)] {
    if (ears_ && connection_ == connection) {
      ears_->event(event);
    }
  });
}

void Machine::send(const node::LauncherCommand& command) {
  if (!launcher_up_) {
    return;
  }
  // The socket's buffer outlives the agent until a new one connects.
  const std::uint64_t connection = connection_;
  const std::uint64_t life = launcher_life_;
  last_to_launcher_ =
      std::max(last_to_launcher_, world_.now()) + world_.prng.between(Duration::from_us(5), Duration::from_us(500));
  world_.at(last_to_launcher_, [this, connection, life, command] {
    if (launcher_up_ && launcher_life_ == life && (connection_ == connection || !ears_)) {
      take(command);
    }
  });
}

// ---- commands

void Machine::take(const node::LauncherCommand& command) {
  namespace cmd = node::command;
  if (const auto* start_command = std::get_if<cmd::Start>(&command)) {
    start(start_command->task);
  } else if (const auto* go = std::get_if<cmd::Go>(&command)) {
    const TaskKey key{go->framework, go->attempt};
    world_.note("go", index_, [&] { return to_string(key); });
    if (const auto it = tasks_.find(key);
        it != tasks_.end() && it->second.task.phase == node::RecoveredTask::Phase::parked) {
      exec(key);
    }
  } else if (const auto* release = std::get_if<cmd::Release>(&command)) {
    const TaskKey key{release->framework, release->attempt};
    world_.note("release", index_, [&] { return to_string(key); });
    const auto it = tasks_.find(key);
    if (it == tasks_.end()) {
      return;
    }
    if (it->second.task.phase == node::RecoveredTask::Phase::parked) {
      processes_.erase(key);
      truth_.on_stopped(key, std::nullopt, TaskState::not_started);
      end(key, TaskState::not_started, TaskReason::released, 0, 0, {});
    } else if (it->second.task.phase == node::RecoveredTask::Phase::intent && it->second.task.task.park) {
      it->second.release_requested = true;
    }
  } else if (const auto* kill_command = std::get_if<cmd::Kill>(&command)) {
    kill({kill_command->framework, kill_command->attempt}, kill_command->signal, kill_command->grace_ms);
  } else if (const auto* forget = std::get_if<cmd::Forget>(&command)) {
    const TaskKey key{forget->framework, forget->attempt};
    const auto it = tasks_.find(key);
    if (it == tasks_.end()) {
      append(node::run_log::encode_forgotten(key.framework, key.attempt));
      forgotten_.emplace_back(key.framework, key.attempt);
      return;
    }
    if (it->second.task.phase != node::RecoveredTask::Phase::ended) {
      violated("forgotten alive", "node " + std::to_string(index_) + " forgets " + to_string(key) + ", which has not ended");
    }
    if (on_forget) {
      on_forget(key);
    }
    append(node::run_log::encode_forgotten(key.framework, key.attempt));
    forgotten_.emplace_back(key.framework, key.attempt);
    tasks_.erase(it);
  } else if (const auto* fence = std::get_if<cmd::Fence>(&command)) {
    fence_at_ = fence->at;
    world_.at(std::max(fence_at_, world_.now()), [this, at = fence_at_, life = launcher_life_] {
      if (launcher_up_ && launcher_life_ == life && fence_at_ == at) {
        end_at_fence();
      }
    });
  }
}

void Machine::end_at_fence() {
  std::vector<TaskKey> due;
  for (auto& [key, known] : tasks_) {
    if (known.task.task.requeueable && known.task.phase != node::RecoveredTask::Phase::ended && !known.recovered) {
      known.fenced = known.fenced || !known.kill_requested;
      due.push_back(key);
    }
  }
  for (const TaskKey& key : due) {
    kill(key, 15, 2'000);
  }
}

void Machine::start(const node::TaskStart& task) {
  const TaskKey key = key_of(task);
  world_.note("start", index_, [&] { return to_string(key) + (task.park ? " parked" : ""); });
  if (tasks_.contains(key)) {
    violated("started twice", "node " + std::to_string(index_) + " is told to start " + to_string(key) + " again");
  }
  truth_.on_start(key, index_);
  append(node::run_log::encode_intent(task));
  const std::uint64_t number = ++next_number_;
  Known& known = tasks_[key];
  known.number = number;
  known.task.task = task;
  known.task.phase = node::RecoveredTask::Phase::intent;
  Processes& processes = processes_[key];
  processes.number = number;
  processes.cpus = task.cpus;
  processes.cpus_milli = task.cpus_milli;
  processes.own_cpus = task.cpus_milli != 0 && task.cpus_milli % 1000 == 0;
  check_room();
  const std::uint64_t life = launcher_life_;
  const Duration spawn_time = world_.prng.percent(3) ? world_.prng.between(Duration::from_ms(10), Duration::from_seconds(5))
                                                     : world_.prng.between(Duration::from_us(200), Duration::from_ms(5));
  world_.after(spawn_time, [this, key, number, life] {
    if (launcher_up_ && launcher_life_ == life) {
      spawned(key, number);
    }
  });
}

void Machine::spawned(const TaskKey& key, std::uint64_t number) {
  const auto it = tasks_.find(key);
  if (it == tasks_.end() || it->second.number != number || it->second.task.phase != node::RecoveredTask::Phase::intent) {
    return;
  }
  Known& known = it->second;
  if (known.release_requested || known.kill_requested) {
    processes_.erase(key);
    end(key, TaskState::not_started, known.kill_requested ? TaskReason::kill_requested : TaskReason::released, 0, 0, {});
    return;
  }
  if (world_.fate(key.attempt.hi, key.attempt.lo, 1) % 1'000'000 < nature_.spawn_fail_ppm) {
    processes_.erase(key);
    end(key, TaskState::start_failed, TaskReason::spawn_failed, 0, 0, "no process for it");
    return;
  }
  if (known.task.task.park) {
    known.task.phase = node::RecoveredTask::Phase::parked;
    processes_[key].parked = true;
    world_.note("parked", index_, [&] { return to_string(key); });
    truth_.on_parked(key);
    tell(node::event::Parked{key.framework, key.attempt});
  } else {
    exec(key);
  }
}

void Machine::exec(const TaskKey& key) {
  Known& known = tasks_.at(key);
  Processes& processes = processes_.at(key);
  const bool fails = world_.fate(key.attempt.hi, key.attempt.lo, 2) % 1'000'000 < nature_.exec_fail_ppm;
  if (fails && !known.task.task.park) {
    processes_.erase(key);
    truth_.on_stopped(key, std::nullopt, TaskState::start_failed);
    end(key, TaskState::start_failed, TaskReason::exec_not_found, 0, 0, "no such command");
    return;
  }
  known.task.phase = node::RecoveredTask::Phase::started;
  known.task.started = world_.wall();
  for (const node::RankStart& rank : known.task.task.ranks) {
    known.task.processes.push_back({.rank = rank.rank,
                                    .pid = static_cast<std::int32_t>(1000 + known.number * 16 + known.task.processes.size()),
                                    .start_time_ticks = known.number});
  }
  append(node::run_log::encode_started(key.framework, key.attempt, known.task.started, known.task.processes, {}));
  processes.parked = false;
  processes.running = true;
  truth_.of(key).allowed = true;
  tell(node::event::Started{key.framework, key.attempt, known.task.started, known.task.processes});
  if (fails) {  // the gate was open, and exec said no
    world_.after(world_.prng.between(Duration::from_us(50), Duration::from_ms(5)), [this, key, number = known.number, life = launcher_life_] {
      const auto it = processes_.find(key);
      if (it != processes_.end() && it->second.number == number && launcher_up_ && launcher_life_ == life) {
        processes_.erase(it);
        truth_.on_stopped(key, std::nullopt, TaskState::start_failed);
        end(key, TaskState::start_failed, TaskReason::exec_not_found, 0, 0, "no such command");
      }
    });
    return;
  }
  world_.note("exec", index_, [&] { return to_string(key); });
  truth_.on_exec(key);

  Prng nature(world_.fate(key.attempt.hi, key.attempt.lo, 3));
  const Duration runs = nature.skewed(nature_.run_min, nature_.run_max);
  const std::int32_t code = nature.percent(nature_.fail_percent) ? static_cast<std::int32_t>(nature.between(1, 40)) : 0;
  const std::uint64_t number = known.number;
  world_.after(runs, [this, key, number, code] { exited(key, number, code, 0, TaskState::finished); });
}

void Machine::exited(const TaskKey& key, std::uint64_t number, std::int32_t exit_code, std::int32_t signal, TaskState state) {
  const auto it = processes_.find(key);
  if (it == processes_.end() || it->second.number != number) {
    return;
  }
  const bool orphaned = it->second.orphaned;
  processes_.erase(it);
  world_.note("exit", index_, [&] { return to_string(key) + " code " + std::to_string(exit_code); });
  truth_.on_stopped(key, exit_code, state);
  if (!orphaned && launcher_up_) {
    const bool asked = tasks_.at(key).kill_requested;
    end(key, asked ? TaskState::killed : state, asked ? TaskReason::kill_requested : TaskReason::none, exit_code, signal, {});
  }
}

void Machine::kill(const TaskKey& key, std::int32_t signal, std::uint32_t grace_ms) {
  world_.note("kill", index_, [&] { return to_string(key); });
  const auto it = tasks_.find(key);
  if (it == tasks_.end() || it->second.task.phase == node::RecoveredTask::Phase::ended || it->second.recovered) {
    return;
  }
  Known& known = it->second;
  using Phase = node::RecoveredTask::Phase;
  if (known.task.phase == Phase::parked) {
    processes_.erase(key);
    truth_.on_stopped(key, std::nullopt, TaskState::not_started);
    end(key, TaskState::not_started, TaskReason::kill_requested, 0, 0, {});
    return;
  }
  known.kill_requested = true;
  known.kill_signal = signal;
  if (known.task.phase != Phase::started) {
    return;  // seen to when it has spawned
  }
  const std::uint64_t number = known.number;
  const bool heeds = world_.prng.percent(80) && signal != 0;
  const Duration grace = Duration::from_ms(grace_ms);
  const Duration takes = heeds ? std::min(grace, world_.prng.between(Duration::from_us(100), Duration::from_ms(500))) : grace;
  const std::int32_t by = heeds ? signal : 9;
  world_.after(takes + Duration::from_us(50),
               [this, key, number, by] { exited(key, number, 128 + by, by, TaskState::killed); });
}

void Machine::end(const TaskKey& key, TaskState state, TaskReason reason, std::int32_t exit_code, std::int32_t signal,
                  std::string text) {
  Known& known = tasks_.at(key);
  known.task.phase = node::RecoveredTask::Phase::ended;
  reason = known.fenced && reason == TaskReason::kill_requested ? TaskReason::fenced : reason;
  known.task.end = {.framework = key.framework,
                    .attempt = key.attempt,
                    .state = state,
                    .reason = reason,
                    .exit_code = exit_code,
                    .signal = signal,
                    .text = std::move(text),
                    .started = known.task.started,
                    .ended = world_.wall(),
                    .ranks = {},
                    .usage = {},
                    .report = {}};
  append(node::run_log::encode_ended(known.task.end));
  tell(known.task.end);
}

void Machine::append(const std::string& record) {
  log_ += record;
  log_ends_.emplace_back(world_.now(), log_.size());
}

// ---- what the kernel can say

void Machine::check_room() const {
  Resources used;
  std::set<std::uint32_t> owned;
  std::uint64_t cpus_milli = 0;
  for (const auto& [key, process] : processes_) {
    cpus_milli += process.cpus_milli;
    if (process.own_cpus) {
      for (const std::uint32_t cpu : process.cpus) {
        if (!owned.insert(cpu).second) {
          violated("cpu shared", "cpu " + std::to_string(cpu) + " of node " + std::to_string(index_) +
                                     " belongs to " + to_string(key) + " and to another task");
        }
      }
    }
    const AttemptTruth* attempt = truth_.find(key);
    if (attempt == nullptr || !used.can_add(attempt->shape)) {
      violated("over-commit", "node " + std::to_string(index_) + ": " + to_string(key) + " overlaps another task's " +
                                  (attempt == nullptr ? std::string("?") : to_string(attempt->shape)));
    }
    used += attempt->shape;
  }
  if (!used.fits_in(capacity_) || cpus_milli > capacity_.cpus_milli) {
    violated("over-commit", "node " + std::to_string(index_) + " runs " + to_string(used) + " of " + to_string(capacity_));
  }
}

}  // namespace muster::sim

// Goal: whatever happens around it, the node runs an attempt at most once, reports one end for it, never execs a
// gang's rank without Go, and its books add up. Method: seeded random operations of master, launcher, network and
// crashes of agent and launcher against one core; then the faults stop and everything must be acknowledged.
#include <random>

#include "tests/node/core/harness.hpp"

using namespace muster;
using namespace muster::node;
using namespace muster::node::test;

namespace {

struct World : Harness {
  explicit World(std::uint64_t seed) : Harness(6), random(seed) {
    config.updates_in_flight_max = 8;
    start_agent();
  }

  std::mt19937_64 random;
  bool launcher_connected{};
  std::map<AttemptId, RecoveredTask> run_log;       // the launcher's
  std::map<AttemptId, int> starts;                  // with an exec possible
  std::map<AttemptId, bool> gang;
  std::map<AttemptId, bool> go_given;               // by the master
  std::map<AttemptId, TaskState> ends;              // as the master heard
  std::map<AttemptId, std::uint64_t> last_seq;
  std::map<AttemptId, std::pair<TaskState, std::uint64_t>> master_view;
  std::map<AttemptId, LaunchArgs> launched;
  std::uint64_t next_attempt{1};
  std::size_t seen_updates{};
  std::size_t seen_registers{};
  std::size_t seen_prepared{};
  std::set<AttemptId> prepared_known;

  std::uint64_t pick(std::uint64_t n) { return random() % n; }

  void connect_launcher() {
    launcher_connected = true;
    std::vector<RecoveredTask> tasks;
    for (const auto& [id, task] : run_log) {
      tasks.push_back(task);
    }
    hello(tasks);
  }

  // The launcher does what it was told.
  void run_commands() {
    auto todo = std::move(commands);
    commands.clear();
    for (const LauncherCommand& c : todo) {
      if (!launcher_connected) {
        continue;
      }
      if (const auto* start = std::get_if<command::Start>(&c)) {
        const AttemptId id = start->task.attempt;
        if (run_log.contains(id)) {
          continue;  // the real launcher ignores what it knows
        }
        RecoveredTask task;
        task.task = start->task;
        task.task.environment.clear();
        task.phase = RecoveredTask::Phase::intent;
        run_log[id] = task;
      } else if (const auto* go = std::get_if<command::Go>(&c)) {
        if (auto at = run_log.find(go->attempt); at != run_log.end() && at->second.phase == RecoveredTask::Phase::parked) {
          REQUIRE(go_given[go->attempt]);
          exec(at->second);
        }
      } else if (const auto* release = std::get_if<command::Release>(&c)) {
        auto at = run_log.find(release->attempt);
        if (at != run_log.end() && (at->second.phase == RecoveredTask::Phase::intent || at->second.phase == RecoveredTask::Phase::parked)) {
          end(at->second, TaskState::not_started);
        }
      } else if (const auto* kill = std::get_if<command::Kill>(&c)) {
        auto at = run_log.find(kill->attempt);
        if (at != run_log.end() && at->second.phase != RecoveredTask::Phase::ended) {
          end(at->second, at->second.phase == RecoveredTask::Phase::started ? TaskState::killed : TaskState::not_started);
        }
      } else if (const auto* forget = std::get_if<command::Forget>(&c)) {
        auto at = run_log.find(forget->attempt);
        if (at != run_log.end()) {
          REQUIRE(at->second.phase == RecoveredTask::Phase::ended);
          run_log.erase(at);
        }
      }
    }
  }

  void exec(RecoveredTask& task) {
    const AttemptId id = task.task.attempt;
    REQUIRE(++starts[id] == 1);
    REQUIRE((!gang[id] || go_given[id]));
    task.phase = RecoveredTask::Phase::started;
    task.started = now.wall;
    if (launcher_connected) {
      event(event::Started{kFramework, id, now.wall, {}});
    }
  }

  void end(RecoveredTask& task, TaskState state) {
    const AttemptId id = task.task.attempt;
    task.phase = RecoveredTask::Phase::ended;
    task.end.framework = kFramework;
    task.end.attempt = id;
    task.end.state = state;
    task.end.started = task.started;
    task.end.ended = now.wall;
    if (launcher_connected) {
      event(task.end);
    }
  }

  void launcher_step() {
    if (run_log.empty()) {
      return;
    }
    auto at = run_log.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(pick(run_log.size())));
    RecoveredTask& task = at->second;
    switch (task.phase) {
      case RecoveredTask::Phase::intent:
        if (pick(8) == 0) {
          end(task, TaskState::start_failed);
        } else if (task.task.park) {
          task.phase = RecoveredTask::Phase::parked;
          if (launcher_connected) {
            event(event::Parked{kFramework, task.task.attempt});
          }
        } else {
          exec(task);
        }
        break;
      case RecoveredTask::Phase::started:
        end(task, pick(5) == 0 ? TaskState::out_of_memory : TaskState::finished);
        break;
      case RecoveredTask::Phase::parked:
      case RecoveredTask::Phase::ended:
        break;
    }
  }

  // The master reads what came and keeps its own view.
  void master_read() {
    if (registrations.size() != seen_registers) {
      seen_registers = registrations.size();
      prepared_known.clear();
      for (const auto& report : registrations.back().tasks) {
        if (static_cast<TaskState>(report.state()) == TaskState::prepared) {
          prepared_known.insert(from_fb(report.attempt()));
        }
      }
      registered(20'000, 4'000);
    }
    for (; seen_prepared < prepared.size(); ++seen_prepared) {
      prepared_known.insert(prepared[seen_prepared]);
    }
    for (; seen_updates < updates.size(); ++seen_updates) {
      const SeenUpdate& u = updates[seen_updates];
      auto& view = master_view[u.attempt];
      if (u.seq <= view.second) {
        continue;  // sent again
      }
      view.second = u.seq;
      if (is_terminal(u.state)) {
        if (const auto before = ends.find(u.attempt); before != ends.end()) {
          REQUIRE(before->second == u.state);
        }
        ends[u.attempt] = u.state;
        if (proves_not_started(u.state)) {
          REQUIRE(starts[u.attempt] == 0);
        }
      } else {
        REQUIRE_FALSE(ends.contains(u.attempt));
        REQUIRE(u.state == TaskState::running);
        REQUIRE(starts[u.attempt] == 1);
      }
      view.first = u.state;
    }
  }

  void acknowledge_some(bool all) {
    std::uint64_t seq = 0;
    for (const auto& [id, view] : master_view) {
      seq = std::max(seq, view.second);
    }
    if (seq != 0) {
      acknowledge(all || pick(2) == 0 ? seq : seq - pick(3));
    }
  }

  void restart_agent() {
    launcher_connected = false;
    commands.clear();
    start_agent();
  }

  [[nodiscard]] bool registered_now() const { return master.is_open() && seen_registers == registrations.size() && seen_registers > 0; }

  void one_step() {
    switch (pick(22)) {
      case 0:
      case 1:
      case 2: {
        LaunchArgs args;
        args.attempt = AttemptId{1, next_attempt++};
        args.shape = shape_of(static_cast<std::uint32_t>(1 + pick(3)), kGiB * (1 + pick(3)));
        if (pick(3) == 0) {
          args.shape.cpus_milli += 500;
        }
        args.spec.requeueable = pick(2) == 0;
        args.spec.time_limit_ms = pick(3) == 0 ? 1 + pick(20'000) : 0;
        const bool together = pick(3) == 0;
        gang[args.attempt] = together;
        launched[args.attempt] = args;
        if (registered_now()) {
          together ? prepare({args}) : launch({args});
        }
        break;
      }
      case 3:
        if (!launched.empty() && registered_now()) {  // what the master would send again
          auto at = launched.begin();
          std::advance(at, static_cast<std::ptrdiff_t>(pick(launched.size())));
          if (!ends.contains(at->first)) {  // a master drops what has ended
            gang[at->first] ? prepare({at->second}) : launch({at->second});
          }
        }
        break;
      case 4:
      case 5:
        if (!prepared_known.empty() && registered_now()) {
          const AttemptId id = *prepared_known.begin();
          prepared_known.erase(id);
          if (pick(4) == 0) {
            release(id);
          } else {
            go_given[id] = true;
            go(id);
          }
        }
        break;
      case 6:
        if (!launched.empty() && registered_now()) {
          auto at = launched.begin();
          std::advance(at, static_cast<std::ptrdiff_t>(pick(launched.size())));
          kill(at->first);
        }
        break;
      case 7:
      case 8:
        if (registered_now()) {
          acknowledge_some(false);
        }
        break;
      case 9: master_deaf = pick(3) == 0; break;
      case 10:
        if (pick(4) == 0) {
          epoch = Epoch(epoch.value() + 1);  // a new master, which knows no life of ours
          master.close();
        }
        break;
      case 11:
        if (pick(3) == 0) {
          restart_agent();
        }
        break;
      case 12:
        if (pick(4) == 0 && launcher_connected) {
          launcher_connected = false;
          commands.clear();
          core->on_launcher_lost(now);
          step();
          if (pick(2) == 0) {  // it was killed: the next one ends what ran
            for (auto& [id, task] : run_log) {
              if (task.phase == RecoveredTask::Phase::started) {
                end(task, TaskState::lost);
              } else if (task.phase != RecoveredTask::Phase::ended) {
                end(task, TaskState::not_started);
              }
            }
          }
        }
        break;
      case 13:
        if (!launcher_connected) {
          connect_launcher();
        }
        break;
      case 14: {
        advance(Duration::from_ms(static_cast<std::int64_t>(pick(3000))));
        core->on_timer(now);
        step();
        break;
      }
      case 15:
        if (master.is_open() && pick(4) == 0) {
          static_cast<void>(master.next_head(epoch));  // a frame is lost on the way
        }
        break;
      case 16:
        if (master.is_open()) {
          say<fb::Heartbeat>({});
        }
        break;
      default: launcher_step(); break;
    }
    if (pick(10) != 0) {
      run_commands();
    }
    master_read();
  }

  void converge() {
    master_deaf = false;
    if (!launcher_connected) {
      connect_launcher();
    }
    for (int i = 0; i < 400; ++i) {
      run_commands();
      for (auto& [id, task] : run_log) {
        if (task.phase == RecoveredTask::Phase::intent || task.phase == RecoveredTask::Phase::started) {
          task.phase == RecoveredTask::Phase::intent && !task.task.park ? exec(task) : end(task, task.phase == RecoveredTask::Phase::intent ? TaskState::not_started : TaskState::finished);
          break;
        }
      }
      run_for(Duration::from_ms(300), registered_now());
      master_read();
      if (registered_now()) {
        acknowledge_some(true);
      }
    }
    run_commands();
  }
};

}  // namespace

TEST_CASE("random operations keep the books and run nothing twice") {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    INFO("seed " << seed);
    World world(seed);
    world.connect_launcher();
    world.master_read();
    for (int i = 0; i < 400; ++i) {
      world.one_step();
    }
    world.converge();
    INFO(world.core->status_text());
    REQUIRE(world.run_log.empty());
    REQUIRE(world.core->status_text().find("0 tasks, uses nothing, 0 updates") != std::string::npos);
    for (const auto& [id, count] : world.starts) {
      REQUIRE(count <= 1);
      REQUIRE((count == 0 || world.ends.contains(id)));
    }
  }
}

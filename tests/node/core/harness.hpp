// A node core between a fake master and a fake launcher, all in one thread, with frames that are really
// packed and verified. Time is the test's.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/core/node_core.hpp"
#include "node/topology/cpu_map.hpp"
#include "wire/schema/link_state.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node::test {

inline constexpr FrameworkId kFramework{7};
inline constexpr Bytes kGiB = 1ULL << 30U;

inline Resources shape_of(std::uint32_t cpus, Bytes memory_bytes = kGiB) {
  Resources shape;
  shape.cpus_milli = cpus * 1000;
  shape.memory_bytes = memory_bytes;
  return shape;
}

inline fb::TaskSpecT basic_spec(std::uint64_t job) {
  fb::TaskSpecT spec;
  spec.job = job;
  spec.name = "work";
  spec.argv = {"/bin/true"};
  spec.environment = {"PATH=/bin", "MUSTER_RANK=99", "MUSTER_DIR=/keep"};
  spec.working_directory = "/home/u";
  spec.user = "u";
  spec.ntasks = 1;
  spec.token_hi = 11;
  spec.token_lo = 22;
  spec.try_number = 1;
  return spec;
}

struct LaunchArgs {
  AttemptId attempt;
  fb::TaskSpecT spec = basic_spec(1);
  Resources shape = shape_of(1);
  FrameworkId framework = kFramework;
  std::uint32_t index{};
  std::uint32_t first_rank{};
  std::uint32_t ranks{1};
  std::uint32_t member{};
  std::uint32_t node{5};
  std::optional<std::uint16_t> spec_place{};  // a wrong one, for tests
  AttemptId after{};                          // not zero: follows it
};

struct SeenUpdate {
  FrameworkId framework;
  AttemptId attempt;
  std::uint64_t seq{};
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::int32_t signal{};
  std::int64_t started_ns{};
  std::string cpus;
  std::string text;
  std::vector<std::uint8_t> report;
};

struct Harness {
  NodeConfig config;
  Now now{Instant::from_ns(1'000'000'000), WallTime::from_ns(1'700'000'000'000'000'000)};
  NodeMemory disk;
  std::vector<std::string> output_file;
  std::unique_ptr<NodeCore> core;

  // the launcher
  std::vector<LauncherCommand> commands;

  // the master
  Epoch epoch{1};
  LinkState master;
  bool master_deaf{};                       // frames to it are lost
  std::vector<FrameBytes> frames;           // all that came, oldest first
  std::vector<std::unique_ptr<fb::FrameT>> seen;
  std::vector<SeenUpdate> updates;
  std::vector<AttemptId> prepared;
  std::vector<fb::RefusedT> refusals;
  std::vector<fb::NodeRegistrationT> registrations;
  std::vector<std::pair<AttemptId, std::string>> messages;
  std::uint64_t gaps{};
  std::optional<Incarnation> missed;        // a life to be refused with Gap

  std::string boot{"boot-1"};               // the launcher's

  // users
  std::vector<UserFrame> to_users;
  std::vector<LogRead> log_reads;

  explicit Harness(std::uint32_t cpus = 4, std::uint32_t machine_cpus = 0) {
    config.name = "n1";
    config.capacity = shape_of(cpus, 8 * kGiB);
    config.topology = make_topology({.cores_per_l3 = cpus});
    for (std::uint32_t i = 0; i < (machine_cpus == 0 ? cpus : machine_cpus); ++i) {
      config.machine_cpus.push_back(100 + i);
    }
    config.boot_id = "boot-1";
    config.endpoint = "ipc:///run/n1/job";
    config.stepd_path = "/lib/muster-stepd";
    config.jobs_directory = "/run/n1/jobs";
    start_agent();
  }

  void start_agent() {
    core = std::make_unique<NodeCore>(config, disk, now);
    core->on_outputs_loaded(output_file);
    core->on_master_link_up(now);
    step();
  }

  void hello(std::vector<RecoveredTask> tasks = {}) {
    LauncherHello hello;
    hello.boot_id = boot;
    hello.tasks = std::move(tasks);
    core->on_launcher_hello(hello, now);
    step();
  }

  // Hello and Registered.
  void up(std::vector<RecoveredTask> tasks = {}) {
    hello(std::move(tasks));
    registered();
  }

  void registered(std::uint32_t fence_ms = 0, std::uint32_t prepare_silence_ms = 0) {
    fb::RegisteredT body;
    body.nodes.emplace_back(5U, 0U);
    body.fence_ms = fence_ms;
    body.prepare_silence_ms = prepare_silence_ms;
    say<fb::Registered>(body);
  }

  void advance(Duration d) {
    now.mono = now.mono + d;
    now.wall = WallTime::from_ns(now.wall.ns() + d.ns());
  }
  // Moves time in steps of the core's own timers; the master answers heartbeats when `alive`.
  void run_for(Duration d, bool alive = true) {
    const Instant end = now.mono + d;
    while (now.mono < end) {
      const Instant next = std::min(end, std::min(core->next_timer(), now.mono + Duration::from_ms(500)));
      advance(std::max(Duration::from_ms(1), next - now.mono));
      core->on_timer(now);
      step();
      if (alive && master.is_open()) {
        say<fb::Heartbeat>({});
      }
    }
  }

  void step() {
    NodeOutputs out;
    core->flush(now, out);
    if (out.memory) {
      REQUIRE(out.memory->last_incarnation >= disk.last_incarnation);
      disk = *out.memory;
    }
    output_file.insert(output_file.end(), out.output_records.begin(), out.output_records.end());
    commands.insert(commands.end(), out.to_launcher.begin(), out.to_launcher.end());
    to_users.insert(to_users.end(), out.to_users.begin(), out.to_users.end());
    log_reads.insert(log_reads.end(), out.log_reads.begin(), out.log_reads.end());
    for (FrameBytes& bytes : out.to_master) {
      if (!master_deaf) {
        take(std::move(bytes));
      }
    }
    if (missed) {
      fb::RefusedT refused;
      refused.code = fb::RefusedCode::Gap;
      const FrameBytes bytes = pack_frame<fb::Refused>({epoch, *missed, 0, 0}, refused);
      missed.reset();
      const auto frame = verify_frame(bytes);
      REQUIRE(frame);
      core->on_master_frame(**frame, now);
    }
    const Status books = core->audit();
    INFO((books ? std::string() : books.error().text));
    REQUIRE(books);
  }

  template <class Body>
  void say(const typename Body::NativeTableType& body) {
    deliver(pack_frame<Body>(master.next_head(epoch), body));
  }
  void deliver(const FrameBytes& bytes) {
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    core->on_master_frame(**frame, now);
    step();
  }

  void take(FrameBytes bytes) {
    const auto verified = verify_frame(bytes);
    REQUIRE(verified);
    const fb::Frame& frame = **verified;
    if (frame.body_type() == fb::Body::Register) {
      master.open(Incarnation(frame.incarnation()));
    }
    if (frame.sequence() != 0) {
      const auto verdict = master.take(frame);
      if (verdict == LinkState::Verdict::gap) {
        ++gaps;
        master.close();
        missed = Incarnation(frame.incarnation());
      }
      if (verdict != LinkState::Verdict::deliver) {
        return;
      }
    }
    std::unique_ptr<fb::FrameT> object(frame.UnPack());
    switch (frame.body_type()) {
      case fb::Body::Register:
        REQUIRE(object->body.AsRegister()->nodes.size() == 1);
        registrations.push_back(*object->body.AsRegister()->nodes[0]);
        REQUIRE(disk.last_incarnation.value() >= frame.incarnation());  // on disk before it leaves
        break;
      case fb::Body::Prepared:
        REQUIRE(object->body.AsPrepared()->frameworks.size() == object->body.AsPrepared()->attempts.size());
        for (const auto& a : object->body.AsPrepared()->attempts) {
          prepared.push_back(from_fb(a.attempt()));
        }
        break;
      case fb::Body::Update: {
        const auto* body = object->body.AsUpdate();
        for (const auto& e : body->entries) {
          SeenUpdate u;
          u.framework = FrameworkId(body->frameworks.at(e.framework()));
          u.attempt = from_fb(e.attempt());
          u.seq = e.seq();
          u.state = static_cast<TaskState>(e.state());
          u.reason = static_cast<TaskReason>(e.reason());
          u.exit_code = e.exit_code();
          u.signal = e.signal();
          u.started_ns = e.started_ns();
          REQUIRE(e.node() == 5);
          REQUIRE((u.seq >> 20U) <= disk.last_incarnation.value());  // its block is reserved on disk
          if (e.detail() != 0) {
            u.cpus = body->details.at(e.detail() - 1)->cpus;
            u.text = body->details.at(e.detail() - 1)->text;
            u.report = body->details.at(e.detail() - 1)->report;
          }
          updates.push_back(u);
        }
        break;
      }
      case fb::Body::Message: {
        const auto* body = object->body.AsMessage();
        messages.emplace_back(from_fb(*body->attempt), std::string(body->data.begin(), body->data.end()));
        break;
      }
      case fb::Body::Refused:
        refusals.push_back(*object->body.AsRefused());
        break;
      default:
        break;
    }
    seen.push_back(std::move(object));
    frames.push_back(std::move(bytes));
  }

  template <class Body>
  [[nodiscard]] typename Body::NativeTableType launch_body(const std::vector<LaunchArgs>& launches) const {
    typename Body::NativeTableType body;
    for (const LaunchArgs& l : launches) {
      const auto place = static_cast<std::uint16_t>(body.launches.size());
      auto spec = std::make_unique<fb::SpecBytesT>();
      spec->data = pack_spec(l.spec);
      body.specs.push_back(std::move(spec));
      body.shapes.push_back(std::make_unique<fb::ShapeT>(to_shape_object(l.shape)));
      body.frameworks.push_back(l.framework.value());
      std::uint16_t after = 0;
      if constexpr (requires { body.predecessors; }) {
        if (l.after != AttemptId{}) {
          body.predecessors.push_back(to_fb(l.after));
          after = static_cast<std::uint16_t>(body.predecessors.size());
        }
      }
      body.launches.emplace_back(to_fb(l.attempt), l.node, l.index, l.first_rank, l.ranks, 1U, l.member,
                                 l.spec_place.value_or(place), place, place, after);
    }
    return body;
  }
  void launch(const std::vector<LaunchArgs>& launches) { say<fb::Launch>(launch_body<fb::Launch>(launches)); }
  void prepare(const std::vector<LaunchArgs>& launches) { say<fb::Prepare>(launch_body<fb::Prepare>(launches)); }
  void go(const AttemptId& attempt) {
    fb::GoT body;
    body.attempts.emplace_back(to_fb(attempt), kFramework.value(), 5U, 0U);
    say<fb::Go>(body);
  }
  void release(const AttemptId& attempt) {
    fb::ReleaseT body;
    body.attempts.emplace_back(to_fb(attempt), kFramework.value(), 5U, 0U);
    say<fb::Release>(body);
  }
  void kill(const AttemptId& attempt, TaskReason reason = TaskReason::none, std::uint32_t grace_ms = 0) {
    fb::NodeKillT body;
    body.attempts.emplace_back(to_fb(attempt), kFramework.value(), 5U, 0U);
    body.reason = static_cast<std::uint8_t>(reason);
    body.grace_ms = grace_ms;
    say<fb::NodeKill>(body);
  }
  void acknowledge(std::uint64_t seq, FrameworkId framework = kFramework) {
    fb::AcknowledgeT body;
    body.entries.emplace_back(seq, 5U, std::uint16_t{0}, std::uint16_t{0});
    body.frameworks.push_back(framework.value());
    say<fb::Acknowledge>(body);
  }

  // The launcher's voice.
  void event(const LauncherEvent& what) {
    core->on_launcher_event(what, now);
    step();
  }
  void parked(const AttemptId& a) { event(event::Parked{kFramework, a}); }
  void started(const AttemptId& a) { event(event::Started{kFramework, a, now.wall, {}}); }
  void ended(const AttemptId& a, TaskState state = TaskState::finished, int exit_code = 0, int signal = 0,
             TaskReason reason = TaskReason::none) {
    event::Ended end;
    end.framework = kFramework;
    end.attempt = a;
    end.state = state;
    end.reason = reason;
    end.exit_code = exit_code;
    end.signal = signal;
    end.ended = now.wall;
    event(end);
  }

  template <class Command>
  [[nodiscard]] std::vector<Command> taken() {
    std::vector<Command> found;
    std::erase_if(commands, [&](const LauncherCommand& c) {
      if (const auto* one = std::get_if<Command>(&c)) {
        found.push_back(*one);
        return true;
      }
      return false;
    });
    return found;
  }
  [[nodiscard]] SeenUpdate last_update() const {
    REQUIRE(!updates.empty());
    return updates.back();
  }
};

}  // namespace muster::node::test

// Simulated nodes in front of a fake master, in one thread, with frames that are really packed and verified. Time is the test's.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "node/fake/fake_nodes.hpp"
#include "wire/model/task_state.hpp"
#include "wire/schema/link_state.hpp"
#include "wire/schema/shapes.hpp"

namespace muster::node::test {

inline constexpr FrameworkId kOwner{7};
inline constexpr Bytes kGiB = Bytes{1} << 30U;

struct FakeUpdate {
  FrameworkId framework;
  AttemptId attempt;
  std::uint64_t seq{};
  std::uint32_t node{};
  TaskState state{};
  TaskReason reason{};
  std::int32_t exit_code{};
  std::string cpus;
};

// What a test launches. `node` is the node's number: the fake master calls fN index 100 + N.
struct FakeLaunch {
  AttemptId attempt;
  std::uint32_t node{1};
  std::uint32_t cpus_milli{1000};
  AttemptId after{};
  std::uint64_t time_limit_ms{};
  bool requeueable{};
};

struct FakeHarness {
  FakeConfig config;
  Now now{Instant::from_ns(1'000'000'000), WallTime::from_ns(1'700'000'000'000'000'000)};
  Epoch epoch{1};
  std::unique_ptr<FakeNodes> nodes;
  FakeMemory disk;
  std::vector<LinkState> links;
  bool deaf{};   // frames to the master are lost
  bool mute{};   // it registers nobody

  std::vector<std::vector<fb::NodeRegistrationT>> registrations;  // by link: its last
  std::vector<FakeUpdate> updates;
  std::vector<AttemptId> prepared;
  std::uint64_t heartbeats{};
  std::vector<fb::RefusedT> refusals;

  explicit FakeHarness(std::uint32_t count = 4, std::uint32_t links_count = 2, std::uint32_t cpus = 4) {
    config.nodes = count;
    config.links = links_count;
    config.cpus = cpus;
    config.memory_bytes = 8 * kGiB;
    config.boot_id = "boot-1";
    config.endpoint = "ipc:///run/job";
    links.resize(links_count);
    registrations.resize(links_count);
    start();
  }

  void start() {
    nodes = std::make_unique<FakeNodes>(config, disk, now);
    connect();
  }
  void connect() {
    for (std::uint32_t i = 0; i < config.links; ++i) {
      nodes->on_link_up(i, now);
    }
    step();
  }

  [[nodiscard]] std::uint32_t link_of(std::uint32_t node) const {
    std::uint32_t end = 0;
    for (std::uint32_t i = 0;; ++i) {
      end += config.nodes / config.links + (i < config.nodes % config.links ? 1 : 0);
      if (node <= end) {
        return i;
      }
    }
  }

  template <class Body>
  void say(std::uint32_t link, const typename Body::NativeTableType& body) {
    deliver(link, pack_frame<Body>(links[link].next_head(epoch), body));
  }
  void deliver(std::uint32_t link, const FrameBytes& bytes) {
    const auto frame = verify_frame(bytes);
    REQUIRE(frame);
    nodes->on_frame(link, **frame, now);
    step();
  }

  // Takes what they say, and answers registrations.
  void step() {
    for (bool more = true; more;) {
      FakeOutputs out;
      nodes->flush(now, out);
      if (out.memory_changed) {
        disk = nodes->memory();
      }
      more = false;
      for (const auto& sent : out.to_master) {
        if (!deaf) {
          more = take(sent.link, sent.bytes) || more;
        }
      }
    }
    const Status audit = nodes->audit();
    INFO((audit ? std::string() : audit.error().text));
    REQUIRE(audit);
  }

  // True when it was answered.
  bool take(std::uint32_t link, const FrameBytes& bytes) {
    const auto verified = verify_frame(bytes);
    REQUIRE(verified);
    const fb::Frame& frame = **verified;
    if (const auto* message = frame.body_as_Register()) {
      std::unique_ptr<fb::RegisterT> body(message->UnPack());
      registrations[link].clear();
      fb::RegisteredT answer;
      for (const auto& node : body->nodes) {
        registrations[link].push_back(*node);
        answer.nodes.emplace_back(100 + static_cast<std::uint32_t>(std::stoul(node->name.substr(1))), 0U);
      }
      links[link].open(Incarnation(frame.incarnation()));
      REQUIRE(links[link].take(frame) == LinkState::Verdict::deliver);
      if (mute) {
        return false;
      }
      const FrameBytes back = pack_frame<fb::Registered>(links[link].next_head(epoch), answer);
      nodes->on_frame(link, *verify_frame(back).value(), now);
      return true;
    }
    if (const auto* refused = frame.body_as_Refused()) {
      refusals.push_back(*std::unique_ptr<fb::RefusedT>(refused->UnPack()));
      if (frame.sequence() == 0) {
        return false;
      }
    }
    REQUIRE(links[link].take(frame) == LinkState::Verdict::deliver);
    heartbeats += frame.body_type() == fb::Body::Heartbeat ? 1 : 0;
    if (const auto* message = frame.body_as_Prepared()) {
      for (const fb::AttemptRef* ref : *message->attempts()) {
        prepared.push_back(from_fb(ref->attempt()));
      }
    }
    if (const auto* message = frame.body_as_Update()) {
      for (const fb::UpdateEntry* entry : *message->entries()) {
        std::string cpus;
        if (entry->detail() != 0) {
          cpus = text_of(message->details()->Get(entry->detail() - 1U)->cpus());
        }
        updates.push_back({FrameworkId(message->frameworks()->Get(entry->framework())), from_fb(entry->attempt()), entry->seq(),
                           entry->node(), static_cast<TaskState>(entry->state()), static_cast<TaskReason>(entry->reason()),
                           entry->exit_code(), cpus});
      }
    }
    return false;
  }

  void run_for(Duration time) {
    const Instant until = now.mono + time;
    while (now.mono < until) {
      const Instant next = std::max(now.mono + Duration::from_ns(1), std::min(until, nodes->next_timer()));
      now.wall = WallTime::from_ns(now.wall.ns() + (next - now.mono).ns());
      now.mono = next;
      nodes->on_timer(now);
      step();
    }
  }

  // One frame, to the link of the first one's node.
  void launch(const std::vector<FakeLaunch>& launches, bool prepare = false) {
    fb::LaunchT body;
    for (std::size_t i = 0; i < launches.size(); ++i) {
      const FakeLaunch& from = launches[i];
      fb::TaskSpecT spec;
      spec.job = 3;
      spec.name = "work";
      spec.argv = {"/bin/true"};
      spec.time_limit_ms = from.time_limit_ms;
      spec.requeueable = from.requeueable;
      auto bytes = std::make_unique<fb::SpecBytesT>();
      bytes->data = pack_spec(spec);
      body.specs.push_back(std::move(bytes));
      Resources shape;
      shape.cpus_milli = from.cpus_milli;
      shape.memory_bytes = kGiB;
      body.shapes.push_back(std::make_unique<fb::ShapeT>(to_shape_object(shape)));
      std::uint16_t after = 0;
      if (from.after != AttemptId{}) {
        body.predecessors.push_back(to_fb(from.after));
        after = static_cast<std::uint16_t>(body.predecessors.size());
      }
      body.launches.emplace_back(to_fb(from.attempt), 100 + from.node, 0U, 0U, 1U, prepare ? 1U : 0U, 0U,
                                 static_cast<std::uint16_t>(i), static_cast<std::uint16_t>(i), std::uint16_t{0}, after);
    }
    body.frameworks = {kOwner.value()};
    const std::uint32_t link = link_of(launches.front().node);
    if (prepare) {
      fb::PrepareT as_prepare;
      as_prepare.launches = body.launches;
      as_prepare.specs = std::move(body.specs);
      as_prepare.shapes = std::move(body.shapes);
      as_prepare.frameworks = body.frameworks;
      say<fb::Prepare>(link, as_prepare);
    } else {
      say<fb::Launch>(link, body);
    }
  }
  [[nodiscard]] static fb::NodeAttempt attempt_on(const AttemptId& attempt, std::uint32_t node) {
    return {to_fb(attempt), kOwner.value(), 100 + node, 0U};
  }
  template <class Body>
  void order(const AttemptId& attempt, std::uint32_t node, typename Body::NativeTableType body = {}) {
    body.attempts.push_back(attempt_on(attempt, node));
    say<Body>(link_of(node), body);
  }
  void acknowledge(std::uint32_t node, std::uint64_t seq) {
    fb::AcknowledgeT body;
    body.entries.emplace_back(seq, 100 + node, std::uint16_t{0}, std::uint16_t{0});
    body.frameworks = {kOwner.value()};
    say<fb::Acknowledge>(link_of(node), body);
  }

  [[nodiscard]] std::vector<FakeUpdate> updates_of(const AttemptId& attempt) const {
    std::vector<FakeUpdate> out;
    for (const FakeUpdate& update : updates) {
      if (update.attempt == attempt) {
        out.push_back(update);
      }
    }
    return out;
  }
  [[nodiscard]] FakeUpdate last_of(const AttemptId& attempt) const {
    const auto all = updates_of(attempt);
    REQUIRE_FALSE(all.empty());
    return all.back();
  }
};

}  // namespace muster::node::test

// The inside of FakeNodes, shared by its .cpp files: fake_nodes.cpp (inputs, timers, ends), fake_orders.cpp (what the master
// says), fake_outgoing.cpp (registration and flush).
#pragma once

#include <queue>
#include <vector>

#include "node/fake/fake_book.hpp"
#include "node/fake/fake_link.hpp"
#include "node/fake/fake_nodes.hpp"
#include "node/fake/fake_outbox.hpp"

namespace muster::node {

struct FakeNodes::Impl {
  Impl(const FakeConfig& config, const FakeMemory& memory, Now now);

  const FakeConfig config;
  FakeMemory memory;
  bool memory_changed{};
  bool leaving{};
  std::uint32_t boot{};                      // boot number

  // ---- by link
  struct Group {
    FakeLink link;
    FakePlace begin{};                       // its nodes: begin to end - 1
    FakePlace end{};
    bool register_due{};
    bool fence_done{};
    std::uint32_t queued{};                  // tasks in line
    std::uint32_t requeueable{};             // live ones
    Instant gather_until = Instant::never();
    std::vector<std::uint32_t> lanes_due;    // of the outbox
    std::vector<FakeRow> prepared_due;
  };
  std::vector<Group> groups;

  // ---- by node
  std::vector<std::uint32_t> index;          // what the master calls it; kNoPlace: nothing yet
  std::vector<std::uint32_t> group_of;
  std::vector<FakePlace> place_of_index;

  // ---- tasks
  FakeBook book;
  FakeOutbox outbox;
  struct Due {
    Instant at;
    FakeRow task;
    bool operator>(const Due& other) const { return at > other.at; }
  };
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due;  // some of it overtaken: see FakeTask::deadline
  FakeCounts counts;

  // fake_nodes.cpp
  [[nodiscard]] static std::string name_of(FakePlace node) { return "f" + std::to_string(node + 1); }
  [[nodiscard]] Group& group(const FakeTask& task) { return groups[group_of[task.node]]; }
  void open_life(Group& group, Now now);
  void run_timers(Now now);
  void set_deadline(FakeTask& task, Instant at);
  void news(FakeTask& task);
  struct End {
    TaskState state{};
    TaskReason reason{};
    std::uint8_t signal{};
  };
  void finish(FakeTask& task, const End& end, Now now);
  // Somebody wants it to end: killed if it runs, else it never started.
  void end_for(FakeTask& task, TaskReason reason, std::uint8_t signal, Now now);
  void leave_line(FakeTask& task, bool was_queued, Now now);
  void fence(Group& group, Now now);
  template <class F>
  void each_task(const Group& group, F&& f) {
    for (FakePlace node = group.begin; node < group.end; ++node) {
      for (std::uint32_t slot = book.first_of(node); slot != kNoPlace;) {
        FakeTask& task = book.in_slot(slot);
        slot = task.next;
        f(task);
      }
    }
  }
  void end_queued(Group& group, TaskReason reason, Now now);

  // fake_orders.cpp
  using Launches = flatbuffers::Vector<const fb::LaunchEntry*>;
  using Specs = flatbuffers::Vector<flatbuffers::Offset<fb::SpecBytes>>;
  using Shapes = flatbuffers::Vector<flatbuffers::Offset<fb::Shape>>;
  struct LaunchFrame;
  void take_registered(Group& group, const fb::Registered& registered);
  void take_message(Group& group, const fb::Frame& frame, Now now);
  void take_launches(Group& group, const LaunchFrame& frame, Now now);
  void launch(FakeTask& task, const AttemptId& after, Now now);
  void launch_after(FakeTask& task, const AttemptId& after, Now now);
  void begin(FakeTask& task, const std::string& cpus, Now now);
  void run(FakeTask& task, Now now);
  void answer_known(FakeTask& task);
  void take_release(const fb::Release& release, Now now);
  void take_kill(const fb::NodeKill& kill, Now now);
  void take_acknowledge(const Group& group, const fb::Acknowledge& ack);
  void take_drain(const Group& group, const fb::NodeDrain& drain);
  // kNoPlace: this link's master knows no such node.
  [[nodiscard]] FakePlace place_of(const Group& group, std::uint32_t node_index) const;

  // fake_outgoing.cpp
  void flush(Now now, FakeOutputs& out);
  void send_register(Group& group, Now now);
  void send_prepared(Group& group, Now now);
  void send_updates(Group& group, Now now);
};

}  // namespace muster::node

// Accept: launches that follow other attempts. Another node, shape, user or a gang is a fault and refuses the Accept. That
// what they follow has ended meanwhile, or that the line is closed, is a race: such a launch alone is not taken.
#include "master/core/impl.hpp"

namespace muster::master {
namespace {

constexpr std::uint32_t kQueuedMax = 8;  // behind one task that holds resources

// A task at the end of a line, as far as this Accept has extended it.
struct Tail {
  NodeIndex node;
  const Resources* shape{};
  std::uint32_t uid{};
  std::uint32_t queued{};  // before and including it
  bool alone{};            // no member of a gang over several nodes
  bool followed{};
};

}  // namespace

AcceptAnswer MasterCore::Impl::check_successors(FrameworkIndex framework, const fb::Accept& message, AcceptPlan& plan,
                                                Now now) {
  using enum fb::RefusedCode;
  const auto& launches = *message.launches();
  const auto* predecessors = message.predecessors();
  plan.lines.resize(launches.size());
  std::vector<std::uint32_t> uids;
  FrameBytes storage;
  for (const fb::SpecBytes* spec : *message.specs()) {
    const auto read = verify_spec(*spec, storage);
    uids.push_back(read ? (*read)->uid() : 0);
  }
  std::unordered_map<AttemptId, std::uint32_t> places;  // of the launches; looked up, never iterated
  std::unordered_map<AttemptId, Tail> tails;            // looked up, never iterated
  std::unordered_map<std::uint32_t, bool> closed;       // by node: others wait for their share. Looked up, never iterated
  for (std::uint32_t i = 0; i < launches.size(); ++i) {
    places.emplace(from_fb(launches.Get(i)->attempt()), i);
  }
  const auto tail_of = [&](const AttemptId& attempt) -> Tail* {
    if (const auto known = tails.find(attempt); known != tails.end()) {
      return &known->second;
    }
    const TaskIndex index = tasks.find(framework, attempt);
    if (index.is_none() || is_terminal(tasks[index].state)) {
      return nullptr;
    }
    const Task& row = tasks[index];
    Tail tail{row.node, &tasks.shape(row), tasks.kind(row).uid, 0, !row.two_step, !row.successor.is_none()};
    for (TaskIndex at = index; tasks[at].state == TaskState::queued; at = tasks[at].predecessor) {
      ++tail.queued;
    }
    return &tails.emplace(attempt, tail).first->second;
  };

  for (std::uint32_t i = 0; i < launches.size(); ++i) {
    const fb::LaunchEntry& launch = *launches.Get(i);
    const AttemptId attempt = from_fb(launch.attempt());
    const NodeIndex node{launch.node()};
    const Resources& shape = plan.shapes[launch.shape()];
    if (launch.after() == 0) {
      tails.emplace(attempt, Tail{node, &shape, uids[launch.spec()], 0, launch.gang() == 0, false});
      continue;
    }
    const std::string what = "attempt " + to_string(attempt);
    const auto bad = [&](const std::string& text) { return refused(message, BadLaunch, what, text); };
    if (predecessors == nullptr || launch.after() > predecessors->size()) {
      return bad("it follows predecessor " + std::to_string(launch.after()) + " of " +
                 std::to_string(predecessors == nullptr ? 0 : predecessors->size()));
    }
    if (launch.gang() != 0) {
      return bad("a member of a gang can't follow another attempt");
    }
    if (!nodes.has(node)) {
      return refused(message, UnknownNode, "node index " + std::to_string(node.value()), what + " names no node");
    }
    AcceptPlan::Successor& line = plan.lines[i];
    line.after = from_fb(*predecessors->Get(launch.after() - 1U));
    if (const auto place = places.find(line.after); place != places.end()) {
      if (place->second >= i) {
        return bad("it stands before attempt " + to_string(line.after) + ", which it follows");
      }
      if (plan.lines[place->second].refused != TaskReason::none) {
        line.refused = plan.lines[place->second].refused;
        continue;
      }
    }
    Tail* before = tail_of(line.after);
    if (before == nullptr) {
      line.refused = TaskReason::predecessor_ended;
      continue;
    }
    const std::string whom = "attempt " + to_string(line.after);
    if (before->node != node) {
      return bad("it follows " + whom + ", which is on another node");
    }
    if (!before->alone) {
      return bad("it follows " + whom + ", which is a member of a gang");
    }
    if (*before->shape != shape) {
      return bad("it follows " + whom + ", whose resources are not the same: " + to_string(*before->shape) + ", not " +
                 to_string(shape));
    }
    if (before->uid != uids[launch.spec()]) {
      return bad("it follows " + whom + ", which runs as user " + std::to_string(before->uid) + ", not " +
                 std::to_string(uids[launch.spec()]));
    }
    if (before->followed) {
      return bad("it follows " + whom + ", which another attempt follows already");
    }
    if (before->queued >= kQueuedMax) {
      return bad("it follows " + whom + ", and " + std::to_string(kQueuedMax) + " are queued in that line already");
    }
    auto known = closed.find(node.value());
    if (known == closed.end()) {
      const bool shut = nodes[node].drained || allocator.wanted_by_poorer(framework, node, now.mono) > 0;
      known = closed.emplace(node.value(), shut).first;
    }
    if (known->second) {
      line.refused = TaskReason::recalled;
      continue;
    }
    before->followed = true;
    tails.emplace(attempt, Tail{node, &shape, before->uid, before->queued + 1, true, false});
  }
  return {message.accept(), None, {}, {}, {}};
}

}  // namespace muster::master

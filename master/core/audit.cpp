// audit(): everything that is kept in more than one place, recomputed. For tests; walks all tables.
#include "master/core/impl.hpp"

namespace muster::master {
namespace {

tl::unexpected<Error> wrong(std::string text) { return fail(Errc::conflict, "audit: " + std::move(text)); }

}  // namespace

Status MasterCore::Impl::audit() const {
  std::vector<std::string> names;
  for (std::uint32_t at = 0; at < nodes.count(); ++at) {
    names.push_back(nodes[NodeIndex{at}].name);
  }
  std::vector<Resources> used(nodes.count());
  std::vector<std::uint32_t> charges(nodes.count(), 0);
  struct Sums {
    Amounts used, offered;
    std::uint32_t tasks{};
    std::uint32_t queued{};
  };
  std::uint32_t queued = 0;
  std::vector<Sums> sums(frameworks.count());
  std::vector<std::uint32_t> gang_members(gangs.places(), 0);
  std::vector<std::uint32_t> gang_ready(gangs.places(), 0);

  for (std::uint32_t slot = 0; slot < tasks.places(); ++slot) {
    if (!tasks.used(slot)) {
      continue;
    }
    const Task& task = tasks.at(slot);
    const std::string what = "task " + to_string(task.attempt) + " on node " + names[task.node.value()];
    if (tasks.find(task.framework, task.attempt) != tasks.index_at(slot)) {
      return wrong(what + " stands in two rows");
    }
    const bool over = is_terminal(task.state);
    if (task.charged && over && !task.declared) {
      return wrong(what + " is over and still holds resources");
    }
    const bool waits = task.state == TaskState::queued;
    queued += waits ? 1 : 0;
    sums[task.framework.value()].queued += waits ? 1 : 0;
    if (waits == task.predecessor.is_none() || (waits && task.charged)) {
      return wrong(what + (waits ? " is queued behind nothing, or holds resources" : " stands in a line and is not queued"));
    }
    for (const TaskIndex next : {task.successor, task.predecessor}) {
      if (next.is_none()) {
        continue;
      }
      if (!tasks.holds(next) || is_terminal(tasks[next].state) || over || tasks[next].node != task.node ||
          tasks[next].framework != task.framework || tasks.shape(tasks[next]) != tasks.shape(task) ||
          (next == task.successor ? tasks[next].predecessor : tasks[next].successor) != tasks.index_at(slot)) {
        return wrong(what + " stands in a line with a task that is not its neighbour");
      }
    }
    if (!over && !task.charged && task.update.seq == 0 && !waits) {
      return wrong(what + " is live and holds nothing");
    }
    if (task.unacknowledged && (task.update.seq == 0 || task.declared)) {
      return wrong(what + " awaits the word on an update that it does not have");
    }
    if (task.spec == kNoSpec && !task.confirmed) {
      return wrong(what + " may have to be sent again and has no specification");
    }
    if (task.charged) {
      Resources& sum = used[task.node.value()];
      if (!sum.can_add(tasks.shape(task))) {
        return wrong(what + " holds a port that another task holds too");
      }
      sum += tasks.shape(task);
      ++charges[task.node.value()];
      sums[task.framework.value()].used.add(tasks.shape(task));
      ++sums[task.framework.value()].tasks;
    }
    if (task.gang != kNoGang) {
      if (!gangs.used(task.gang.value()) || over) {
        return wrong(what + " is of a gang that is over");
      }
      ++gang_members[task.gang.value()];
      gang_ready[task.gang.value()] += task.ready ? 1 : 0;
    }
  }
  for (std::uint32_t at = 0; at < gangs.places(); ++at) {
    if (gangs.used(at) && (gangs[at].live != gang_members[at] ||
                           (gangs[at].phase <= GangPhase::going && gangs[at].ready != gang_ready[at]))) {
      return wrong("gang " + std::to_string(at) + " counts " + std::to_string(gangs[at].live) + " live and " +
                   std::to_string(gangs[at].ready) + " ready members, has " + std::to_string(gang_members[at]) +
                   " and " + std::to_string(gang_ready[at]));
    }
  }
  if (queued != queued_total) {
    return wrong(std::to_string(queued_total) + " tasks are counted as queued, there are " + std::to_string(queued));
  }
  if (auto books = ledger.audit(used, names); !books) {
    return books;
  }
  Amounts capacity;
  for (std::uint32_t at = 0; at < nodes.count(); ++at) {
    const NodeIndex index{at};
    if (ledger.books(index).tasks != charges[at]) {
      return wrong("node " + names[at] + " counts " + std::to_string(ledger.books(index).tasks) + " tasks, has " +
                   std::to_string(charges[at]));
    }
    if (!nodes[index].lost) {
      capacity.add(ledger.books(index).advertised());
    } else if (!ledger.books(index).used.is_zero() || !ledger.books(index).offered.is_zero()) {
      return wrong("node " + names[at] + " is lost and still holds something");
    }
    if (nodes[index].attached()) {
      const auto link = links.find(nodes[index].link);
      if (link == links.end() ||
          std::find(link->second->nodes.begin(), link->second->nodes.end(), index) == link->second->nodes.end()) {
        return wrong("node " + names[at] + " is of a link that does not speak for it");
      }
    }
  }
  if (capacity != capacity_total) {
    return wrong("the cluster's capacity is not the sum of its nodes");
  }
  for (std::uint32_t slot = 0; slot < ledger.places(); ++slot) {
    if (ledger.is_open(slot)) {
      const Offer& offer = ledger.at(slot);
      sums[offer.framework.value()].offered.add(offer.resources);
      const Node& node = nodes[offer.node];
      if (node.lost || node.drained) {
        return wrong("offer " + to_string(ledger.id_at(slot)) + " is of node " + node.name +
                     ", which gives nothing now");
      }
    }
  }
  for (std::uint32_t at = 0; at < frameworks.count(); ++at) {
    const FrameworkEntry& framework = frameworks[FrameworkIndex{at}];
    if (framework.used != sums[at].used || framework.offered != sums[at].offered ||
        framework.tasks != sums[at].tasks || framework.queued != sums[at].queued) {
      return wrong("framework " + framework.name + ": its books differ from its tasks and offers");
    }
    if (framework.connected() && !links.contains(framework.link)) {
      return wrong("framework " + framework.name + " is of a link that is closed");
    }
  }
  return {};
}

}  // namespace muster::master

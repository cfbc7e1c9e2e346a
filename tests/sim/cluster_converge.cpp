// Rest: all work has ended, everybody knows, and everything is free.
#include "tests/sim/cluster.hpp"

namespace muster::sim {

std::string Cluster::unconverged() const {
  if (!users_.done()) {
    return "users wait: " + users_.undone_text();
  }
  if (!store_.all_ended()) {
    return "jobs have not ended: " + store_.unended_text() + "; " + (gang_->up() ? gang_->status() : std::string("no gang"));
  }
  if (!rival_->idle()) {
    return "the rival's tasks have not ended: " + rival_->live_text();
  }
  for (std::size_t i = 0; i < machines_.size(); ++i) {
    if (!machines_[i]->idle()) {
      return "node " + std::to_string(i) + " still has processes";
    }
    if (machines_[i]->tasks_logged() != 0) {
      return "node " + std::to_string(i) + " has not forgotten " + std::to_string(machines_[i]->tasks_logged()) + " tasks; " +
             (nodes_[i]->up() ? nodes_[i]->core()->status_text() : std::string("no agent"));
    }
  }
  SimMaster* master = active();
  if (master == nullptr || !master->up() || !master->core().settled()) {
    return "no settled master";
  }
  const auto books = master->core().books();
  std::size_t whole = 0;
  std::uint64_t offered_cpus_milli = 0;
  for (const auto& node : books) {
    if (!node.used.is_zero()) {
      return "the master still has " + to_string(node.used) + " of node " + node.name + " in use";
    }
    offered_cpus_milli += node.offered.cpus_milli;
    Resources ours = node.free;
    ours += node.offered;
    whole += ours == node.capacity ? 1 : 0;
  }
  if (const std::uint64_t standing = master->offers().standing_cpus_milli(); offered_cpus_milli != standing) {
    return "the master still has " + std::to_string(offered_cpus_milli) + " thousandths of cpus on offer, of standing wants " +
           std::to_string(standing);
  }
  if (whole != nodes_.size()) {
    return "the master has " + std::to_string(whole) + " nodes with everything free, of " + std::to_string(nodes_.size());
  }
  return {};
}

}  // namespace muster::sim

// Time: what is due, and when to be woken next.
#include "master/core/impl.hpp"

namespace muster::master {

void MasterCore::Impl::on_timer(Now now) {
  expire_leases(now);
  allocator.end_filters(now.mono);
  Timer timer;
  while (timers.pop(now.mono, timer)) {
    switch (timer.kind) {
      case TimerKind::settle:
        look_settled(now);
        break;
      case TimerKind::link:
        // A link's later life has a timer of its own.
        if (const Link* link = find_link(LinkId{timer.id});
            link != nullptr && static_cast<std::uint32_t>(link->state.incarnation().value()) == timer.generation) {
          on_link_timer(LinkId{timer.id}, now);
        }
        break;
      case TimerKind::node: {
        const NodeIndex node{static_cast<std::uint32_t>(timer.id)};
        if (nodes[node].timer_at == timer.at) {
          nodes[node].timer_at = Instant::never();
          on_node_timer(node, now);
        }
        break;
      }
      case TimerKind::framework: {
        const FrameworkIndex framework{static_cast<std::uint32_t>(timer.id)};
        if (frameworks[framework].timer_at == timer.at) {
          frameworks[framework].timer_at = Instant::never();
          on_framework_timer(framework, now);
        }
        break;
      }
      case TimerKind::gang:
        on_gang_timer(GangIndex{static_cast<std::uint32_t>(timer.id)}, timer.generation, now);
        break;
      case TimerKind::questions:
        on_questions_timer(now);
        break;
    }
  }
}

Instant MasterCore::Impl::next_timer() const {
  return std::min(std::min(timers.next(), ledger.next_lease_end()), allocator.next_filter_end());
}

// Settled: long enough has been listened, or every framework that nodes have named is back.
void MasterCore::Impl::look_settled(Now now) {
  if (!settled && (now.mono >= start + config.settle || (frameworks_reported > 0 && frameworks_away == 0))) {
    settled = true;
  }
}

}  // namespace muster::master

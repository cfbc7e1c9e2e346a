// StepdShell: PMI servers, made when the first step wants them.
#include "node/pmi/pmi1_server.hpp"
#include "node/pmi/pmix_server.hpp"
#include "node/stepd_shell.hpp"
#include "node/stepd_tags.hpp"
#include "wire/daemon/log.hpp"

namespace muster::node {

PmiServer* StepdShell::server(PmiKind kind) {
  const auto found = servers_.find(kind);
  return found == servers_.end() ? nullptr : found->second.get();
}

void StepdShell::pmi_begin(const step_out::PmiBegin& order) {
  for (const PmiKind kind : order.kinds) {
    const bool by_name = order.kinds.size() == 1;  // else it is offered to whom it may concern
    if (!by_name && pmi_missing_.contains(kind)) {
      continue;
    }
    auto& slot = servers_[kind];
    if (!slot) {
      auto made = kind == PmiKind::pmi1 ? make_pmi1_server()
                                        : make_pmix_server({.node = plan_.facts.node, .directory = plan_.facts.directory});
      if (!made) {
        servers_.erase(kind);
        if (!by_name) {
          log::warn("no " + std::string(kind == PmiKind::pmix ? "PMIx" : "PMI-1") + " for programs here: " + made.error().text);
          pmi_missing_.insert(kind);
          continue;
        }
        core_->on_pmi_failed(order.step.step, made.error().text, now());
        return;
      }
      slot = *std::move(made);
      poller_.add_fd(slot->fd(), kPmi + static_cast<Poller::Tag>(kind));
    }
    if (auto begun = slot->begin_step(order.step); !begun) {
      core_->on_pmi_failed(order.step.step, begun.error().text, now());
      return;
    }
  }
}

void StepdShell::read_pmi(PmiServer& server) {
  for (const PmiEvent& event : server.take_events()) {
    if (const auto* refused = std::get_if<pmi_event::Unsupported>(&event)) {
      log::warn("step " + std::to_string(refused->step) + " rank " + std::to_string(refused->rank) + ": " + refused->text);
    }
    core_->on_pmi(server.kind(), event, now());
  }
  carry_out();
}

// What it said last comes before its end.
void StepdShell::pmi_rank_ended(std::uint32_t step, std::uint32_t rank) {
  for (auto& [kind, server] : servers_) {
    server->on_rank_ended(step, rank);
    for (const PmiEvent& event : server->take_events()) {
      core_->on_pmi(kind, event, now());
    }
  }
}

}  // namespace muster::node

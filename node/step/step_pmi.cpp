// StepCore: what PMI servers of the nodes have to tell each other.
#include <algorithm>
#include <set>

#include "node/step/impl.hpp"

namespace muster::node {
namespace {

std::string bytes_of(const flatbuffers::Vector<std::uint8_t>* data) {
  return data == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(data->data()), data->size());
}

}  // namespace

PmiStep StepCore::Impl::pmi_step(std::uint32_t number, const Local& local) const {
  PmiStep step;
  step.step = number;
  step.name = "muster." + std::to_string(plan.spec.job) + "." + std::to_string(plan.facts.index) + "." +
              std::to_string(plan.spec.try_number) + "." + std::to_string(number);
  step.job = plan.spec.job;
  step.uid = plan.spec.uid;
  step.gid = plan.spec.gid;
  for (const auto& part : local.layout.parts) {
    step.nodes.push_back(plan.node_of(part.member));
    step.ranks.push_back(part.ranks);
  }
  step.here = local.place;
  step.ntasks = local.layout.ntasks;
  step.directory = plan.facts.directory;
  // Nodes that listen on this host only may be one machine, and then their cpus are the same ones.
  const std::set<std::uint32_t> own(plan.facts.os_cpus.begin(), plan.facts.os_cpus.end());
  step.crowded = own.size() < step.ranks[step.here].size() || (plan.facts.listen.empty() && step.nodes.size() > 1);
  return step;
}

void StepCore::on_pmi(PmiKind kind, const PmiEvent& event, Now now) {
  Impl& i = *impl_;
  const auto rank_of = [&](std::uint32_t step, std::uint32_t rank) -> Impl::LocalRank* {
    const auto local = i.locals.find(step);
    if (local == i.locals.end()) {
      return nullptr;
    }
    const auto found = local->second.ranks.find(rank);
    return found == local->second.ranks.end() ? nullptr : &found->second;
  };
  std::visit(
      [&](const auto& what) {
        using T = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<T, pmi_event::Exchange>) {
          const auto local = i.locals.find(what.step);
          if (local == i.locals.end()) {
            return;
          }
          fb::StepExchangeT exchange;
          exchange.step = what.step;
          exchange.kind = static_cast<std::uint8_t>(kind);
          exchange.round = ++local->second.rounds[exchange.kind];
          exchange.data.assign(what.data.begin(), what.data.end());
          exchange.members = 1;
          i.send_root<fb::StepExchange>(exchange, now);
        } else if constexpr (std::is_same_v<T, pmi_event::Modex>) {
          const auto local = i.locals.find(what.step);
          if (local == i.locals.end()) {
            return;
          }
          for (const auto& part : local->second.layout.parts) {
            if (std::binary_search(part.ranks.begin(), part.ranks.end(), what.rank)) {
              fb::StepModexT ask;
              ask.step = what.step;
              ask.from_member = i.here();
              ask.to_member = part.member;
              ask.rank = what.rank;
              ask.question = what.question;
              const FrameBytes frame = Impl::pack<fb::StepModex>(ask);
              i.pass_towards(part.member, *fb::GetFrame(frame.data()), now);
              return;
            }
          }
          i.out.emplace_back(step_out::PmiModexAnswer{what.question, -1, ""});
        } else if constexpr (std::is_same_v<T, pmi_event::ModexServed>) {
          const auto asked = i.modex_asked.find(what.question);
          if (asked == i.modex_asked.end()) {
            return;
          }
          fb::StepModexT answer = asked->second;
          i.modex_asked.erase(asked);
          std::swap(answer.from_member, answer.to_member);
          answer.answer = true;
          answer.status = what.status;
          answer.data.assign(what.data.begin(), what.data.end());
          const FrameBytes frame = Impl::pack<fb::StepModex>(answer);
          i.pass_towards(answer.to_member, *fb::GetFrame(frame.data()), now);
        } else if constexpr (std::is_same_v<T, pmi_event::Connected>) {
          if (auto* rank = rank_of(what.step, what.rank)) {
            rank->connected = true;
            rank->finalized = false;
          }
        } else if constexpr (std::is_same_v<T, pmi_event::Finalized>) {
          if (auto* rank = rank_of(what.step, what.rank)) {
            rank->finalized = true;
          }
        } else if constexpr (std::is_same_v<T, pmi_event::Aborted>) {
          if (auto* rank = what.rank >= 0 ? rank_of(what.step, static_cast<std::uint32_t>(what.rank)) : nullptr) {
            rank->aborted = true;
          }
          fb::StepAbortT abort;
          abort.step = what.step;
          abort.rank = what.rank;
          abort.exit_code = what.exit_code == 0 ? 1 : what.exit_code & 0xff;
          abort.text = "rank " + std::to_string(what.rank) + (i.plan.members() > 1 ? " on node " + i.plan.facts.node : "") +
                       " called MPI_Abort(" + std::to_string(what.exit_code) + ")";
          i.send_root<fb::StepAbort>(abort, now);
        }
      },
      event);
}

void StepCore::on_pmi_failed(std::uint32_t step, const std::string& why, Now now) {
  Impl& i = *impl_;
  if (!i.locals.contains(step)) {
    return;
  }
  fb::StepAbortT abort;
  abort.step = step;
  abort.rank = -1;
  abort.exit_code = 1;
  abort.text = "node " + i.plan.facts.node + ": " + why;
  i.send_root<fb::StepAbort>(abort, now);
}

// At the root: when every member has entered the round, all get all.
void StepCore::Impl::take_exchange(const fb::StepExchange& exchange, Now now) {
  Step* step = find_step(exchange.step());
  if (step == nullptr) {
    return;
  }
  step->any_connected = true;
  auto& [members, data] = step->exchanges[{exchange.kind(), exchange.round()}];
  members += 1;
  data += bytes_of(exchange.data());
  if (members < step->layout.parts.size()) {
    return;
  }
  fb::StepExchangeT all;
  all.step = exchange.step();
  all.kind = exchange.kind();
  all.round = exchange.round();
  all.data.assign(data.begin(), data.end());
  all.members = members;
  step->exchanges.erase({exchange.kind(), exchange.round()});
  flood<fb::StepExchange>(all, now);
}

void StepCore::Impl::exchanged(const fb::StepExchange& exchange) {
  if (locals.contains(exchange.step())) {
    out.emplace_back(step_out::PmiAnswer{static_cast<PmiKind>(exchange.kind()), exchange.step(), true, bytes_of(exchange.data())});
  }
}

void StepCore::Impl::take_modex(const fb::StepModex& modex, Now /*now*/) {
  if (modex.answer()) {
    out.emplace_back(step_out::PmiModexAnswer{modex.question(), modex.status(), bytes_of(modex.data())});
    return;
  }
  const std::uint64_t question = ++modex_last;
  modex.UnPackTo(&modex_asked[question]);
  out.emplace_back(step_out::PmiModexServe{modex.step(), modex.rank(), question});
}

}  // namespace muster::node

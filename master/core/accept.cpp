// Accept: checked whole against the tables, then applied whole.
#include <algorithm>

#include "master/core/impl.hpp"

namespace muster::master {
namespace {

// "ports 31000-31001 of node n1", "cpus of node n1".
std::string missing_subject(const Resources& wanted, const Resources& left, const std::string& node) {
  const std::string shortfall = wanted.shortfall(left);
  std::string what = shortfall.substr(0, shortfall.find(':'));
  if (what == "ports") {
    PortSet missing = wanted.ports;
    missing.remove(left.ports);
    what.append(" ").append(missing.to_string());
  }
  return what + " of node " + node;
}

}  // namespace

AcceptAnswer MasterCore::Impl::check_accept(FrameworkIndex framework, const fb::Accept& message,
                                            AcceptPlan& plan, Now now) {
  using enum fb::RefusedCode;
  const auto* launches = message.launches();
  const std::size_t count = launches == nullptr ? 0 : launches->size();
  plan.dropped.assign(count, 0);

  // An accept that was taken before is answered as before.
  std::size_t known = 0;
  std::string elsewhere;
  for (std::size_t i = 0; i < count; ++i) {
    const fb::LaunchEntry* launch = launches->Get(static_cast<flatbuffers::uoffset_t>(i));
    const TaskIndex task = tasks.find(framework, from_fb(launch->attempt()));
    if (!task.is_none()) {
      if (tasks[task].node.value() == launch->node()) {
        ++known;
      }
      if (elsewhere.empty()) {
        elsewhere = to_string(from_fb(launch->attempt()));
      }
    }
  }
  if (count != 0 && known == count) {
    plan.repeated = true;
    return {message.accept(), None, {}, {}, {}};
  }
  if (message.claim() != 0) {
    return refused(message, Unsupported, "claim " + std::to_string(message.claim()),
                   "claims are not known to this version");
  }

  // All offers open, ours, and named once.
  AcceptAnswer gone = refused(message, OfferGone, {}, {});
  if (message.offers() != nullptr) {
    for (const fb::OfferRef* ref : *message.offers()) {
      OfferId id = from_fb(*ref);
      if (defect(&MasterDefects::skip_generation_check) && ledger.is_open(id.slot)) {
        id = ledger.id_at(id.slot);
      } else if (const Offer* offer = ledger.find(id); offer == nullptr || offer->framework != framework) {
        gone.gone.push_back(*ref);
        gone.subject += (gone.subject.empty() ? "offer " : ", ") + to_string(id);
        continue;
      }
      plan.offers.push_back(id);
    }
  }
  if (!gone.gone.empty()) {
    gone.text = "these offers have ended or were never made to you; nothing was launched";
    return gone;
  }
  std::vector<OfferId>& sorted = plan.sorted_offers;
  sorted.assign(plan.offers.begin(), plan.offers.end());
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    return refused(message, BadLaunch, "offer " + to_string(*twice), "the accept names this offer twice");
  }

  // No attempt used before, or twice here.
  if (!elsewhere.empty()) {
    return refused(message, DuplicateAttempt, "attempt " + elsewhere,
                   "this attempt has been launched before; a new try needs a new attempt id");
  }
  const auto attempt_at = [launches](std::size_t i) {
    return from_fb(launches->Get(static_cast<flatbuffers::uoffset_t>(i))->attempt());
  };
  bool ascend = true;
  for (std::size_t i = 1; i < count && ascend; ++i) {
    ascend = attempt_at(i - 1) < attempt_at(i);
  }
  std::vector<AttemptId>& attempts = plan.attempts;
  for (std::size_t i = 0; i < count && !ascend; ++i) {
    attempts.push_back(attempt_at(i));
  }
  std::sort(attempts.begin(), attempts.end());
  if (const auto twice = std::adjacent_find(attempts.begin(), attempts.end()); twice != attempts.end()) {
    return refused(message, DuplicateAttempt, "attempt " + to_string(*twice), "the accept launches it twice");
  }

  // Shapes and specifications in range.
  if (message.shapes() != nullptr) {
    for (const fb::Shape* shape : *message.shapes()) {
      auto read = from_fb(*shape);
      if (!read) {
        return refused(message, BadLaunch, "shape " + std::to_string(plan.shapes.size()), read.error().text);
      }
      plan.shapes.push_back(*std::move(read));
    }
  }
  const std::size_t specs = message.specs() == nullptr ? 0 : message.specs()->size();

  // Each node's launches within what its offers hold together.
  using Pool = AcceptPlan::Pool;
  std::vector<Pool>& pools = plan.pools;
  for (const OfferId id : sorted) {
    const Offer& offer = *ledger.find(id);
    const auto at = std::lower_bound(pools.begin(), pools.end(), offer.node,
                                     [](const Pool& pool, NodeIndex node) { return pool.node < node; });
    if (at != pools.end() && at->node == offer.node) {
      at->left += offer.resources;
    } else {
      pools.insert(at, {offer.node, offer.resources});
    }
  }
  auto at = pools.end();  // of the launch before: those of one node mostly follow each other
  for (std::size_t i = 0; i < count; ++i) {
    const fb::LaunchEntry* launch = launches->Get(static_cast<flatbuffers::uoffset_t>(i));
    const NodeIndex node{launch->node()};
    const auto what = [launch] { return "attempt " + to_string(from_fb(launch->attempt())); };
    if (launch->shape() >= plan.shapes.size() || launch->spec() >= specs) {
      return refused(message, BadLaunch, what(),
                     "it names shape " + std::to_string(launch->shape()) + " of " + std::to_string(plan.shapes.size()) +
                         " and specification " + std::to_string(launch->spec()) + " of " + std::to_string(specs));
    }
    if (launch->after() != 0) {
      plan.successors = true;
      continue;
    }
    if (at == pools.end() || at->node != node) {
      at = std::lower_bound(pools.begin(), pools.end(), node,
                            [](const Pool& pool, NodeIndex n) { return pool.node < n; });
    }
    if (at == pools.end() || at->node != node) {
      const std::string name = nodes.has(node) ? nodes[node].name : "index " + std::to_string(node.value());
      return refused(message, NotInOffer, "node " + name, what() + " runs on a node that no named offer is of");
    }
    const Resources& shape = plan.shapes[launch->shape()];
    if (!shape.fits_in(at->left)) {
      if (defect(&MasterDefects::partial_accept)) {
        plan.dropped[i] = 1;
        continue;
      }
      return refused(message, NotInOffer, missing_subject(shape, at->left, nodes[node].name),
                     what() + " asks for more than its offers have left: " + shape.shortfall(at->left));
    }
    at->left -= shape;
    if (nodes[node].lost) {
      return refused(message, UnknownNode, "node " + nodes[node].name, "the node is lost");
    }
    if (nodes[node].drained) {
      return refused(message, NodeDraining, "node " + nodes[node].name, "the node takes no new tasks");
    }
  }
  return plan.successors ? check_successors(framework, message, plan, now)
                         : AcceptAnswer{message.accept(), None, {}, {}, {}};
}

void MasterCore::Impl::apply_accept(FrameworkIndex framework, const fb::Accept& message, AcceptPlan& plan, Now now) {
  for (const OfferId id : plan.offers) {
    close_offer(id, OfferEnd::accepted);
  }
  const auto* launches = message.launches();
  if (launches == nullptr || launches->size() == 0) {
    return;
  }
  // Which gangs span nodes: those start in two steps.
  struct Member {
    std::uint32_t gang, node;
    auto operator<=>(const Member&) const = default;
  };
  std::vector<Member> members;
  for (const fb::LaunchEntry* launch : *launches) {
    if (launch->gang() != 0) {
      members.push_back({launch->gang(), launch->node()});
    }
  }
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::vector<std::pair<std::uint32_t, GangIndex>> begun;  // sorted by the framework's number
  for (std::size_t i = 0; i + 1 < members.size(); ++i) {
    if (members[i].gang == members[i + 1].gang && (begun.empty() || begun.back().first != members[i].gang)) {
      const GangIndex gang{gangs.add()};
      gangs[gang.value()].framework = framework;
      begun.emplace_back(members[i].gang, gang);
    }
  }

  std::vector<SpecIndex>& specs = plan.specs;
  specs.assign(message.specs() == nullptr ? 0 : message.specs()->size(), kNoSpec);
  SpecIndex& recent = framework_out[framework.value()].recent_spec;
  FrameBytes storage;
  Run run;
  KindIndex kind{kNoKind};
  const fb::LaunchEntry* alike = nullptr;  // the launch before
  for (flatbuffers::uoffset_t i = 0; i < launches->size(); ++i) {
    if (plan.dropped[i] != 0) {
      continue;
    }
    const fb::LaunchEntry& launch = *launches->Get(i);
    const AcceptPlan::Successor* successor = plan.successors ? &plan.lines[i] : nullptr;
    if (successor != nullptr && successor->refused != TaskReason::none) {
      ++probe.out_of_line;
      say(framework, {from_fb(launch.attempt()), NodeIndex{launch.node()}, TaskState::not_started, successor->refused});
      continue;
    }
    SpecIndex& spec = specs[launch.spec()];
    if (spec == kNoSpec) {
      const auto* data = message.specs()->Get(launch.spec())->data();
      const std::span bytes(data->data(), data->size());
      // The elements of an array come with one specification in many accepts.
      if (tasks.is_spec(recent, bytes)) {
        spec = recent;
        tasks.keep_spec(spec);
      } else {
        const auto read = verify_spec(bytes, storage);
        spec = tasks.add_spec(bytes, read ? std::string(text_of((*read)->name())) : std::string{});
        tasks.spec(spec).uid = read ? (*read)->uid() : 0;
        if (recent != kNoSpec) {
          tasks.drop_spec(recent);
        }
        recent = spec;
        tasks.keep_spec(recent);
      }
    }
    const NodeIndex node{launch.node()};
    const TaskIndex index = tasks.add(framework, node, from_fb(launch.attempt()));
    Task& task = tasks[index];
    task.array_index = launch.index();
    task.spec = spec;
    tasks.keep_spec(spec);
    if (kind == kNoKind || launch.spec() != alike->spec() || launch.shape() != alike->shape() ||
        launch.ranks() != alike->ranks()) {
      const Spec& facts = tasks.spec(spec);
      kind = tasks.kind_of(plan.shapes[launch.shape()], facts.name, facts.uid, launch.ranks());
    }
    alike = &launch;
    tasks.set_kind(task, kind);
    tasks.set_part(task, {launch.first_rank(), launch.gang(), launch.member()});
    task.launch_due = true;
    if (launch.after() != 0) {
      // What it follows was found when the plan was made, or stands earlier in this Accept.
      join_line(index, tasks.find(framework, successor->after));
    } else {
      if (!run.takes(task)) {
        charge_run(run);
        run = run_of(task);
      }
      ++run.count;
      task.charged = true;
      task_marks.mark(index.slot);
    }
    if (launch.gang() != 0) {
      const auto at = std::lower_bound(begun.begin(), begun.end(), launch.gang(),
                                       [](const auto& entry, std::uint32_t number) { return entry.first < number; });
      if (at != begun.end() && at->first == launch.gang()) {
        task.two_step = true;
        task.gang = at->second;
        gangs[at->second.value()].members.push_back(index);
      }
    }
    due(index);
    ++probe.launches;
  }
  charge_run(run);
  for (const SpecIndex spec : specs) {
    if (spec != kNoSpec) {
      tasks.drop_spec(spec);
    }
  }
  for (const auto& [number, gang] : begun) {
    begin_gang(gang, now);
  }
}

void MasterCore::Impl::on_accept(Link& link, const fb::Accept& message, Now now) {
  AcceptPlan& plan = accept_plan;
  plan.clear();
  AcceptAnswer answer = check_accept(link.framework, message, plan, now);
  if (answer.code != fb::RefusedCode::None) {
    ++probe.accepts_refused;
    probe.refuse(answer.code);
  } else if (plan.repeated) {
    ++probe.accepts_repeated;
  } else {
    ++probe.accepts;
    apply_accept(link.framework, message, plan, now);
  }
  framework_out[link.framework.value()].answers.push_back(std::move(answer));
  mark_dirty(link);
}

}  // namespace muster::master

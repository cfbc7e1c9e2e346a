#include "tests/fuzz/messages.hpp"

#include "wire/model/task_state.hpp"

namespace muster::fuzz {
namespace {

std::unique_ptr<fb::ShapeT> shape(Random& random) {
  Resources r;
  r.cpus_milli = static_cast<MilliCpus>(random.odd(random.one_in(8) ? 5000 : 1000));
  r.memory_bytes = random.odd(random.one_in(8) ? 5000 : 500) << 20U;
  r.gpus = static_cast<std::uint32_t>(random.one_in(40) ? random.odd(3) : 0);
  if (random.one_in(8)) {
    const auto first = static_cast<std::uint16_t>(31000 + random.below(20));
    r.ports.add({first, static_cast<std::uint16_t>(first + random.below(5))});
  }
  if (random.one_in(12)) {
    r.set_count("licence", random.below(3));
  }
  auto out = std::make_unique<fb::ShapeT>(to_shape_object(r));
  if (random.one_in(100)) {
    out->ports = {fb::PortRange(9, 3)};
  }
  return out;
}

fb::AttemptId attempt(Random& random, const Learnt& learnt) {
  if (!learnt.attempts.empty() && !random.one_in(4)) {
    return random.pick(learnt.attempts);
  }
  return {random.below(4), random.odd(200)};
}

std::uint32_t node(Random& random, const Learnt& learnt) {
  if (!learnt.nodes.empty() && !random.one_in(12)) {
    return random.pick(learnt.nodes);
  }
  return static_cast<std::uint32_t>(random.odd(6));
}

fb::OfferRef offer(Random& random, const Learnt& learnt) {
  if (!learnt.offers.empty() && !random.one_in(10)) {
    const fb::OfferEntry& o = random.pick(learnt.offers);
    return {o.slot(), o.generation()};
  }
  return {static_cast<std::uint32_t>(random.odd(8)), static_cast<std::uint32_t>(random.odd(8))};
}

std::uint8_t state(Random& random) {
  constexpr TaskState kStates[] = {TaskState::running,  TaskState::finished,     TaskState::killed,      TaskState::lost,
                                   TaskState::prepared, TaskState::start_failed, TaskState::not_started, TaskState::launching,
                                   TaskState::running,  TaskState::queued};
  return random.one_in(150) ? static_cast<std::uint8_t>(random.next())
                            : static_cast<std::uint8_t>(kStates[random.below(std::size(kStates))]);
}

std::string text(Random& random) {
  return std::string(random.one_in(20) ? 3000 : random.below(12), static_cast<char>('a' + random.below(26)));
}

std::vector<std::unique_ptr<fb::WantedShapeT>> wants(Random& random) {
  std::vector<std::unique_ptr<fb::WantedShapeT>> out;
  for (std::uint64_t i = random.one_in(60) ? 70 : 1 + random.below(3); i > 0; --i) {
    auto want = std::make_unique<fb::WantedShapeT>();
    want->shape = shape(random);
    want->count = static_cast<std::uint32_t>(random.odd(6));
    want->whole_rest = random.one_in(2);
    if (random.one_in(12)) {
      want->nodes = {static_cast<std::uint32_t>(random.odd(4)), static_cast<std::uint32_t>(random.odd(4))};
    }
    out.push_back(std::move(want));
  }
  return out;
}

FrameBytes accept(Random& random, const Learnt& learnt, const FrameHead& head) {
  fb::AcceptT m;
  m.accept = random.odd(1000);
  std::vector<fb::OfferEntry> named;
  for (std::uint64_t i = 1 + random.below(2); i > 0; --i) {
    if (!learnt.offers.empty() && !random.one_in(40)) {
      named.push_back(random.pick(learnt.offers));
      m.offers.emplace_back(named.back().slot(), named.back().generation());
    } else {
      m.offers.push_back(offer(random, learnt));
    }
  }
  for (std::uint64_t i = random.below(3); i < 3; ++i) {
    m.shapes.push_back(shape(random));
  }
  for (std::uint64_t i = 0; i < 2; ++i) {
    fb::TaskSpecT spec;
    spec.name = text(random);
    spec.argv = {"/bin/true"};
    auto bytes = std::make_unique<fb::SpecBytesT>();
    bytes->data = pack_spec(spec);
    if (random.one_in(100)) {
      bytes->data.resize(1 + random.below(bytes->data.size()));
    }
    m.specs.push_back(std::move(bytes));
  }
  const auto gang = static_cast<std::uint32_t>(random.one_in(2) ? 0 : random.below(3));
  std::uint32_t member = 0;
  for (std::uint64_t i = 1 + random.below(3); i > 0; --i) {
    if (random.one_in(5)) {  // from here on all follow somebody
      m.predecessors.push_back(!m.launches.empty() && random.one_in(2) ? m.launches.back().attempt() : attempt(random, learnt));
    }
    const std::uint32_t at = named.empty() ? node(random, learnt)
                             : gang != 0   ? named[member % named.size()].node()
                                           : random.pick(named).node();
    m.launches.emplace_back(random.one_in(12) ? attempt(random, learnt) : fb::AttemptId(1 + random.below(8), random.below(5000)),
                            random.one_in(40) ? node(random, learnt) : at, 0, member, static_cast<std::uint32_t>(random.odd(3)),
                            gang, member, static_cast<std::uint16_t>(random.below(2)),
                            static_cast<std::uint16_t>(random.one_in(60) ? random.odd(9) : 0), 0,
                            static_cast<std::uint16_t>(m.predecessors.size()));
    ++member;
  }
  return pack_frame<fb::Accept>(head, m);
}

FrameBytes update(Random& random, const Learnt& learnt, const FrameHead& head) {
  fb::UpdateT m;
  m.frameworks = {101, 102};
  std::uint64_t seq = learnt.update_seq;
  for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
    fb::AttemptRef task(attempt(random, learnt), node(random, learnt), 0);
    if (!learnt.tasks.empty() && !random.one_in(10)) {
      task = random.pick(learnt.tasks);
    }
    m.entries.emplace_back(task.attempt(), random.one_in(20) ? random.odd(30) : seq++, 1, 2, task.node(), 0,
                           static_cast<std::uint16_t>(random.one_in(40) ? random.odd(9) : random.below(2)),
                           static_cast<std::uint16_t>(random.one_in(60) ? random.odd(3) : 0), state(random),
                           static_cast<std::uint8_t>(random.below(22)), 0, 0);
  }
  return pack_frame<fb::Update>(head, m);
}

void add_live(Random& random, const Learnt& learnt, std::vector<fb::LiveTask>& live, std::vector<std::string>& names) {
  names = {"n0", "n1", "n2", "nowhere"};
  for (std::uint64_t i = random.below(4); i > 0; --i) {
    live.emplace_back(attempt(random, learnt), static_cast<std::uint32_t>(random.one_in(20) ? random.odd(9) : random.below(4)),
                      static_cast<std::uint32_t>(random.below(3)));
  }
}

FrameBytes from_framework(Random& random, const Learnt& learnt, const FrameHead& head) {
  std::uint64_t kind = random.below(13);
  if (kind <= 4 && learnt.offers.empty() && !random.one_in(6)) {
    kind = random.one_in(3) ? 0 : 11;  // nothing to accept: ask, or chat
  }
  switch (kind) {
    case 0: {
      fb::RequestT m;
      m.wants = wants(random);
      return pack_frame<fb::Request>(head, m);
    }
    case 1:
    case 2:
    case 3:
    case 4: return accept(random, learnt, head);
    case 5: {
      fb::DeclineT m;
      m.offers.push_back(offer(random, learnt));
      m.offers.push_back(offer(random, learnt));
      m.filter_ms = static_cast<std::uint32_t>(random.odd(2000));
      return pack_frame<fb::Decline>(head, m);
    }
    case 6: {
      fb::HoldT m;
      m.offers.push_back(offer(random, learnt));
      m.claim = random.odd(3);
      m.lease_ms = static_cast<std::uint32_t>(random.odd(20'000));
      return pack_frame<fb::Hold>(head, m);
    }
    case 7: return random.one_in(5) ? pack_frame<fb::Suppress>(head, {}) : pack_frame<fb::Revive>(head, {});
    case 8: {
      fb::KillT m;
      m.attempts.emplace_back(attempt(random, learnt), node(random, learnt), 0);
      m.grace_ms = static_cast<std::uint32_t>(random.odd(5000));
      m.signal = static_cast<std::uint8_t>(random.next());
      m.only_signal = random.one_in(3);
      return pack_frame<fb::Kill>(head, m);
    }
    case 9: {
      fb::AcknowledgeT m;
      m.entries.emplace_back(random.odd(30), node(random, learnt), 0, 0);
      return pack_frame<fb::Acknowledge>(head, m);
    }
    case 12: {
      fb::RecallT m;
      m.attempts.emplace_back(attempt(random, learnt), node(random, learnt), 0);
      return pack_frame<fb::Recall>(head, m);
    }
    case 10: {
      fb::ReconcileT m;
      add_live(random, learnt, m.live, m.node_names);
      return pack_frame<fb::Reconcile>(head, m);
    }
    default: {
      fb::MessageT m;
      m.framework = 100 + random.below(4);
      m.attempt = std::make_unique<fb::AttemptId>(attempt(random, learnt));
      m.node = node(random, learnt);
      m.data.assign(random.below(100), 1);
      return pack_frame<fb::Message>(head, m);
    }
  }
}

FrameBytes from_node(Random& random, const Learnt& learnt, const FrameHead& head) {
  switch (random.below(6)) {
    case 0: {
      fb::PreparedT m;
      if (!learnt.tasks.empty() && !random.one_in(10)) {
        m.attempts = learnt.tasks;
      } else {
        m.attempts.emplace_back(attempt(random, learnt), node(random, learnt), 0);
      }
      return pack_frame<fb::Prepared>(head, m);
    }
    case 1: {
      fb::MessageT m;
      m.framework = 100 + random.below(4);
      if (!random.one_in(4)) {
        m.attempt = std::make_unique<fb::AttemptId>(attempt(random, learnt));
      }
      m.node = node(random, learnt);
      return pack_frame<fb::Message>(head, m);
    }
    case 2: return pack_frame<fb::Heartbeat>(head, {});
    default: return update(random, learnt, head);
  }
}

FrameBytes from_operator(Random& random, const FrameHead& head) {
  switch (random.below(5)) {
    case 0: {
      fb::DrainNodeT m;
      m.request = random.odd(9);
      m.node = random.one_in(3) ? text(random) : "n" + std::to_string(random.below(3));
      m.undrain = !random.one_in(6);
      return pack_frame<fb::DrainNode>(head, m);
    }
    case 1: {
      fb::SetWeightT m;
      m.request = 1;
      m.role = random.one_in(2) ? "default" : text(random);
      constexpr double kWeights[] = {1.0, 2.5, 0.0, -1.0, 1e300, 1e-300};
      m.weight = kWeights[random.below(std::size(kWeights))];
      return pack_frame<fb::SetWeight>(head, m);
    }
    case 2: {
      fb::SetQuotaT m;
      m.request = 1;
      m.role = random.one_in(2) ? "other" : text(random);
      if (random.one_in(3)) {
        m.limit = shape(random);
      }
      return pack_frame<fb::SetQuota>(head, m);
    }
    default: {
      fb::OperatorQueryT m;
      m.request = random.odd(9);
      m.subject = static_cast<fb::Subject>(random.below(7));
      m.after = random.odd(9);
      m.limit = static_cast<std::uint32_t>(random.odd(50));
      m.name = random.one_in(3) ? "n1" : "";
      return pack_frame<fb::OperatorQuery>(head, m);
    }
  }
}

}  // namespace

FrameBytes opening(Random& random, const Identity& who, const Learnt& learnt, const FrameHead& head) {
  if (who.role == Role::framework) {
    fb::SubscribeT m;
    m.framework = random.one_in(20) ? random.odd(200) : who.framework;
    m.name = "f" + std::to_string(who.framework);
    m.role = who.framework % 2 == 0 ? "default" : "other";
    m.wants = wants(random);
    m.failover_timeout_ms = random.one_in(3) ? random.odd(20'000) : 0;
    add_live(random, learnt, m.live, m.node_names);
    return pack_frame<fb::Subscribe>(head, m);
  }
  fb::RegisterT m;
  for (const std::string& name : who.node_names) {
    auto node = std::make_unique<fb::NodeRegistrationT>();
    node->name = random.one_in(60) ? text(random) : name;
    node->boot_id = random.one_in(10) ? "boot 2" : "boot 1";
    node->boot = node->boot_id == "boot 2" ? 2 : 1;
    Resources capacity;
    capacity.cpus_milli = 4000;
    capacity.memory_bytes = 4096ULL << 20U;
    capacity.ports = PortSet({{31000, 31019}});
    capacity.set_count("licence", 2);
    node->capacity = random.one_in(12) ? shape(random) : std::make_unique<fb::ShapeT>(to_shape_object(capacity));
    node->shapes.push_back(shape(random));
    node->names = {"job"};
    node->drained = random.one_in(20);
    for (std::uint64_t i = random.below(4); i > 0; --i) {
      node->tasks.emplace_back(attempt(random, learnt), 101 + random.below(2), static_cast<std::uint16_t>(random.one_in(100) ? 7 : 0),
                               static_cast<std::uint16_t>(random.one_in(100) ? 7 : 0), state(random),
                               static_cast<std::uint8_t>(random.below(2)), 0);
    }
    m.nodes.push_back(std::move(node));
  }
  return pack_frame<fb::Register>(head, m);
}

FrameBytes message(Random& random, const Identity& who, const Learnt& learnt, const FrameHead& head) {
  Role role = who.role;
  if (random.one_in(60)) {
    role = static_cast<Role>(random.below(3));
  }
  switch (role) {
    case Role::framework: return from_framework(random, learnt, head);
    case Role::node: return from_node(random, learnt, head);
    case Role::operator_: return from_operator(random, head);
  }
  return from_operator(random, head);
}

}  // namespace muster::fuzz

#include "tests/sim/book.hpp"

#include <algorithm>
#include <utility>

namespace muster::sim {
namespace {

Resources vector_of(MilliCpus cpus_milli, std::uint64_t megabytes) {
  Resources r;
  r.cpus_milli = cpus_milli;
  r.memory_bytes = megabytes << 20U;
  return r;
}

client::Want want_of(const Resources& shape, bool whole_rest = false) {
  client::Want want;
  want.shape = shape;
  want.whole_rest = whole_rest;
  return want;
}

const PortSet kPorts({{31000, 31001}});

}  // namespace

BookStage::BookStage(std::uint64_t seed) : world_(seed) {
  master_ = std::make_unique<master::MasterCore>(master::MasterConfig{}, Epoch(1), world_.clock());
  node::NodeConfig config;
  config.name = "n1";
  config.capacity = vector_of(4000, 4096);
  config.capacity.ports = kPorts;
  config.topology = make_topology({.packages = 1, .numas_per_package = 1, .l3s_per_numa = 1, .cores_per_l3 = 4, .pus_per_core = 1});
  config.machine_cpus = {0, 1, 2, 3};
  config.boot_id = "boot";
  node_ = std::make_unique<node::NodeCore>(config, node::NodeMemory{}, world_.clock());
  node_->on_launcher_hello({.boot_id = "boot", .containment = "none", .not_enforced = {}, .tasks = {}, .forgotten = {}}, world_.clock());
  node_->on_master_link_up(world_.clock());
  for (const std::size_t party : {std::size_t{kFirst}, std::size_t{kSecond}}) {
    client::LinkConfig link;
    link.framework = FrameworkId(party);
    link.name = "framework" + std::to_string(party - kFirst + 1);
    link.first_incarnation = Incarnation(1);
    link.auto_acknowledge = true;
    links_[party] = std::make_unique<client::MasterLink>(link, frameworks_[party]);
    links_[party]->on_link_up(world_.clock());
  }
  for (std::size_t party = 0; party < kParties; ++party) {
    poke(party);
  }
  need(run_until([&] { return frameworks_[kFirst].registered && frameworks_[kSecond].registered && master_->settled() && !master_->books().empty(); },
                 Duration::from_seconds(10)),
       "all register and the master settles");
}

BookStage::~BookStage() = default;

// ---- clockwork

void BookStage::poke(std::size_t party) {
  if (!clocks_[party].flush_waits) {
    clocks_[party].flush_waits = true;
    world_.after(world_.prng.between(Duration::from_us(1), Duration::from_us(300)), [this, party] {
      clocks_[party].flush_waits = false;
      flush(party);
      arm(party);
    });
  }
  arm(party);
}

void BookStage::arm(std::size_t party) {
  const Instant next = party == kMaster ? master_->next_timer() : party == kNode ? node_->next_timer() : links_[party]->next_timer();
  if (next >= clocks_[party].timer_at || next == Instant::never()) {
    return;
  }
  const Instant at = std::max(next, world_.now() + Duration::from_us(10));
  clocks_[party].timer_at = at;
  world_.at(at, [this, party, at] {
    if (clocks_[party].timer_at != at) {
      return;
    }
    clocks_[party].timer_at = Instant::never();
    if (party == kMaster) {
      master_->on_timer(world_.clock());
    } else if (party == kNode) {
      node_->on_timer(world_.clock());
    } else {
      links_[party]->on_timer(world_.clock());
    }
    poke(party);
  });
}

void BookStage::flush(std::size_t party) {
  if (party == kMaster) {
    master::MasterOutputs out;
    master_->flush(world_.clock(), out);
    for (master::OutFrame& frame : out.frames) {
      from_master(frame.link.value(), std::move(frame.bytes));
    }
    if (const Status audit = master_->audit(); !audit) {
      violated("audit of the master", audit.error().text);
    }
  } else if (party == kNode) {
    node::NodeOutputs out;
    node_->flush(world_.clock(), out);
    for (FrameBytes& bytes : out.to_master) {
      to_master(kNode, std::move(bytes));
    }
    for (const node::LauncherCommand& each : out.to_launcher) {
      command(each);
    }
    if (const Status audit = node_->audit(); !audit) {
      violated("audit of the node", audit.error().text);
    }
  } else {
    std::vector<FrameBytes> out;
    links_[party]->flush(world_.clock(), out);
    for (FrameBytes& bytes : out) {
      to_master(party, std::move(bytes));
    }
  }
}

void BookStage::to_master(std::size_t from, FrameBytes bytes) {
  Instant& last = clocks_[from].last_to_master;
  last = std::max(last, world_.now()) + world_.prng.between(Duration::from_us(1), Duration::from_ms(2));
  world_.at(last, [this, from, frame = std::make_shared<const FrameBytes>(std::move(bytes))] {
    auto verified = verify_frame(*frame);
    if (!verified) {
      violated("malformed output", verified.error().text);
    }
    master_->on_frame(LinkId(from), {.local = true, .uid = 1000, .pid = 1}, **verified, world_.clock());
    poke(kMaster);
  });
}

void BookStage::from_master(std::size_t to, FrameBytes bytes) {
  Instant& last = clocks_[to].last_from_master;
  last = std::max(last, world_.now()) + world_.prng.between(Duration::from_us(1), Duration::from_ms(2));
  world_.at(last, [this, to, frame = std::make_shared<const FrameBytes>(std::move(bytes))] {
    auto verified = verify_frame(*frame);
    if (!verified) {
      violated("malformed output", verified.error().text);
    }
    if (to == kNode) {
      node_->on_master_frame(**verified, world_.clock());
    } else {
      links_[to]->on_frame(**verified, world_.clock());
    }
    poke(to);
  });
}

void BookStage::command(const node::LauncherCommand& each) {
  if (const auto* start = std::get_if<node::command::Start>(&each)) {
    running_[start->task.attempt] = start->task.framework;
    world_.after(world_.prng.between(Duration::from_us(10), Duration::from_ms(3)), [this, attempt = start->task.attempt, framework = start->task.framework] {
      if (running_.contains(attempt)) {
        node_->on_launcher_event(node::event::Started{framework, attempt, world_.wall(), {}}, world_.clock());
        poke(kNode);
      }
    });
  } else if (const auto* kill = std::get_if<node::command::Kill>(&each)) {
    world_.after(world_.prng.between(Duration::from_us(10), Duration::from_ms(3)),
                 [this, attempt = kill->attempt] { end_task(attempt, TaskState::killed, 143); });
  }
}

void BookStage::end_task(const AttemptId& attempt, TaskState state, std::int32_t exit_code) {
  const auto it = running_.find(attempt);
  if (it == running_.end()) {
    return;
  }
  node::event::Ended ended;
  ended.framework = it->second;
  ended.attempt = attempt;
  ended.state = state;
  ended.reason = state == TaskState::killed ? TaskReason::kill_requested : TaskReason::none;
  ended.exit_code = exit_code;
  ended.signal = exit_code > 128 ? exit_code - 128 : 0;
  ended.started = world_.wall();
  ended.ended = world_.wall();
  running_.erase(it);
  node_->on_launcher_event(ended, world_.clock());
  poke(kNode);
}

bool BookStage::run_until(const std::function<bool()>& condition, Duration limit) {
  const Instant end = world_.now() + limit;
  while (!condition()) {
    if (!world_.step(end)) {
      return condition();
    }
  }
  return true;
}

void BookStage::need(bool condition, const std::string& what) {
  if (!condition) {
    violated("the book's example", "expected, and it did not happen: " + what);
  }
}

master::MasterCore::NodeBooks BookStage::books() const { return master_->books().front(); }

void BookStage::need_books(const Resources& used) {
  const auto now = books();
  need(now.used == used, "used is " + to_string(used) + " and not " + to_string(now.used));
  need(now.used + now.offered + now.free == now.capacity, "used + offered + free = capacity");
}

// ---- turns

void BookStage::request(std::size_t party, std::vector<client::Want> wants) {
  links_[party]->request(std::move(wants));
  poke(party);
}

client::Offer BookStage::only_offer(std::size_t party, const Resources& expected, const char* what) {
  need(run_until([&] { return !frameworks_[party].offers.empty(); }, Duration::from_seconds(1)), what);
  need(frameworks_[party].offers.size() == 1, std::string(what) + ", as one offer");
  const client::Offer offer = frameworks_[party].offers.begin()->second;
  need(offer.resources == expected, std::string(what) + ": " + to_string(expected) + ", not " + to_string(offer.resources));
  return offer;
}

void BookStage::decline(std::size_t party, const client::Offer& offer, Duration filter) {
  frameworks_[party].offers.erase(offer.id);
  links_[party]->decline(std::vector<OfferId>{offer.id}, filter);
  poke(party);
}

client::LaunchTask BookStage::task(const client::Offer& offer, const Resources& resources) {
  client::LaunchTask launch;
  launch.attempt = {1, ++attempts_};
  launch.node = offer.node;
  launch.resources = resources;
  return launch;
}

std::uint64_t BookStage::accept(std::size_t party, const client::Offer& offer, std::vector<client::LaunchTask> tasks) {
  frameworks_[party].offers.erase(offer.id);
  fb::TaskSpecT spec;
  spec.argv = {"/bin/true"};
  spec.working_directory = "/";
  client::AcceptRequest accept;
  accept.offers = {offer.id};
  accept.launches = std::move(tasks);
  accept.specs = {pack_spec(spec)};
  const std::uint64_t number = links_[party]->accept(accept);
  poke(party);
  need(run_until([&] { return frameworks_[party].answers.contains(number); }, Duration::from_seconds(1)), "every accept is answered");
  return number;
}

void BookStage::wander(std::size_t party) {
  const std::size_t other = party == kFirst ? kSecond : kFirst;
  const Resources all = vector_of(4000, 4096);
  const client::Offer offer = only_offer(party, all, "all of node 1 is offered");
  switch (world_.prng.below(4)) {
    case 0: {  // for 5 s not to me, to the other at once
      decline(party, offer, Duration::from_seconds(5));
      const Instant declined = world_.now();
      request(other, {want_of(all)});
      const client::Offer theirs = only_offer(other, all, "the other framework gets what was declined");
      request(other, {});
      decline(other, theirs, Duration{});
      need(!run_until([&] { return !frameworks_[party].offers.empty(); }, declined + Duration::from_ms(4990) - world_.now()),
           "no offer within the 5 s of a decline");
      need(run_until([&] { return !frameworks_[party].offers.empty(); }, Duration::from_ms(100)), "an offer once the 5 s are over");
      break;
    }
    case 1: {  // the lease ends
      need(run_until([&] { return !frameworks_[party].offers.contains(offer.id); }, Duration::from_ms(10'100)), "an offer's lease ends");
      break;
    }
    case 2: {  // held beyond the lease
      links_[party]->hold(std::vector<OfferId>{offer.id}, ClaimId(1), Duration::from_seconds(15));
      poke(party);
      need(!run_until([&] { return !frameworks_[party].offers.contains(offer.id); }, Duration::from_seconds(14)), "a held offer outlives its lease");
      decline(party, offer, Duration{});
      break;
    }
    default: {
      decline(party, offer, Duration{});
      break;
    }
  }
}

void BookStage::overlap_ports() {
  Resources shape = vector_of(1000, 64);
  shape.ports = kPorts;
  request(kSecond, {want_of(shape)});
  const client::Offer offer = only_offer(kSecond, shape, "two ports are offered");
  request(kSecond, {});
  Resources one = vector_of(500, 32);
  one.ports = PortSet({{31000, 31000}});
  const std::uint64_t number = accept(kSecond, offer, {task(offer, one), task(offer, one)});
  const client::AcceptAnswer& answer = frameworks_[kSecond].answers[number];
  need(answer.code == fb::RefusedCode::NotInOffer, "overlapping ports are refused");
  need((answer.subject + answer.text).find("31000") != std::string::npos, "the refusal names the port: " + answer.subject + ": " + answer.text);
  decline(kSecond, offer, Duration{});
}

void BookStage::finish_all(std::size_t party) {
  const auto live = [&] {
    return std::any_of(frameworks_[party].tasks.begin(), frameworks_[party].tasks.end(), [](const auto& entry) { return !is_terminal(entry.second.state); });
  };
  for (const auto& [attempt, update] : frameworks_[party].tasks) {
    if (is_terminal(update.state)) {
      continue;
    }
    if (world_.prng.percent(50)) {
      links_[party]->kill(attempt, update.node, {});
      poke(party);
    } else {
      world_.after(world_.prng.between(Duration::from_us(1), Duration::from_ms(50)),
                   [this, attempt = attempt] { end_task(attempt, TaskState::finished, 0); });
    }
  }
  need(run_until([&] { return !live(); }, Duration::from_seconds(2)), "all tasks end");
  frameworks_[party].tasks.clear();
  frameworks_[party].answers.clear();
}

void BookStage::play() {
  Prng& prng = world_.prng;
  const Resources all = vector_of(4000, 4096);
  need_books({});

  // Framework 1 wants the whole node and is offered it.
  request(kFirst, {want_of(all)});
  while (prng.percent(30)) {
    wander(kFirst);
  }
  const client::Offer offer = only_offer(kFirst, all, "<node 1, 4 cpus, 4096 MB> is offered");
  request(kFirst, {});

  // It launches task 1 and task 2; both run.
  const client::LaunchTask first = task(offer, vector_of(2000, 1024));
  const client::LaunchTask second = task(offer, vector_of(1000, 2048));
  const std::uint64_t number = accept(kFirst, offer, {first, second});
  need(frameworks_[kFirst].answers[number].code == fb::RefusedCode::None, "the accept is taken");
  const auto state = [&](const AttemptId& attempt) { return frameworks_[kFirst].tasks[attempt].state; };
  need(run_until([&] { return state(first.attempt) == TaskState::running && state(second.attempt) == TaskState::running; }, Duration::from_seconds(1)), "both tasks run");
  need_books(vector_of(3000, 3072));

  // The rest is exactly 1 cpu, 1024 MB, and framework 2 can get it.
  const bool keeps = prng.percent(30);
  request(kSecond, {want_of(vector_of(1000, 1024))});
  const client::Offer rest = only_offer(kSecond, vector_of(1000, 1024), "<node 1, 1 cpu, 1024 MB> is offered to framework 2");
  request(kSecond, {});
  if (keeps) {
    const std::uint64_t theirs = accept(kSecond, rest, {task(rest, rest.resources)});
    need(frameworks_[kSecond].answers[theirs].code == fb::RefusedCode::None, "framework 2 launches on the rest");
    need_books(all);
    need(run_until([&] { return frameworks_[kSecond].tasks.size() == 1; }, Duration::from_seconds(1)), "its task runs");
    finish_all(kSecond);
  } else {
    decline(kSecond, rest, Duration{});
  }
  if (prng.percent(20)) {
    overlap_ports();
  }

  // Task 1 ends: 3 cpus, 2048 MB can follow.
  const std::size_t next = prng.percent(50) ? kFirst : kSecond;
  request(next, {want_of(vector_of(3000, 2048))});
  world_.after(prng.between(Duration::from_us(1), Duration::from_ms(20)), [this, attempt = first.attempt] { end_task(attempt, TaskState::finished, 0); });
  const client::Offer more = only_offer(next, vector_of(3000, 2048), "<node 1, 3 cpus, 2048 MB> follows the end of task 1");
  request(next, {});
  decline(next, more, Duration{});

  finish_all(kFirst);
  need(run_until([&] { return books().free == books().capacity; }, Duration::from_seconds(11)), "everything is free again");
  need_books({});
}

}  // namespace muster::sim

#include "tests/sim/cluster.hpp"

#include <algorithm>

namespace muster::sim {
namespace {

thread_local std::uint64_t current_seed = 0;

}  // namespace

std::uint64_t running_seed() { return current_seed; }

Cluster::Cluster(std::uint64_t seed, const Options& options)
    : world_(seed), store_(world_, truth_), defects_(options.defects), users_(*this) {
  if (options.trace) {
    world_.trace.print_lines();
  }
  world_.trace.keep_lines(options.lines_kept);
  profile_ = *profile_named(options.profile);
  build(options);
}

Cluster::~Cluster() = default;

void Cluster::build(const Options& options) {
  Prng& prng = world_.prng;
  Quality quality;
  quality.ordered = !profile_.may_be_unordered || prng.percent(35);
  if (prng.percent(40)) {
    quality.delay_max = prng.between(Duration::from_ms(1), Duration::from_ms(60));
  }
  quality.loss_ppm = prng.below(profile_.loss_ppm + 1);
  quality.duplicate_ppm = prng.below(profile_.duplicate_ppm + 1);
  quality.reorder_ppm = prng.below(profile_.reorder_ppm + 1);
  quality.corrupt_ppm = prng.percent(50) ? profile_.corrupt_ppm : 0;
  network_ = std::make_unique<Network>(world_, quality);
  keep_unsent_ = prng.percent(50);
  silent_reconnects_ = prng.percent(30);
  intensity_ = prng.below(3) + 1;

  const auto nodes = options.nodes != 0 ? options.nodes : static_cast<std::uint32_t>(prng.between(2, 6));
  jobs_ = options.jobs != 0 ? options.jobs : static_cast<std::uint32_t>(prng.between(5, 30));
  TaskNature nature;
  nature.run_max = Duration::from_seconds(prng.percent(20) ? 100 : prng.between(1, 30));
  for (std::uint32_t i = 0; i < nodes; ++i) {
    Resources capacity;
    capacity.cpus_milli = static_cast<MilliCpus>(prng.between(2, 8)) * 1000;
    capacity.memory_bytes = Bytes{capacity.cpus_milli / 1000} << 30U;
    capacity.disk_bytes = Bytes{100} << 30U;
    capacity.ports = PortSet({{31000, 31015}});
    machines_.push_back(std::make_unique<Machine>(world_, truth_, i, capacity, nature));
    nodes_.push_back(std::make_unique<SimNode>(*this, i, *machines_.back(), defects_.node));
  }
  gang_ = std::make_unique<SimGang>(*this, nodes, store_, defects_.gang);
  rival_ = std::make_unique<SimRival>(*this, nodes + 1);
}

std::uint32_t Cluster::smallest_node_cpus() const {
  std::uint32_t smallest = ~0U;
  for (const auto& machine : machines_) {
    smallest = std::min(smallest, machine->capacity().cpus_milli / 1000);
  }
  return smallest;
}

Client& Cluster::client(std::uint32_t id) {
  if (id < nodes_.size()) {
    return *nodes_[id];
  }
  return id == gang_->id() ? static_cast<Client&>(*gang_) : *rival_;
}

FrameworkId Cluster::framework_of(std::uint32_t client) const {
  return client == gang_->id() ? kGangFramework : kRivalFramework;
}

std::string Cluster::client_name(std::uint32_t client) const {
  if (client == kOperatorClient) {
    return "operator";
  }
  return const_cast<Cluster*>(this)->client(client).name();
}

SimMaster* Cluster::master_numbered(std::uint64_t number) const {
  for (const auto& master : masters_) {
    if (master->number() == number) {
      return master.get();
    }
  }
  return nullptr;
}

std::optional<Epoch> Cluster::life_epoch(std::uint32_t client, Incarnation life) const {
  const auto it = life_epochs_.find({client, life});
  return it == life_epochs_.end() ? std::nullopt : std::optional(it->second);
}

void Cluster::run_until(Instant until) {
  while (world_.step(until)) {
  }
}

void Cluster::run() {
  Prng& prng = world_.prng;
  start_master(prng.between(Duration{}, Duration::from_seconds(1)));
  for (const auto& machine : machines_) {
    machine->power_on();
  }
  for (const auto& node : nodes_) {
    restart_soon(*node, prng.between(Duration{}, Duration::from_seconds(3)));
  }
  restart_soon(*gang_, prng.between(Duration{}, Duration::from_seconds(3)));
  const bool with_rival = prng.percent(60);
  if (with_rival) {
    restart_soon(*rival_, prng.between(Duration{}, Duration::from_seconds(5)));
  }
  const Duration span = prng.between(Duration::from_seconds(30), Duration::from_seconds(90));
  users_.plan(jobs_, span * 3 / 4);
  faults_on_ = true;
  plan_faults(span);
  run_until(world_.now() + span);
  stop_faults();
  if (!with_rival) {
    rival_->wind_down();
  }

  // Now all must come to rest.
  const Instant limit = world_.now() + Duration::from_seconds(1500);
  std::string why = unconverged();
  while (!why.empty()) {
    if (world_.now() >= limit) {
      violated("no convergence", why);
    }
    run_until(world_.now() + Duration::from_seconds(1));
    why = unconverged();
  }
  users_.check(store_);
  store_.check_finished();
}

Outcome Cluster::outcome() const {
  Outcome outcome;
  outcome.at = world_.now();
  outcome.hash = world_.trace.hash();
  outcome.last_events = world_.trace.lines();
  outcome.steps = world_.steps();
  outcome.frames = network_->frames();
  outcome.jobs = users_.jobs();
  outcome.tasks_execed = truth_.execs();
  outcome.tasks_in_line = truth_.execs_in_line();
  outcome.crashes = crashes_;
  return outcome;
}

Outcome run_seed(std::uint64_t seed, const Options& options) {
  current_seed = seed;
  Cluster cluster(seed, options);
  try {
    cluster.run();
  } catch (const Violation& violation) {
    Outcome outcome = cluster.outcome();
    outcome.invariant = violation.invariant;
    outcome.text = violation.text;
    return outcome;
  }
  Outcome outcome = cluster.outcome();
  outcome.ok = true;
  return outcome;
}

}  // namespace muster::sim

// Goal: whatever happens in whatever order, the books balance, each offer ends once, and each attempt ends once.
// Method: seeded random operations of nodes and frameworks with crashes, losses and time; the fake cluster audits
// after every step, and at the end everything is brought to rest.
#include <random>
#include <set>

#include "master/view/cluster_view.hpp"
#include "tests/master/core/fake_cluster.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

// A node that remembers what it was given, as an agent with a run log would.
struct Worker {
  struct Run {
    AttemptId attempt;
    std::uint64_t framework{};
    TaskState state{};
    Resources shape;
    bool gang{};
    bool go{};
    std::uint64_t seq{};  // of its last update
  };
  FakeNode* node{};
  std::string name;
  std::vector<Run> runs;

  Run* find(const AttemptId& attempt, std::uint64_t framework) {
    for (Run& run : runs) {
      if (run.attempt == attempt && run.framework == framework) {
        return &run;
      }
    }
    return nullptr;
  }
  // Takes in what the master said since.
  void absorb() {
    for (const auto& launch : node->launches) {
      const AttemptId id = from_fb(launch.entry.attempt());
      if (find(id, launch.framework) == nullptr) {
        runs.push_back({id, launch.framework, TaskState::launching, launch.shape, launch.prepare, false, 0});
      }
    }
    node->launches.clear();
    for (const AttemptId& id : node->gos) {
      for (Run& run : runs) {
        if (run.attempt == id && run.gang) {
          run.go = true;
        }
      }
    }
    node->gos.clear();
    for (const AttemptId& id : node->releases) {
      for (Run& run : runs) {
        if (run.attempt == id && !is_terminal(run.state)) {
          end(run, run.state == TaskState::running ? TaskState::killed : TaskState::not_started, TaskReason::released);
        }
      }
    }
    node->releases.clear();
    const auto kills = std::exchange(node->kills, {});
    for (const auto& kill : kills) {
      for (Run& run : runs) {
        if (run.attempt == kill.attempt && !is_terminal(run.state)) {
          end(run, TaskState::killed, kill.reason);
        }
      }
    }
    for (const fb::AckEntry& ack : node->acks) {
      std::erase_if(runs, [&](const Run& run) { return is_terminal(run.state) && run.seq <= ack.seq(); });
    }
    node->acks.clear();
  }
  void end(Run& run, TaskState state, TaskReason reason) {
    run.state = state;
    run.seq = node->next_seq++;
    if (node->state().is_open()) {
      node->update(run.attempt, state, reason, run.seq, run.framework);
    }
  }
  void enroll() {
    std::vector<FakeNode::Report> reports;
    for (const Run& run : runs) {
      reports.push_back({run.attempt, run.framework, run.state, run.shape, run.gang});
    }
    node->enroll({{name, reports}});
    // The outbox: all that is not acknowledged, in order.
    std::vector<Run> outbox;
    std::copy_if(runs.begin(), runs.end(), std::back_inserter(outbox), [](const Run& run) { return run.seq != 0; });
    std::sort(outbox.begin(), outbox.end(), [](const Run& a, const Run& b) { return a.seq < b.seq; });
    for (const Run& run : outbox) {
      if (node->state().is_open()) {
        node->update(run.attempt, run.state, TaskReason::none, run.seq, run.framework);
      }
    }
  }
};

Probe run_seed(std::uint64_t seed, int steps) {
  std::mt19937_64 random(seed);
  const auto pick = [&](std::uint64_t n) { return static_cast<std::size_t>(random() % n); };
  MasterConfig config;
  config.wants_max = 8;
  config.credit_frames = 16;
  FakeCluster cluster(config);
  std::vector<Worker> workers(4);
  for (std::size_t i = 0; i < workers.size(); ++i) {
    workers[i].name = "n" + std::to_string(i);
    workers[i].node = &cluster.node(workers[i].name, res("cpus=4;mem=4G;ports=31000-31009"));
    workers[i].enroll();
  }
  std::vector<FakeFramework*> frameworks;
  std::vector<std::set<AttemptId>> live(3);
  std::vector<std::map<AttemptId, std::string>> where(3);
  for (std::size_t i = 0; i < 3; ++i) {
    frameworks.push_back(&cluster.framework(100 + i, "f" + std::to_string(i)));
    frameworks[i]->role = i == 0 ? "a" : "b";
    frameworks[i]->subscribe();
  }
  FakeOperator& person = cluster.an_operator();
  std::uint64_t next_attempt = 0;
  std::map<std::pair<std::uint64_t, AttemptId>, TaskState> ends;
  std::set<std::pair<std::uint32_t, std::uint32_t>> ended_offers;

  const auto absorb = [&] {
    for (Worker& worker : workers) {
      worker.absorb();
    }
    for (std::size_t i = 0; i < frameworks.size(); ++i) {
      for (const auto& update : std::exchange(frameworks[i]->updates, {})) {
        if (!is_terminal(update.state)) {
          continue;
        }
        const auto [at, fresh] = ends.emplace(std::pair{frameworks[i]->id(), update.attempt}, update.state);
        REQUIRE((fresh || at->second == update.state));
        live[i].erase(update.attempt);
      }
      for (const OfferId id : std::exchange(frameworks[i]->rescinded, {})) {
        REQUIRE(ended_offers.insert({id.slot, id.generation}).second);
      }
    }
  };
  const auto subscribe = [&](std::size_t i) {
    std::vector<std::pair<AttemptId, std::string>> restated;
    for (const AttemptId& id : live[i]) {
      restated.emplace_back(id, where[i][id]);
    }
    frameworks[i]->subscribe(restated);
  };

  for (int step = 0; step < steps; ++step) {
    const std::size_t f = pick(frameworks.size());
    FakeFramework& framework = *frameworks[f];
    Worker& worker = workers[pick(workers.size())];
    const bool f_open = framework.state().is_open() && framework.subscribed;
    switch (pick(16)) {
      case 0:
      case 1:
        if (f_open) {
          std::vector<FakeFramework::Want> wants;
          for (std::size_t k = pick(4); k > 0; --k) {
            Resources piece = res(pick(2) == 0 ? "cpus=1;mem=512M" : "cpus=0.5;mem=1G");
            if (pick(3) == 0) {
              piece.ports = PortSet::parse(pick(2) == 0 ? "31000-31002" : "31002-31005").value();
            }
            wants.push_back({piece, static_cast<std::uint32_t>(1 + pick(6)), pick(3) == 0});
          }
          framework.request(wants);
        }
        break;
      case 2:
      case 3:
      case 4:
      case 5:
        if (f_open && !framework.offers.empty()) {
          std::vector<OfferId> ids;
          std::vector<FakeFramework::Launch> launches;
          const auto offers = framework.offers;
          const auto gang = static_cast<std::uint32_t>(pick(2));
          for (std::size_t k = 0; k <= pick(3) && k < offers.size(); ++k) {
            ids.push_back(offers[k].id);
            Resources take = offers[k].resources;
            if (pick(2) == 0) {
              take = take.cpus_milli >= 500 ? res("cpus=0.5") : Resources{};
            }
            if (pick(20) == 0) {
              take.gpus = 1;  // asks for too much: all is refused
            }
            launches.push_back({attempt(++next_attempt, f + 1), offers[k].node, take, gang});
          }
          const auto accept = framework.accept(ids, launches);
          const bool taken = framework.state().is_open() && !framework.answers.empty() &&
                             framework.answers.back().accept == accept &&
                             framework.answers.back().code == fb::RefusedCode::None;
          for (const auto& launch : launches) {
            if (taken) {
              live[f].insert(launch.attempt);
              where[f][launch.attempt] = workers[launch.node.value()].name;
            }
          }
          for (const OfferId id : ids) {
            if (taken) {
              REQUIRE(ended_offers.insert({id.slot, id.generation}).second);
            }
          }
        }
        break;
      case 6:
        if (f_open && !framework.offers.empty()) {
          const OfferId id = framework.offers[pick(framework.offers.size())].id;
          if (pick(3) == 0) {
            framework.hold({id}, 30'000);
          } else {
            framework.decline({id}, static_cast<std::uint32_t>(pick(3) * 2'000));
            REQUIRE(ended_offers.insert({id.slot, id.generation}).second);
          }
        }
        break;
      case 7:
      case 8:
      case 9:
        worker.absorb();
        if (worker.node->state().is_open() && !worker.runs.empty()) {
          auto& run = worker.runs[pick(worker.runs.size())];
          if (run.state == TaskState::launching && run.gang) {
            run.state = TaskState::prepared;
            worker.node->prepared(run.attempt);
          } else if (run.state == TaskState::launching || (run.state == TaskState::prepared && run.go)) {
            run.state = TaskState::running;
            run.seq = worker.node->next_seq++;
            worker.node->update(run.attempt, TaskState::running, TaskReason::none, run.seq, run.framework);
          } else if (run.state == TaskState::running) {
            worker.end(run, TaskState::finished, TaskReason::none);
          }
        }
        break;
      case 10:
        if (f_open) {
          framework.acknowledge(worker.node->index(), 1 + pick(worker.node->next_seq));
        }
        break;
      case 11:
        if (f_open && !live[f].empty()) {
          const AttemptId id = *std::next(live[f].begin(), static_cast<std::ptrdiff_t>(pick(live[f].size())));
          framework.kill(id, NodeIndex{static_cast<std::uint32_t>(where[f][id].back() - '0')}, pick(3) == 0);
        }
        break;
      case 12:
        if (pick(2) == 0) {
          cluster.lose(*worker.node);
          if (pick(4) != 0) {
            worker.enroll();
          }
        } else {
          cluster.lose(framework);
          if (pick(4) != 0) {
            subscribe(f);
          }
        }
        break;
      case 13:
        if (!worker.node->state().is_open()) {
          worker.enroll();
        }
        if (!framework.state().is_open()) {
          subscribe(f);
        }
        break;
      case 14:
        cluster.advance(Duration::from_ms(static_cast<std::int64_t>(pick(pick(20) == 0 ? 80'000 : 4'000))));
        break;
      default:
        if (pick(4) == 0) {
          fb::DrainNodeT drain;
          drain.node = worker.name;
          drain.undrain = pick(2) == 0;
          person.ask<fb::DrainNode>(drain);
        } else if (f_open && pick(2) == 0) {
          framework.send<fb::Suppress>({});
        } else if (f_open) {
          framework.send<fb::Revive>({});
        }
    }
    absorb();
    // Those whose life the master ended open the next one.
    for (std::size_t i = 0; i < frameworks.size(); ++i) {
      if (!frameworks[i]->outside.empty()) {
        frameworks[i]->outside.clear();
        subscribe(i);
      }
    }
    for (Worker& w : workers) {
      if (!w.node->outside.empty()) {
        w.node->outside.clear();
        w.enroll();
      }
    }
    absorb();
  }

  // Rest: everybody is back, all that runs ends, all is acknowledged.
  for (Worker& worker : workers) {
    worker.absorb();
    if (!worker.node->state().is_open()) {
      worker.enroll();
    }
  }
  for (std::size_t i = 0; i < frameworks.size(); ++i) {
    cluster.lose(*frameworks[i]);
    subscribe(i);
  }
  for (int round = 0; round < 20; ++round) {
    for (Worker& worker : workers) {
      worker.absorb();
      for (auto& run : worker.runs) {
        if (run.state == TaskState::launching || run.state == TaskState::running) {
          worker.end(run, TaskState::finished, TaskReason::none);
        }
      }
      worker.absorb();
      for (FakeFramework* framework : frameworks) {
        framework->acknowledge(worker.node->index(), 1'000'000);
      }
    }
    absorb();
    cluster.advance(Duration::from_seconds(1));
    absorb();
  }
  for (std::size_t i = 0; i < frameworks.size(); ++i) {
    frameworks[i]->request({});
    std::vector<OfferId> open;
    for (const auto& offer : frameworks[i]->offers) {
      open.push_back(offer.id);
    }
    frameworks[i]->decline(open, 0);
    CHECK(live[i].empty());
  }
  for (const auto& row : cluster.core().books()) {
    CHECK(to_string(row.used).empty());
    CHECK(row.offered == Resources{});
    CHECK(row.free == res("cpus=4;mem=4G;ports=31000-31009"));
  }
  return cluster.core().view(cluster.now())->probe;
}

}  // namespace

TEST_CASE("random operations keep the books, end each offer once and each attempt once") {
  // What the seeds together must have met, or they prove nothing.
  std::map<std::string, std::uint64_t> met;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    const Probe probe = run_seed(seed, 600);
    met["launches"] += probe.launches;
    met["refused accepts"] += probe.accepts_refused;
    met["expired offers"] += probe.offers_expired;
    met["rescinded offers"] += probe.offers_rescinded;
    met["held offers"] += probe.offers_held;
    met["repeated updates"] += probe.updates_repeated;
    met["ends"] += probe.tasks_ended;
    met["losses of tasks"] += probe.tasks_lost;
    met["losses of nodes"] += probe.nodes_lost;
    met["kills"] += probe.kills;
    met["gangs started"] += probe.gangs_started;
    met["gangs released"] += probe.gangs_released;
    met["gangs failed"] += probe.gangs_failed;
  }
  for (const auto& [what, times] : met) {
    INFO(what << ": " << times);
    CHECK(times >= 5);
  }
}

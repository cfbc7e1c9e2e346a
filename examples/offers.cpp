// The textbook's example of resource offers on real daemons: one node, two frameworks, every step checked.
//
//   examples/offers.sh       starts a master and node1 (4 cpus, 4096 MB, ports 31000-31010), then runs: offers DIR
#include "examples/offers_stage.hpp"
#include "wire/model/cpu_list.hpp"

using namespace muster;
using namespace muster::client;

namespace {

void play(Stage& stage) {
  Player& one = stage.one;
  Player& two = stage.two;

  step("node1 registers");
  stage.wait("node1", [&] { return one.master.node("node1") != nullptr && two.master.node("node1") != nullptr; });
  say("  <node1, " + show(one.master.node("node1")->capacity) + ">");
  expect(one.master.node("node1")->capacity == res("cpus=4;mem=4096M;ports=31000-31010"), "4 cpus, 4096 MB, 11 ports");

  step("framework 1's request is stored");
  one.master.suppress();  // so that it can be seen before it is served
  one.request(1, "cpus=4;mem=4096M");
  stage.stored(one);

  step("framework 1 is offered the whole of it");
  one.master.revive();
  stage.offered(one, "cpus=4;mem=4096M");

  step("framework 1 launches two tasks on its offer");
  stage.launch(one, {{1, "cpus=2;mem=1024M"}, {2, "cpus=1;mem=2048M"}});
  const auto cpus = need(parse_cpu_list(one.tasks[1].cpus + "," + one.tasks[2].cpus));  // each once
  expect(cpus.size() == 3 && need(parse_cpu_list(one.tasks[2].cpus)).size() == 1, "2 cpus and 1 other");

  step("framework 2 asks for more than is left, and is offered exactly what is left");
  two.request(4, "cpus=0.5;mem=512M");
  stage.offered(two, "cpus=1;mem=1024M");

  step("framework 2 declines for 5 s; framework 1, which waits for it, gets it at once");
  one.request(1, "cpus=1;mem=1024M");
  stage.stored(one);
  const Instant declined = now().mono;
  two.decline(Duration::from_seconds(5));
  expect(stage.offered(one, "cpus=1;mem=1024M") < Duration::from_seconds(2) && two.offers.empty(), "it at once, for 1 alone");

  step("framework 1 gives it back: free for all, but not for framework 2 before its 5 s are over");
  one.master.request({});
  one.decline({});
  stage.offered(two, "cpus=1;mem=1024M");
  const Duration filtered = now().mono - declined;
  say("  that is " + std::to_string(filtered.ms()) + " ms after it declined");
  expect(filtered >= Duration::from_seconds(5) && filtered < Duration::from_seconds(7), "5 s between");

  step("task 1 ends; what it had is offered with what was left");
  two.request(4, "cpus=1.5;mem=1024M");
  two.decline({});
  stage.stored(two);  // 1 cpu is free: too little
  stage.end(one, 1);
  stage.offered(two, "cpus=3;mem=2048M");

  step("two accepts of overlapping ports: the second is refused by name");
  two.request(1, "cpus=1;mem=256M;ports=31000-31004");
  two.decline({});
  stage.offered(two, "cpus=1;mem=256M;ports=31000-31004");
  one.request(1, "cpus=1;mem=256M;ports=31005-31010");
  stage.offered(one, "cpus=1;mem=256M;ports=31005-31010");
  stage.launch(two, {{3, "cpus=1;mem=256M;ports=31000-31004"}});
  stage.launch(one, {{4, "cpus=1;mem=256M;ports=31004-31008"}}, "ports 31004 of node node1");
  say("  nothing has changed and its offer is still open: once more, without port 31004");
  stage.launch(one, {{5, "cpus=1;mem=256M;ports=31005-31008"}});

  step("all tasks end; the node is whole again");
  stage.end(one, 2);
  stage.end(two, 3);
  stage.end(one, 5);
  one.request(1, "cpus=4;mem=4096M;ports=31000-31010");
  stage.offered(one, "cpus=4;mem=4096M;ports=31000-31010");
  say("\nall " + std::to_string(step_number) + " steps as expected");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: offers DIR   (the folder of a running master; examples/offers.sh starts one)\n");
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Stage stage{argv[1]};
  play(stage);
}

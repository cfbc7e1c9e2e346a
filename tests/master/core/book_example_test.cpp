// Goal: the textbook's example of resource offers happens to the unit, and happening often changes nothing.
// Method: one node and two frameworks of frames; after every step the books must balance.
#include "tests/master/core/fake_cluster.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

// Node 1 with 4 cpus and 4096 MB; what two frameworks make of it. `round` keeps attempts apart.
void run_example(FakeCluster& cluster, FakeNode& node, FakeFramework& one, FakeFramework& two, std::uint64_t round) {
  const AttemptId task1 = attempt(1, round);
  const AttemptId task2 = attempt(2, round);
  const AttemptId task3 = attempt(3, round);

  one.request({{res("cpus=1;mem=1024"), 1, true}});
  REQUIRE(one.offers.size() == 1);
  CHECK(one.offers[0].node == node.index());
  REQUIRE(one.offers[0].resources == res("cpus=4;mem=4096"));

  two.request({{res("cpus=1;mem=1024"), 1, true}});
  REQUIRE(two.offers.empty());

  const auto accepted = one.accept({one.offers[0].id}, {{task1, node.index(), res("cpus=2;mem=1024")},
                                                        {task2, node.index(), res("cpus=1;mem=2048")}});
  REQUIRE(one.answer(accepted).code == fb::RefusedCode::None);
  REQUIRE(node.launch_of(task1) != nullptr);
  REQUIRE(node.launch_of(task2) != nullptr);
  CHECK(node.launch_of(task1)->shape == res("cpus=2;mem=1024"));
  CHECK(node.launch_of(task1)->name == "job of one");
  node.update(task1, TaskState::running);
  node.update(task2, TaskState::running);
  CHECK(one.updates_of(task1).back().state == TaskState::running);
  CHECK(one.updates_of(task2).back().state == TaskState::running);
  CHECK(cluster.books("node1").used == res("cpus=3;mem=3072"));

  // The next offer of node 1 is exactly what is left, and framework 2 gets it.
  REQUIRE(two.offers.size() == 1);
  REQUIRE(two.offers[0].resources == res("cpus=1;mem=1024"));

  // When task 1 ends, 3 cpus and 2048 MB can follow.
  two.request({});
  two.decline({two.offers[0].id}, 0);
  node.update(task1, TaskState::finished);
  CHECK(one.updates_of(task1).back().state == TaskState::finished);
  two.request({{res("cpus=3;mem=2048"), 1}});
  REQUIRE(two.offers.size() == 1);
  REQUIRE(two.offers[0].resources == res("cpus=3;mem=2048"));
  const auto third = two.accept({two.offers[0].id}, {{task3, node.index(), res("cpus=3;mem=2048")}});
  REQUIRE(two.answer(third).code == fb::RefusedCode::None);
  CHECK(cluster.books("node1").free == Resources{});

  node.update(task3, TaskState::running);
  node.update(task3, TaskState::finished);
  node.update(task2, TaskState::finished);
  one.acknowledge(node.index(), node.next_seq - 1);
  two.acknowledge(node.index(), node.next_seq - 1);
  CHECK(cluster.books("node1").free == res("cpus=4;mem=4096"));
}

}  // namespace

TEST_CASE("the book's example of offers comes out exactly, 10,000 times over") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("node1", res("cpus=4;mem=4096"));
  FakeFramework& one = cluster.framework(11, "one");
  FakeFramework& two = cluster.framework(12, "two");
  node.enroll();
  one.subscribe();
  two.subscribe();
  cluster.settle();
  for (std::uint64_t round = 1; round <= 10'000; ++round) {
    cluster.auditing = round <= 100 || round > 9'900;  // walks all tables
    run_example(cluster, node, one, two, round);
    node.launches.clear();
    one.answers.clear();
    two.answers.clear();
    one.updates.clear();
    two.updates.clear();
  }
  CHECK(cluster.books("node1").used == Resources{});
  CHECK(cluster.books("node1").offered == Resources{});
  const auto status = cluster.an_operator().query(fb::Subject::Status);
  CHECK(status.tasks_total == 0);
  CHECK(status.offers_total == 0);
}

TEST_CASE("a decline with a filter keeps the node from that framework for its time, and from no other") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("node1", res("cpus=4;mem=4096"));
  FakeFramework& one = cluster.framework(11, "one");
  FakeFramework& two = cluster.framework(12, "two");
  node.enroll();
  one.subscribe();
  two.subscribe();
  cluster.settle();
  one.request({{res("cpus=4"), 1}});
  two.request({{res("cpus=4"), 1}});
  REQUIRE(one.offers.size() == 1);
  REQUIRE(two.offers.empty());
  one.decline({one.offers[0].id}, 5000);
  REQUIRE(two.offers.size() == 1);  // at once
  two.decline({two.offers[0].id}, 60'000);
  CHECK(one.offers.empty());
  cluster.advance(Duration::from_ms(4999));
  CHECK(one.offers.empty());
  CHECK(two.offers.empty());
  cluster.advance(Duration::from_ms(2));
  CHECK(one.offers.size() == 1);
  CHECK(two.offers.empty());
}

TEST_CASE("revive drops the filters of the framework") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("node1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe({}, {{res("cpus=1"), 4}});
  cluster.settle();
  REQUIRE(one.offers.size() == 1);
  CHECK(one.offers[0].resources == res("cpus=4"));
  one.send<fb::Suppress>({});
  one.decline({one.offers[0].id}, 3'600'000);
  cluster.advance(Duration::from_seconds(20));
  CHECK(one.offers.empty());
  one.send<fb::Revive>({});
  CHECK(one.offers.size() == 1);
}

TEST_CASE("offers are cut to the request: pieces beyond what is open, on the named nodes") {
  FakeCluster cluster;
  FakeNode& a = cluster.node("a", res("cpus=4;mem=8G"));
  FakeNode& b = cluster.node("b", res("cpus=4;mem=8G"));
  FakeFramework& one = cluster.framework(11, "one");
  a.enroll();
  b.enroll();
  one.subscribe();
  cluster.settle();
  one.request({{res("cpus=1;mem=1G"), 6}});
  REQUIRE(one.offers.size() == 2);
  CHECK(one.offers[0].resources == res("cpus=4;mem=4G"));
  CHECK(one.offers[1].resources == res("cpus=2;mem=2G"));
  CHECK(one.offers[0].node != one.offers[1].node);
  // A new request comes on top of what is open.
  one.request({{res("cpus=1;mem=1G"), 1, false, {b.index().value()}}});
  REQUIRE(one.offers.size() == 3);
  CHECK(one.offers[2].node == b.index());
  CHECK(one.offers[2].resources == res("cpus=1;mem=1G"));
}

TEST_CASE("what never asked is offered nothing, and 65 shapes are too many") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("node1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  cluster.advance(Duration::from_seconds(30));
  CHECK(one.offers_seen == 0);
  one.request(std::vector<FakeFramework::Want>(65, {res("cpus=1"), 1}));
  REQUIRE(one.inside.size() == 1);
  CHECK(one.inside[0].code == fb::RefusedCode::BadRequest);
  CHECK(one.inside[0].subject == "wants");
  CHECK(one.offers_seen == 0);
  one.request({{Resources{}, 1}});
  CHECK(one.inside.back().code == fb::RefusedCode::BadRequest);
}

TEST_CASE("an offer's lease ends, hold makes it longer, and each way it ends once") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("node1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  one.request({{res("cpus=2"), 2}});
  REQUIRE(one.offers.size() == 1);
  const OfferId first = one.offers[0].id;
  one.send<fb::Suppress>({});  // so that no new one follows
  cluster.advance(Duration::from_ms(9'999));
  CHECK(one.rescinded.empty());
  cluster.advance(Duration::from_ms(2));
  CHECK(one.rescinded == std::vector<OfferId>{first});
  CHECK(cluster.books("node1").free == res("cpus=4"));

  one.send<fb::Revive>({});
  REQUIRE(one.offers.size() == 1);
  const OfferId second = one.offers[0].id;
  one.hold({second}, 60'000);
  one.send<fb::Suppress>({});
  cluster.advance(Duration::from_seconds(59));
  CHECK(one.rescinded.size() == 1);
  cluster.advance(Duration::from_seconds(2));
  CHECK(one.rescinded == std::vector<OfferId>{first, second});

  // A place that is used again does not bring old ids back to life.
  one.send<fb::Revive>({});
  REQUIRE(one.offers.size() == 1);
  CHECK(one.offers[0].id.slot == second.slot);
  CHECK(one.offers[0].id.generation != second.generation);
  const auto late = one.accept({second}, {{attempt(9), node.index(), res("cpus=1")}});
  CHECK(one.answer(late).code == fb::RefusedCode::OfferGone);
  REQUIRE(one.answer(late).gone.size() == 1);
  CHECK(from_fb(one.answer(late).gone[0]) == second);
  one.hold({second}, 1000);
  CHECK(one.inside.back().code == fb::RefusedCode::OfferGone);
  CHECK(node.launches.empty());
}

TEST_CASE("a hold lasts no longer than the master allows") {
  MasterConfig config;
  config.hold_lease_max = Duration::from_seconds(20);
  FakeCluster cluster(config);
  FakeNode& node = cluster.node("node1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe({}, {{res("cpus=4"), 1}});
  cluster.settle();
  one.hold({one.offers[0].id}, 1'000'000);
  one.send<fb::Suppress>({});
  cluster.advance(Duration::from_ms(20'001));
  CHECK(one.rescinded.size() == 1);
}

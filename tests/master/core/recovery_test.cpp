// Goal: what a crash, a lost link or a silent node leaves behind is found out and told once, and never guessed.
// Method: lives of links end at chosen moments; nodes restate what runs; frameworks ask.
#include "tests/master/core/fake_cluster.hpp"
#include "master/view/cluster_view.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

struct Scene {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  explicit Scene(const MasterDefects& defects = {}) : cluster(MasterConfig{}, 1, defects) {
    node.enroll();
    one.subscribe({}, {{res("cpus=1"), 1}});
    cluster.settle();
  }
  void launch(std::uint64_t id) {
    REQUIRE(one.offers.size() == 1);
    const auto taken = one.accept({one.offers[0].id}, {{attempt(id), node.index(), res("cpus=1")}});
    REQUIRE(one.answer(taken).code == fb::RefusedCode::None);
  }
  FakeNode::Report report(std::uint64_t id, TaskState state) {
    return {attempt(id), 11, state, res("cpus=1"), false};
  }
};

}  // namespace

TEST_CASE("a launch that its node does not report is sent again, one that it knows is not") {
  Scene s;
  s.launch(1);
  s.cluster.lose(s.node);
  s.node.launches.clear();
  s.node.enroll();
  REQUIRE(s.node.launches.size() == 1);
  CHECK(s.node.launches[0].name == "job of one");
  s.cluster.lose(s.node);
  s.node.launches.clear();
  s.node.enroll({{"n1", {s.report(1, TaskState::launching)}}});
  CHECK(s.node.launches.empty());
  CHECK(s.cluster.books("n1").used == res("cpus=1"));
}

TEST_CASE("a launch that may have run before a reboot is lost, one that never left is sent") {
  SECTION("it had been sent") {
    Scene s;
    s.launch(1);
    s.cluster.lose(s.node);
    s.node.launches.clear();
    s.node.boot_id = "boot-2";
    s.node.enroll();
    CHECK(s.node.launches.empty());
    REQUIRE(s.one.updates_of(attempt(1)).size() == 1);
    CHECK(s.one.updates_of(attempt(1))[0].state == TaskState::lost);
    CHECK(s.one.updates_of(attempt(1))[0].reason == TaskReason::node_rebooted);
    CHECK(s.cluster.books("n1").used == Resources{});
  }
  SECTION("it had not") {
    Scene s;
    s.cluster.lose(s.node);
    s.launch(1);
    s.node.boot_id = "boot-2";
    s.node.enroll();
    CHECK(s.node.launches.size() == 1);
    CHECK(s.one.updates.empty());
  }
}

TEST_CASE("updates are forwarded in order, kept until acknowledged, and repeated ones change nothing") {
  Scene s;
  s.launch(1);
  s.node.update(attempt(1), TaskState::running);
  s.node.update(attempt(1), TaskState::finished);
  REQUIRE(s.one.updates_of(attempt(1)).size() == 2);
  CHECK(s.one.updates_of(attempt(1))[1].seq == 2);
  CHECK(s.cluster.books("n1").used == Resources{});
  s.node.update(attempt(1), TaskState::finished, TaskReason::none, 2);
  CHECK(s.one.updates_of(attempt(1)).size() == 2);
  CHECK(s.node.acks.empty());

  // A new life of the framework gets it again; the running one is held in the later one.
  s.cluster.lose(s.one);
  s.one.updates.clear();
  s.one.subscribe({{attempt(1), "n1"}});
  REQUIRE(s.one.updates_of(attempt(1)).size() == 1);
  CHECK(s.one.updates_of(attempt(1))[0].seq == 2);
  CHECK(s.one.updates_of(attempt(1))[0].state == TaskState::finished);

  s.one.acknowledge(s.node.index(), 2);
  REQUIRE(s.node.acks.size() == 1);
  CHECK(s.node.acks[0].seq() == 2);
  CHECK(s.cluster.an_operator().query(fb::Subject::Tasks).tasks.empty());
  // Below what is acknowledged: the node is told at once, nobody else.
  s.node.update(attempt(1), TaskState::finished, TaskReason::none, 2);
  CHECK(s.node.acks.size() == 2);
  CHECK(s.one.updates_of(attempt(1)).size() == 1);
}

TEST_CASE("an acknowledgement of what was not yet said counts only as far as was said") {
  Scene s;
  s.launch(1);
  s.node.update(attempt(1), TaskState::running);
  s.one.acknowledge(s.node.index(), 1'000);
  s.node.update(attempt(1), TaskState::finished);
  CHECK(s.one.updates_of(attempt(1)).back().state == TaskState::finished);
  CHECK(s.cluster.an_operator().query(fb::Subject::Tasks).tasks.size() == 1);
}

TEST_CASE("after a restart running tasks are booked as they are, before anything is offered") {
  Scene s;
  s.launch(1);
  s.node.update(attempt(1), TaskState::running);
  s.cluster.restart(2);
  s.node.enroll({{"n1", {s.report(1, TaskState::running), s.report(2, TaskState::finished)}}});
  CHECK(s.cluster.books("n1").used == res("cpus=1"));
  CHECK_FALSE(s.cluster.core().settled());
  s.one.updates.clear();
  const auto seen = s.one.offers_seen;
  s.one.subscribe({{attempt(1), "n1"}, {attempt(2), "n1"}, {attempt(3), "n1"}}, {{res("cpus=4"), 1}, {res("cpus=1"), 9}});
  // 1 runs; 2 has ended and its update is on the way; 3 never reached the node.
  REQUIRE(s.one.updates_of(attempt(1)).size() == 1);
  CHECK(s.one.updates_of(attempt(1))[0].state == TaskState::running);
  CHECK(s.one.updates_of(attempt(1))[0].seq == 0);
  CHECK(s.one.updates_of(attempt(2)).empty());
  REQUIRE(s.one.updates_of(attempt(3)).size() == 1);
  CHECK(s.one.updates_of(attempt(3))[0].state == TaskState::not_started);
  CHECK(s.one.updates_of(attempt(3))[0].reason == TaskReason::never_seen);
  s.node.update(attempt(2), TaskState::finished, TaskReason::none, 7, 11);
  REQUIRE(s.one.updates_of(attempt(2)).size() == 1);
  CHECK(s.one.updates_of(attempt(2))[0].seq == 7);
  // The only framework that nodes named is back: the master has settled, and offers what is free.
  CHECK(s.cluster.core().settled());
  CHECK(s.one.offers_seen == seen + 1);
  CHECK(s.one.offers.back().resources == res("cpus=3"));
}

// Goal: that a node does not know an attempt proves that it never ran only if the node has not rebooted since.
// Method: a new master is asked about attempts meant for this boot and for an earlier one, before and after the node
// has registered, and by a Kill.
TEST_CASE("of an attempt meant for an earlier boot of its node nobody says that it never ran") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.boot = 2;
  one.live_boot = 1;
  one.subscribe({{attempt(1), "n1"}});
  CHECK(one.updates.empty());
  node.enroll();
  REQUIRE(one.updates_of(attempt(1)).size() == 1);
  CHECK(one.updates_of(attempt(1))[0].state == TaskState::lost);
  CHECK(one.updates_of(attempt(1))[0].reason == TaskReason::node_rebooted);
  one.subscribe({{attempt(2), "n1"}});
  REQUIRE(one.updates_of(attempt(2)).size() == 1);
  CHECK(one.updates_of(attempt(2))[0].state == TaskState::lost);
  one.live_boot = 2;
  one.subscribe({{attempt(3), "n1"}});
  REQUIRE(one.updates_of(attempt(3)).size() == 1);
  CHECK(one.updates_of(attempt(3))[0].reason == TaskReason::never_seen);
  one.live_boot = 1;
  one.kill(attempt(4), node.index());
  REQUIRE(one.updates_of(attempt(4)).size() == 1);
  CHECK(one.updates_of(attempt(4))[0].reason == TaskReason::node_rebooted);
}

// Goal: a prepared member that a new master found, and that a power cut then wiped out, may have run: its Go may have
// left under the master before.
TEST_CASE("a prepared member of an earlier epoch that a reboot wiped out is lost") {
  Scene s;
  s.cluster.restart(2);
  FakeNode::Report member = s.report(1, TaskState::prepared);
  member.gang = true;
  s.node.enroll({{"n1", {member}}});
  s.one.subscribe();
  s.one.updates.clear();
  s.cluster.lose(s.node);
  s.node.boot_id = "boot-2";
  s.node.enroll();
  REQUIRE(s.one.updates_of(attempt(1)).size() == 1);
  CHECK(s.one.updates_of(attempt(1))[0].state == TaskState::lost);
  CHECK(s.one.updates_of(attempt(1))[0].reason == TaskReason::node_rebooted);
}

// Goal: who waits for the update of an end that a node has named is answered although a power cut takes the end.
// Method: found by sim power/2181: the node reboots between its report and its update, and has forgotten the attempt.
TEST_CASE("an end that a node named and then lost in a power cut is answered as lost") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.boot = 2;
  one.live_boot = 1;
  one.subscribe({{attempt(1), "n1"}});
  FakeNode::Report ended;
  ended.framework = 11;
  ended.attempt = attempt(1);
  ended.state = TaskState::lost;
  node.enroll({{"n1", {ended}}});
  CHECK(one.updates_of(attempt(1)).empty());
  cluster.lose(node);
  node.boot = 3;
  node.boot_id = "boot-3";
  node.enroll();
  REQUIRE(one.updates_of(attempt(1)).size() == 1);
  CHECK(one.updates_of(attempt(1))[0].state == TaskState::lost);
  CHECK(one.updates_of(attempt(1))[0].reason == TaskReason::node_rebooted);
}

// Goal: a link whose nodes are all lost in the moment that their silence is noticed is closed once.
// Method: found by fuzz_master under AddressSanitizer: the clock jumps beyond silence and fence at once.
TEST_CASE("a silence that is noticed after the fence loses all nodes of the link") {
  FakeCluster cluster;
  FakeNode& rack = cluster.nodes({"r1", "r2", "r3"}, res("cpus=2"));
  FakeFramework& one = cluster.framework(11, "one");
  rack.enroll();
  one.subscribe();
  cluster.settle();
  rack.beating = false;
  cluster.jump(Duration::from_seconds(200));
  one.beat();  // its own link was silent as long
  CHECK(one.lost.size() == 3);
}

TEST_CASE("nothing is offered before the master has settled") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe({}, {{res("cpus=1"), 1}});
  CHECK_FALSE(one.settled);
  cluster.advance(Duration::from_ms(1'900));
  CHECK(one.offers_seen == 0);
  cluster.advance(Duration::from_ms(200));
  CHECK(one.offers_seen == 1);
}

TEST_CASE("a question about a node that was not heard yet waits for the node, or for the fence") {
  FakeCluster cluster;
  FakeFramework& one = cluster.framework(11, "one");
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  one.subscribe({{attempt(1), "n1"}, {attempt(2), "n2"}});
  cluster.advance(Duration::from_seconds(10));
  CHECK(one.updates.empty());
  node.enroll();
  REQUIRE(one.updates.size() == 1);
  CHECK(one.updates[0].attempt == attempt(1));
  CHECK(one.updates[0].reason == TaskReason::never_seen);
  cluster.advance(Duration::from_seconds(59));
  CHECK(one.updates.size() == 1);
  cluster.advance(Duration::from_seconds(2));
  REQUIRE(one.updates.size() == 2);
  CHECK(one.updates[1].attempt == attempt(2));
  CHECK(one.updates[1].state == TaskState::lost);
  CHECK(one.updates[1].reason == TaskReason::node_lost);
  // From now on the answer is at once.
  one.reconcile(attempt(3), "n3");
  REQUIRE(one.updates.size() == 3);
  CHECK(one.updates[2].state == TaskState::lost);
}

TEST_CASE("a silent node gives up its offers after 5 s and is lost after the fence, its return is dealt with") {
  Scene s;
  s.launch(1);
  s.node.update(attempt(1), TaskState::running);
  s.one.request({{res("cpus=1"), 1}});
  REQUIRE(s.one.offers.size() == 1);
  s.node.beating = false;
  s.cluster.advance(Duration::from_ms(4'000));
  CHECK(s.one.rescinded.empty());
  s.cluster.advance(Duration::from_ms(2'000));
  CHECK(s.one.rescinded.size() == 1);
  CHECK(s.cluster.books("n1").used == res("cpus=1"));
  s.cluster.advance(Duration::from_seconds(63));
  CHECK(s.one.lost.empty());
  s.cluster.advance(Duration::from_seconds(3));
  REQUIRE(s.one.lost.size() == 1);
  CHECK(s.one.updates_of(attempt(1)).back().state == TaskState::lost);
  CHECK(s.one.updates_of(attempt(1)).back().seq == 0);
  CHECK(s.one.node_states[s.node.index().value()] == fb::NodeState::Lost);
  CHECK(s.cluster.books("n1").used == Resources{});

  // What still comes on its old life is told to register.
  s.node.beat();
  REQUIRE(s.node.outside.size() == 1);
  CHECK(s.node.outside[0].code == fb::RefusedCode::NotRegistered);
  s.node.beating = true;
  s.node.enroll({{"n1", {s.report(1, TaskState::running)}}});
  CHECK(s.cluster.books("n1").used == res("cpus=1"));
  REQUIRE(s.node.kills.size() == 1);
  CHECK(s.node.kills[0].attempt == attempt(1));
  const auto told = s.one.updates_of(attempt(1)).size();
  s.node.update(attempt(1), TaskState::killed);
  CHECK(s.one.updates_of(attempt(1)).size() == told);  // one end per attempt
  CHECK(s.cluster.books("n1").used == Resources{});
  REQUIRE(s.node.acks.size() >= 1);
  CHECK(s.node.acks.back().seq() == 2);
  // Asked again, it is still lost, not "never seen".
  s.one.reconcile(attempt(1), "n1");
  CHECK(s.one.updates_of(attempt(1)).back().state == TaskState::lost);
  s.cluster.lose(s.one);
  s.one.subscribe({{attempt(1), "n1"}});
  CHECK(s.one.updates_of(attempt(1)).back().state == TaskState::lost);
  // On its record: forgotten.
  s.cluster.lose(s.one);
  s.one.subscribe();
  CHECK(s.cluster.an_operator().query(fb::Subject::Tasks).tasks.empty());
}

TEST_CASE("a kill is repeated until its end is reported, a signal is not") {
  Scene s;
  s.launch(1);
  s.node.update(attempt(1), TaskState::running);
  s.one.kill(attempt(1), s.node.index(), true);
  REQUIRE(s.node.kills.size() == 1);
  CHECK(s.node.kills[0].only_signal);
  CHECK(s.node.kills[0].signal == 10);
  s.one.kill(attempt(1), s.node.index());
  REQUIRE(s.node.kills.size() == 2);
  CHECK_FALSE(s.node.kills[1].only_signal);
  s.cluster.lose(s.node);
  s.node.enroll({{"n1", {s.report(1, TaskState::running)}}});
  REQUIRE(s.node.kills.size() == 3);
  CHECK_FALSE(s.node.kills[2].only_signal);
  s.node.update(attempt(1), TaskState::killed, TaskReason::kill_requested);
  s.cluster.lose(s.node);
  s.node.enroll({{"n1", {s.report(1, TaskState::killed)}}});
  CHECK(s.node.kills.size() == 3);
  // One that the master does not have: as a question about it.
  s.one.kill(attempt(77), s.node.index());
  CHECK(s.one.updates_of(attempt(77)).back().reason == TaskReason::never_seen);
  s.one.kill(attempt(78), NodeIndex{9});
  CHECK(s.one.inside.back().code == fb::RefusedCode::UnknownNode);
}

TEST_CASE("a node may report only on tasks that it was given") {
  Scene s;
  s.launch(1);
  FakeNode& other = s.cluster.node("n2", res("cpus=1"));
  other.enroll();
  other.update(attempt(1), TaskState::finished, TaskReason::none, 1, 11);
  other.update(attempt(50), TaskState::finished, TaskReason::none, 2, 11);
  CHECK(s.one.updates.empty());
  CHECK(s.cluster.books("n1").used == res("cpus=1"));
  CHECK(s.cluster.core().view(s.cluster.now())->probe.updates_foreign == 2);
  CHECK(other.acks.back().seq() == 2);  // so that its outbox does not fill
}

TEST_CASE("a new life of a framework starts without offers, and its old ones are gone") {
  Scene s;
  const OfferId old = s.one.offers.at(0).id;
  s.cluster.lose(s.one);
  s.one.subscribe();
  CHECK(s.cluster.books("n1").offered == Resources{});
  const auto late = s.one.accept({old}, {{attempt(1), s.node.index(), res("cpus=1")}});
  CHECK(s.one.answer(late).code == fb::RefusedCode::OfferGone);
}

TEST_CASE("a silent framework loses its offers after 5 s and, beyond its failover timeout, its tasks") {
  Scene s;
  s.one.failover_ms = 30'000;
  s.cluster.lose(s.one);
  s.one.subscribe({}, {{res("cpus=1"), 2}});
  REQUIRE(s.one.offers.size() == 1);
  const auto offer = s.one.offers[0];
  (void)s.one.accept({offer.id}, {{attempt(1), s.node.index(), res("cpus=1")}});
  s.node.update(attempt(1), TaskState::running);
  s.one.request({{res("cpus=1"), 1}});
  CHECK(s.cluster.books("n1").offered == res("cpus=1"));
  s.one.beating = false;
  s.cluster.advance(Duration::from_seconds(6));
  CHECK(s.cluster.books("n1").offered == Resources{});
  CHECK(s.node.kills.empty());
  s.cluster.advance(Duration::from_seconds(26));
  REQUIRE(s.node.kills.size() == 1);
  s.node.update(attempt(1), TaskState::killed);
  CHECK(s.node.acks.back().seq() == 2);  // nobody else will
  CHECK(s.cluster.an_operator().query(fb::Subject::Tasks).tasks.empty());
  // It has left: lists leave it out until it comes back.
  CHECK(s.cluster.an_operator().query(fb::Subject::Frameworks).frameworks.empty());
  CHECK(s.cluster.an_operator().query(fb::Subject::Frameworks).frameworks_total == 0);
  s.cluster.lose(s.one);
  s.one.subscribe();
  CHECK(s.cluster.an_operator().query(fb::Subject::Frameworks).frameworks.size() == 1);
}

TEST_CASE("a node that comes back smaller keeps what runs and offers nothing beyond its new size") {
  Scene s;
  s.launch(1);
  s.one.request({{res("cpus=3"), 1}});
  (void)s.one.accept({s.one.offers.at(0).id}, {{attempt(2), s.node.index(), res("cpus=3")}});
  s.cluster.restart(2);
  FakeNode& small = s.cluster.node("n1", res("cpus=2"));
  small.incarnation = 100;
  small.enroll({{"n1", {{attempt(1), 11, TaskState::running, res("cpus=1"), false},
                        {attempt(2), 11, TaskState::running, res("cpus=3"), false}}}});
  CHECK(s.cluster.books("n1").used == res("cpus=4"));
  CHECK(s.cluster.books("n1").free == Resources{});
  small.update(attempt(1), TaskState::finished, TaskReason::none, 0, 11);
  CHECK(s.cluster.books("n1").free == Resources{});
  small.update(attempt(2), TaskState::finished, TaskReason::none, 0, 11);
  CHECK(s.cluster.books("n1").free == res("cpus=2"));
  CHECK(s.cluster.books("n1").capacity == res("cpus=2"));
}

TEST_CASE("a node's own word of its drain holds, unless an operator spoke to this master") {
  Scene s;
  s.node.drained = true;
  s.cluster.lose(s.node);
  s.node.enroll();
  CHECK(s.one.node_states[s.node.index().value()] == fb::NodeState::Draining);
  fb::DrainNodeT undrain;
  undrain.node = "n1";
  undrain.undrain = true;
  s.cluster.an_operator().ask<fb::DrainNode>(undrain);
  CHECK(s.node.drains.size() == 1);
  s.cluster.lose(s.node);
  s.node.enroll();  // it has not kept it
  CHECK(s.one.node_states[s.node.index().value()] == fb::NodeState::Up);
  CHECK(s.node.drains.size() == 2);
}

TEST_CASE("the view shows the tables, and unchanged chunks are shared with the one before") {
  Scene s;
  s.launch(1);
  const auto first = s.cluster.core().view(s.cluster.now());
  CHECK(first->nodes.size() == 1);
  CHECK(first->frameworks.size() == 1);
  REQUIRE(first->tasks.size() == 1);
  CHECK(first->tasks.chunks()[0]->at(0).name == "job of one");
  CHECK(first->tasks.chunks()[0]->at(0).node_name == "n1");
  CHECK(first->used.cpus_milli == 1000);
  CHECK(first->capacity.cpus_milli == 4000);
  CHECK(first->settled);
  const auto second = s.cluster.core().view(s.cluster.now());
  CHECK(second->serial == first->serial + 1);
  CHECK(second->tasks.chunks()[0] == first->tasks.chunks()[0]);
  CHECK(second->nodes.chunks()[0] == first->nodes.chunks()[0]);
  s.node.update(attempt(1), TaskState::finished);
  s.one.acknowledge(s.node.index(), 1);
  const auto third = s.cluster.core().view(s.cluster.now());
  CHECK(third->tasks.empty());
  CHECK(third->used.cpus_milli == 0);
  CHECK(first->tasks.size() == 1);  // what was handed out stays as it was
}

// Goal: a slot is handed from a task to the next in its line without ever being free, and can be taken back.
// Method: a cluster of frames whose books are audited after every step; nodes say when what ends.
#include "tests/master/core/fake_cluster.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

// One node of 4 cpus; `one` runs attempt 1 on 2 of them, the rest is free.
struct Scene {
  FakeCluster cluster;
  FakeNode& n = cluster.node("n1", res("cpus=4;mem=4G"));
  FakeNode& m = cluster.node("n2", res("cpus=4;mem=4G"));
  FakeFramework& one = cluster.framework(11, "one");
  FakeFramework& two = cluster.framework(12, "two");
  const Resources slot = res("cpus=2;mem=1G");
  const AttemptId a = attempt(1), b = attempt(2), c = attempt(3);

  Scene() {
    two.role = "others";
    n.enroll();
    m.enroll();
    one.subscribe();
    two.subscribe();
    cluster.settle();
    one.request({{slot, 1, false, {n.index().value()}}});
    REQUIRE(one.offers.size() == 1);
    one.request({});
    const auto number = one.accept({one.offers.at(0).id}, {{a, n.index(), slot}});
    REQUIRE(one.answer(number).code == fb::RefusedCode::None);
    n.update(a, TaskState::running);
  }
  fb::AcceptedT follow(const AttemptId& attempt, const AttemptId& after) {
    return one.answer(one.accept({}, {{attempt, n.index(), slot, 0, after}}));
  }
  // The state that the framework heard last of it.
  FakeFramework::TaskUpdate last(const AttemptId& attempt) {
    const auto updates = one.updates_of(attempt);
    REQUIRE_FALSE(updates.empty());
    return updates.back();
  }
  Resources used() { return cluster.books("n1").used; }
};

}  // namespace

TEST_CASE("a successor takes over exactly what its predecessor held, in the same step") {
  Scene s;
  REQUIRE(s.follow(s.b, s.a).code == fb::RefusedCode::None);
  REQUIRE(s.n.launch_of(s.b) != nullptr);
  CHECK(s.n.launch_of(s.b)->after == s.a);
  CHECK(s.used() == s.slot);
  // Somebody who wants any slot gets none of this one.
  const auto seen = s.two.offers_seen;
  s.n.update(s.a, TaskState::finished);
  CHECK(s.used() == s.slot);
  CHECK(s.two.offers_seen == seen);
  s.one.reconcile(s.b, "n1");
  CHECK(s.last(s.b).state == TaskState::launching);
  s.n.update(s.b, TaskState::running);
  CHECK(s.last(s.b).state == TaskState::running);
  CHECK(s.used() == s.slot);
  s.n.update(s.b, TaskState::finished);
  CHECK(s.used().is_zero());
}

TEST_CASE("a whole line is launched in one accept, together with its first") {
  Scene s;
  s.one.request({{s.slot, 1, false, {s.n.index().value()}}});
  const AttemptId x = attempt(10), y = attempt(11), z = attempt(12);
  const auto number = s.one.accept({s.one.offers.at(0).id}, {{x, s.n.index(), s.slot},
                                                             {y, s.n.index(), s.slot, 0, x},
                                                             {z, s.n.index(), s.slot, 0, y}});
  REQUIRE(s.one.answer(number).code == fb::RefusedCode::None);
  CHECK(s.used() == s.slot + s.slot);
  REQUIRE(s.n.launch_of(z) != nullptr);
  CHECK(s.n.launch_of(x)->after == AttemptId{});
  CHECK(s.n.launch_of(z)->after == y);
  for (const AttemptId& id : {x, y, z}) {
    s.n.update(id, TaskState::running);
    s.n.update(id, TaskState::finished);
  }
  CHECK(s.used() == s.slot);
}

TEST_CASE("a queued task is restated as queued and holds nothing") {
  Scene s;
  (void)s.follow(s.b, s.a);
  s.one.reconcile(s.b, "n1");
  CHECK(s.last(s.b).state == TaskState::queued);
  CHECK(s.last(s.b).seq == 0);
  auto& person = s.cluster.an_operator();
  const auto reply = person.query(fb::Subject::Nodes, "n1");
  CHECK(reply.nodes.at(0)->tasks == 1);
}

TEST_CASE("a predecessor that has ended meanwhile is a race, and fails that launch alone") {
  Scene s;
  s.n.update(s.a, TaskState::finished);
  s.one.request({{s.slot, 1, false, {s.n.index().value()}}});
  const auto number = s.one.accept({s.one.offers.at(0).id}, {{s.c, s.n.index(), s.slot},
                                                             {s.b, s.n.index(), s.slot, 0, s.a},
                                                             {attempt(4), s.n.index(), s.slot, 0, s.b}});
  REQUIRE(s.one.answer(number).code == fb::RefusedCode::None);
  for (const AttemptId& id : {s.b, attempt(4)}) {
    CHECK(s.last(id).state == TaskState::not_started);
    CHECK(s.last(id).reason == TaskReason::predecessor_ended);
    CHECK(s.last(id).seq == 0);
    CHECK(s.n.launch_of(id) == nullptr);
  }
  CHECK(s.n.launch_of(s.c) != nullptr);
  CHECK(s.used() == s.slot);
  // Nobody knows of an attempt that never was.
  CHECK(s.follow(attempt(5), attempt(99)).code == fb::RefusedCode::None);
  CHECK(s.last(attempt(5)).reason == TaskReason::predecessor_ended);
}

TEST_CASE("a successor of another shape, user, node, gang or line is refused, and nothing changes") {
  Scene s;
  const auto refused = [&](std::vector<FakeFramework::Launch> launches, const std::string& why) {
    const auto answer = s.one.answer(s.one.accept({}, launches));
    INFO(answer.text);
    CHECK(answer.code == fb::RefusedCode::BadLaunch);
    CHECK(answer.text.find(why) != std::string::npos);
    CHECK(s.n.launches.size() == 1);
    CHECK(s.used() == s.slot);
  };
  refused({{s.b, s.n.index(), res("cpus=1;mem=1G"), 0, s.a}}, "resources are not the same");
  refused({{s.b, s.n.index(), s.slot, 0, s.a, 77}}, "runs as user 0, not 77");
  refused({{s.b, s.m.index(), s.slot, 0, s.a}}, "on another node");
  refused({{s.b, s.n.index(), s.slot, 5, s.a}}, "a member of a gang");
  refused({{s.b, s.n.index(), s.slot, 0, s.a}, {s.c, s.n.index(), s.slot, 0, s.a}}, "follows already");
  refused({{s.b, s.n.index(), s.slot, 0, s.c}, {s.c, s.n.index(), s.slot, 0, s.a}}, "stands before");
  refused({{s.b, s.n.index(), s.slot, 0, s.b}}, "stands before");
  std::vector<FakeFramework::Launch> line;
  for (std::uint64_t i = 0; i < 9; ++i) {
    line.push_back({attempt(20 + i), s.n.index(), s.slot, 0, i == 0 ? s.a : attempt(19 + i)});
  }
  refused(line, "8 are queued in that line already");
  line.pop_back();
  CHECK(s.one.answer(s.one.accept({}, line)).code == fb::RefusedCode::None);
}

TEST_CASE("a member of a gang over two nodes can't be followed") {
  Scene s;
  s.one.request({{s.slot, 1, false, {s.n.index().value()}}, {s.slot, 1, false, {s.m.index().value()}}});
  REQUIRE(s.one.offers.size() == 2);
  const AttemptId x = attempt(10), y = attempt(11);
  (void)s.one.accept({s.one.offers.at(0).id, s.one.offers.at(1).id},
                     {{x, s.one.offers.at(0).node, s.slot, 1}, {y, s.one.offers.at(1).node, s.slot, 1}});
  const NodeIndex node = s.n.launch_of(x) != nullptr ? s.n.index() : s.m.index();
  const auto answer = s.one.answer(s.one.accept({}, {{attempt(12), node, s.slot, 0, x}}));
  CHECK(answer.code == fb::RefusedCode::BadLaunch);
  CHECK(answer.text.find("gang") != std::string::npos);
}

TEST_CASE("a queued task is recalled and killed without ever having run; what has started goes on") {
  Scene s;
  (void)s.follow(s.b, s.a);
  (void)s.follow(s.c, s.b);
  s.one.recall(s.b, s.n.index());
  CHECK(s.n.releases == std::vector<AttemptId>{s.b});
  s.n.update(s.b, TaskState::not_started, TaskReason::recalled);
  CHECK(s.last(s.b).reason == TaskReason::recalled);
  CHECK(s.used() == s.slot);
  // The next has moved up.
  s.n.update(s.a, TaskState::finished);
  s.one.reconcile(s.c, "n1");
  CHECK(s.last(s.c).state == TaskState::launching);
  CHECK(s.used() == s.slot);
  s.one.recall(s.c, s.n.index());
  CHECK(s.n.releases.size() == 1);
  s.n.update(s.c, TaskState::running);
  const AttemptId d = attempt(4);
  (void)s.follow(d, s.c);
  s.one.kill(d, s.n.index());
  REQUIRE(s.n.kills.size() == 1);
  CHECK(s.n.kills[0].attempt == d);
  s.n.update(d, TaskState::not_started, TaskReason::kill_requested);
  s.n.update(s.c, TaskState::finished);
  CHECK(s.used().is_zero());
}

TEST_CASE("a poorer framework that waits ends the lines of a richer one") {
  Scene s;
  // `one` holds the whole of n1: two lines of three.
  s.one.request({{s.slot, 1, false, {s.n.index().value()}}});
  const AttemptId x = attempt(10);
  (void)s.one.accept({s.one.offers.at(0).id}, {{x, s.n.index(), s.slot}});
  s.one.request({});
  s.n.update(x, TaskState::running);
  (void)s.follow(s.b, s.a);
  (void)s.follow(s.c, s.b);
  (void)s.follow(attempt(11), x);
  CHECK(s.n.releases.empty());
  // `two` has nothing and wants one slot of that node: the line formed last ends.
  s.two.request({{s.slot, 1, false, {s.n.index().value()}}});
  CHECK(s.two.offers.empty());
  CHECK(s.n.releases == std::vector<AttemptId>{attempt(11)});
  CHECK(s.follow(attempt(12), s.c).code == fb::RefusedCode::None);
  CHECK(s.last(attempt(12)).state == TaskState::not_started);
  CHECK(s.last(attempt(12)).reason == TaskReason::recalled);
  s.n.update(attempt(11), TaskState::not_started, TaskReason::recalled);
  s.n.update(x, TaskState::finished);
  REQUIRE(s.two.offers.size() == 1);
  CHECK(s.two.offers[0].resources == s.slot);
  // Nobody waits any more: the line that is left is handed on.
  s.n.update(s.a, TaskState::finished);
  CHECK(s.used() == s.slot);
  CHECK(s.follow(attempt(13), s.c).code == fb::RefusedCode::None);
  CHECK(s.n.launch_of(attempt(13)) != nullptr);
}

TEST_CASE("a want that this node could never hold ends no line") {
  Scene s;
  (void)s.follow(s.b, s.a);
  s.two.request({{res("cpus=5"), 1}});
  CHECK(s.n.releases.empty());
  s.two.request({{s.slot, 3, false, {s.m.index().value()}}});
  CHECK(s.n.releases.empty());
}

TEST_CASE("a drained node gives up its lines and forms no new ones") {
  Scene s;
  (void)s.follow(s.b, s.a);
  auto& person = s.cluster.an_operator();
  fb::DrainNodeT drain;
  drain.request = 1;
  drain.node = "n1";
  drain.reason = "repair";
  person.ask<fb::DrainNode>(drain);
  CHECK(s.n.releases == std::vector<AttemptId>{s.b});
  s.n.update(s.b, TaskState::not_started, TaskReason::recalled);
  CHECK(s.follow(s.c, s.a).code == fb::RefusedCode::None);
  CHECK(s.last(s.c).reason == TaskReason::recalled);
  s.n.update(s.a, TaskState::finished);
  CHECK(s.used().is_zero());
}

TEST_CASE("a node that registers again without a queued task never ran it; one that ran it says so") {
  Scene s;
  (void)s.follow(s.b, s.a);
  (void)s.follow(s.c, s.b);
  s.cluster.lose(s.n);
  // It ended the line's tail before it registered; the first successor's turn had come.
  s.n.enroll({{"n1", {{s.a, 11, TaskState::finished, {}}, {s.b, 11, TaskState::running, s.slot}}}});
  CHECK(s.last(s.c).state == TaskState::not_started);
  CHECK(s.last(s.c).reason == TaskReason::recalled);
  CHECK(s.used() == s.slot);
  s.n.update(s.a, TaskState::finished);
  CHECK(s.used() == s.slot);
  s.n.update(s.b, TaskState::running);
  CHECK(s.last(s.b).state == TaskState::running);
  s.n.update(s.b, TaskState::finished);
  CHECK(s.used().is_zero());
}

TEST_CASE("after a reboot nobody can say that a queued task never ran") {
  Scene s;
  (void)s.follow(s.b, s.a);
  s.cluster.lose(s.n);
  s.n.boot_id = "boot-2";
  s.n.enroll();
  CHECK(s.last(s.a).state == TaskState::lost);
  CHECK(s.last(s.b).state == TaskState::lost);
  CHECK(s.used().is_zero());
}

TEST_CASE("a successor whose turn came while its node was away is launched again by itself") {
  Scene s;
  (void)s.follow(s.b, s.a);
  s.n.update(s.a, TaskState::finished);
  s.n.launches.clear();
  s.cluster.lose(s.n);
  s.n.enroll();
  REQUIRE(s.n.launch_of(s.b) != nullptr);
  CHECK(s.n.launch_of(s.b)->after == AttemptId{});
  CHECK(s.used() == s.slot);
}

TEST_CASE("a lost node takes its lines with it") {
  Scene s;
  (void)s.follow(s.b, s.a);
  s.n.beating = false;
  s.cluster.advance(Duration::from_seconds(80));
  CHECK(s.last(s.a).reason == TaskReason::node_lost);
  CHECK(s.last(s.b).reason == TaskReason::node_lost);
  CHECK(s.used().is_zero());
}

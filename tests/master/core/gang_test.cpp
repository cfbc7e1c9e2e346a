// Goal: a gang over several nodes starts on all or on none, and what is left of a failed one ends.
// Method: two nodes of frames that say what the test tells them to; the master's Go, Release and NodeKill are read.
#include "tests/master/core/fake_cluster.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

struct Scene {
  FakeCluster cluster;
  FakeNode& a = cluster.node("n1", res("cpus=4"));
  FakeNode& b = cluster.node("n2", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  AttemptId x = attempt(1), y = attempt(2);
  Scene() {
    a.enroll();
    b.enroll();
    one.subscribe();
    cluster.settle();
    one.request({{res("cpus=4"), 2}});
    REQUIRE(one.offers.size() == 2);
    const auto taken = one.accept({one.offers[0].id, one.offers[1].id},
                                  {{x, a.index(), res("cpus=4"), 1}, {y, b.index(), res("cpus=4"), 1}});
    REQUIRE(one.answer(taken).code == fb::RefusedCode::None);
    REQUIRE(a.launch_of(x) != nullptr);
    CHECK(a.launch_of(x)->prepare);
    CHECK(b.launch_of(y)->prepare);
  }
};

}  // namespace

TEST_CASE("a gang gets its Go when, and only when, every node is prepared") {
  Scene s;
  s.a.prepared(s.x);
  CHECK(s.a.gos.empty());
  s.a.prepared(s.x);  // said twice counts once
  CHECK(s.a.gos.empty());
  s.b.prepared(s.y);
  CHECK(s.a.gos == std::vector<AttemptId>{s.x});
  CHECK(s.b.gos == std::vector<AttemptId>{s.y});
  s.a.update(s.x, TaskState::running);
  s.b.update(s.y, TaskState::running);
  s.cluster.advance(Duration::from_seconds(30));
  CHECK(s.a.kills.empty());
  CHECK(s.b.kills.empty());
  // Their own ends are the framework's to judge.
  s.a.update(s.x, TaskState::finished, TaskReason::none, 0, 0, 0, 3);
  CHECK(s.b.kills.empty());
  CHECK(s.one.updates_of(s.x).back().exit_code == 3);
}

TEST_CASE("a member that fails before the Go releases all, and nothing runs") {
  Scene s;
  s.a.prepared(s.x);
  s.b.update(s.y, TaskState::start_failed, TaskReason::bad_directory);
  CHECK(s.a.releases == std::vector<AttemptId>{s.x});
  CHECK(s.a.gos.empty());
  s.a.update(s.x, TaskState::not_started, TaskReason::released);
  CHECK(s.one.updates_of(s.x).back().state == TaskState::not_started);
  CHECK(s.one.updates_of(s.y).back().reason == TaskReason::bad_directory);
  CHECK(s.cluster.books("n1").used == Resources{});
  CHECK(s.cluster.books("n2").used == Resources{});
}

TEST_CASE("a gang that is not prepared in time is released") {
  Scene s;
  s.a.prepared(s.x);
  s.cluster.advance(Duration::from_ms(2'900));
  CHECK(s.a.releases.empty());
  s.cluster.advance(Duration::from_ms(200));
  CHECK(s.a.releases == std::vector<AttemptId>{s.x});
  CHECK(s.b.releases == std::vector<AttemptId>{s.y});
  s.b.prepared(s.y);  // too late
  CHECK(s.a.gos.empty());
  CHECK(s.b.gos.empty());
}

TEST_CASE("a member that does not run in time after the Go fails the gang") {
  Scene s;
  s.a.prepared(s.x);
  s.b.prepared(s.y);
  s.a.update(s.x, TaskState::running);
  s.cluster.advance(Duration::from_ms(3'100));
  REQUIRE(s.a.kills.size() == 1);
  CHECK(s.a.kills[0].reason == TaskReason::gang_failed);
  CHECK(s.b.kills.size() == 1);
}

TEST_CASE("a member that did not start after the Go fails the gang") {
  Scene s;
  s.a.prepared(s.x);
  s.b.prepared(s.y);
  s.b.update(s.y, TaskState::not_started, TaskReason::prepare_silence);
  REQUIRE(s.a.kills.size() == 1);
  CHECK(s.a.kills[0].attempt == s.x);
  CHECK(s.a.kills[0].reason == TaskReason::gang_failed);
  CHECK(s.b.kills.empty());
}

TEST_CASE("a kill before the Go releases all, one after it kills that member") {
  SECTION("before") {
    Scene s;
    s.a.prepared(s.x);
    s.one.kill(s.x, s.a.index());
    CHECK(s.a.releases == std::vector<AttemptId>{s.x});
    CHECK(s.b.releases == std::vector<AttemptId>{s.y});
    CHECK(s.a.kills.empty());
  }
  SECTION("after") {
    Scene s;
    s.a.prepared(s.x);
    s.b.prepared(s.y);
    s.a.update(s.x, TaskState::running);
    s.b.update(s.y, TaskState::running);
    s.one.kill(s.x, s.a.index());
    REQUIRE(s.a.kills.size() == 1);
    CHECK(s.a.kills[0].reason == TaskReason::kill_requested);
    CHECK(s.b.kills.empty());
  }
}

TEST_CASE("a node that comes back without its prepared member fails the gang before the Go") {
  Scene s;
  s.b.prepared(s.y);
  s.cluster.lose(s.a);
  s.a.enroll();
  CHECK(s.b.releases == std::vector<AttemptId>{s.y});
  REQUIRE(s.one.updates_of(s.x).size() == 1);
  CHECK(s.one.updates_of(s.x)[0].state == TaskState::not_started);
  CHECK(s.one.updates_of(s.x)[0].reason == TaskReason::released);
  CHECK(s.one.updates_of(s.x)[0].seq == 0);
  CHECK(s.cluster.books("n1").used == Resources{});
}

TEST_CASE("a Go that was lost with its link is sent again to the parked member") {
  Scene s;
  s.a.prepared(s.x);
  s.cluster.lose(s.a);
  s.b.prepared(s.y);
  CHECK(s.b.gos.size() == 1);
  CHECK(s.a.gos.empty());
  s.a.enroll({{"n1", {{s.x, 11, TaskState::prepared, res("cpus=4"), true}}}});
  CHECK(s.a.gos == std::vector<AttemptId>{s.x});
}

TEST_CASE("a parked member that a new master does not know is released") {
  Scene s;
  s.a.prepared(s.x);
  s.cluster.restart(2);
  s.a.enroll({{"n1", {{s.x, 11, TaskState::prepared, res("cpus=4"), true}}}});
  CHECK(s.a.releases == std::vector<AttemptId>{s.x});
  CHECK(s.cluster.books("n1").used == res("cpus=4"));
  s.a.update(s.x, TaskState::not_started, TaskReason::released, 0, 11);
  CHECK(s.cluster.books("n1").used == Resources{});
  s.one.subscribe({{s.x, "n1"}});
  REQUIRE(s.one.updates_of(s.x).size() == 1);
  CHECK(s.one.updates_of(s.x)[0].state == TaskState::not_started);
  CHECK(s.one.updates_of(s.x)[0].seq != 0);
}

TEST_CASE("members of a gang on one node start like any other task") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe({}, {{res("cpus=4"), 1}});
  cluster.settle();
  (void)one.accept({one.offers.at(0).id}, {{attempt(1), node.index(), res("cpus=2"), 7},
                                           {attempt(2), node.index(), res("cpus=2"), 7}});
  REQUIRE(node.launches.size() == 2);
  CHECK_FALSE(node.launches[0].prepare);
  cluster.advance(Duration::from_seconds(10));
  CHECK(node.releases.empty());
  CHECK(node.kills.empty());
}

TEST_CASE("a node lost before the Go releases the others") {
  MasterConfig config;
  config.gang_silence = Duration::from_seconds(1000);
  FakeCluster cluster(config);
  FakeNode& a = cluster.node("n1", res("cpus=1"));
  FakeNode& b = cluster.node("n2", res("cpus=1"));
  FakeFramework& one = cluster.framework(11, "one");
  a.enroll();
  b.enroll();
  one.subscribe({}, {{res("cpus=1"), 2}});
  cluster.settle();
  (void)one.accept({one.offers.at(0).id, one.offers.at(1).id},
                   {{attempt(1), a.index(), res("cpus=1"), 1}, {attempt(2), b.index(), res("cpus=1"), 1}});
  b.prepared(attempt(2));
  a.beating = false;
  cluster.advance(Duration::from_seconds(71));
  CHECK(b.releases == std::vector<AttemptId>{attempt(2)});
  CHECK(one.updates_of(attempt(1)).back().state == TaskState::lost);
}

// Goal: every wrong, late, repeated or foreign frame is answered with its code or dropped, and harms nothing.
// Method: hand-made frames to a core; the refusals are read.
#include "tests/master/core/fake_cluster.hpp"
#include "master/view/cluster_view.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

TEST_CASE("frames of no open life are told to register, users' messages that they are in the wrong place") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  node.state().open(Incarnation{5});
  node.send<fb::Heartbeat>({});
  REQUIRE(node.outside.size() == 1);
  CHECK(node.outside[0].code == fb::RefusedCode::NotRegistered);
  FakeOperator& person = cluster.an_operator();
  person.ask<fb::QueryJobs>({});
  REQUIRE(person.outside.size() == 1);
  CHECK(person.outside[0].code == fb::RefusedCode::NotAllowed);
}

TEST_CASE("a missing frame ends the life, and the next one begins with a larger incarnation") {
  FakeCluster cluster;
  FakeFramework& one = cluster.framework(11, "one");
  one.subscribe();
  REQUIRE(one.subscribed);
  (void)one.state().next_head(Epoch{1});  // lost on its way
  one.send<fb::Heartbeat>({});
  REQUIRE(one.outside.size() == 1);
  CHECK(one.outside[0].code == fb::RefusedCode::Gap);
  CHECK(one.outside[0].sequence == 2);
  CHECK_FALSE(one.state().is_open());
  one.subscribe();
  CHECK(one.subscribed);
}

TEST_CASE("a repeated frame is dropped, also the opening one") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  fb::RequestT body;
  body.wants = to_wire({{res("cpus=1"), 1}});
  const FrameBytes bytes = pack_frame<fb::Request>(one.state().next_head(Epoch{1}), body);
  cluster.deliver(one.link(), one.peer, bytes);
  cluster.deliver(one.link(), one.peer, bytes);
  CHECK(one.offers_seen == 1);
  fb::SubscribeT again;
  again.framework = 11;
  again.name = "one";
  cluster.deliver(one.link(), one.peer,
                  pack_frame<fb::Subscribe>({Epoch{}, Incarnation{one.incarnation}, 1, 0}, again));
  CHECK(one.outside.empty());
  CHECK(one.offers.size() == 1);
}

TEST_CASE("a frame of a higher epoch is refused: this master has been succeeded") {
  FakeCluster cluster(MasterConfig{}, 4);
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  node.seen_epoch = 5;
  node.enroll();
  REQUIRE(node.outside.size() == 1);
  CHECK(node.outside[0].code == fb::RefusedCode::StaleEpoch);
  CHECK(node.outside[0].epoch == 4);
  CHECK(node.registrations == 0);
  node.seen_epoch = 0;
  node.highest_epoch = 5;
  node.enroll();
  CHECK(node.outside.size() == 2);
  CHECK(node.registrations == 0);
  node.highest_epoch = 3;
  node.seen_epoch = 3;
  node.enroll();
  CHECK(node.registrations == 1);
}

TEST_CASE("of two links for one framework the larger incarnation wins, the other is stale") {
  FakeCluster cluster;
  FakeFramework& first = cluster.framework(11, "one");
  FakeFramework& second = cluster.framework(11, "one");
  first.incarnation = 10;
  first.subscribe();
  REQUIRE(first.subscribed);
  second.incarnation = 10;  // its Subscribe says 11, as the first one's did
  second.subscribe();
  REQUIRE(second.outside.size() == 1);
  CHECK(second.outside[0].code == fb::RefusedCode::StaleIncarnation);
  second.subscribe();
  CHECK(second.subscribed);
  first.send<fb::Heartbeat>({});
  REQUIRE(first.outside.size() == 1);
  CHECK(first.outside[0].code == fb::RefusedCode::NotRegistered);
}

TEST_CASE("a framework or node of one user is not another's") {
  FakeCluster cluster;
  FakeFramework& mine = cluster.framework(11, "one");
  FakeFramework& thief = cluster.framework(11, "one");
  mine.subscribe();
  thief.incarnation = 100;
  thief.peer.uid = 2000;
  thief.subscribe();
  REQUIRE(thief.outside.size() == 1);
  CHECK(thief.outside[0].code == fb::RefusedCode::NotAllowed);
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  node.enroll();
  FakeNode& other = cluster.node("n1", res("cpus=64"));
  other.peer.uid = 2000;
  other.incarnation = 100;
  other.enroll();
  REQUIRE(other.outside.size() == 1);
  CHECK(other.outside[0].code == fb::RefusedCode::NotAllowed);
  CHECK(cluster.books("n1").capacity == res("cpus=1"));
}

TEST_CASE("what is reserved or foreign is refused inside the life, which goes on") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  one.send<fb::Lend>({});
  one.send<fb::Update>({});
  node.send<fb::Accept>({});
  REQUIRE(one.inside.size() == 2);
  CHECK(one.inside[0].code == fb::RefusedCode::Unsupported);
  CHECK(one.inside[1].code == fb::RefusedCode::NotAllowed);
  REQUIRE(node.inside.size() == 1);
  CHECK(node.inside[0].code == fb::RefusedCode::NotAllowed);
  fb::RequestT bounded;
  bounded.wants = to_wire({{res("cpus=1"), 1}});
  bounded.wants[0]->limit_ms = 1000;
  one.send<fb::Request>(bounded);
  CHECK(one.inside.back().code == fb::RefusedCode::Unsupported);
  fb::SubscribeT claims;
  claims.framework = 12;
  claims.name = "claims";
  claims.claims.push_back(std::make_unique<fb::ClaimStateT>());
  FakeOperator& odd = cluster.an_operator();
  cluster.deliver(odd.link(), odd.peer, pack_frame<fb::Subscribe>({Epoch{}, Incarnation{1}, 1, 0}, claims));
  REQUIRE(odd.outside.size() == 1);
  CHECK(odd.outside[0].code == fb::RefusedCode::Unsupported);
}

TEST_CASE("bytes that are no frame, and empty messages, get an answer and change nothing") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.deliver(one.link(), one.peer, FrameBytes(64, 0xab));
  REQUIRE(one.outside.size() == 1);
  CHECK(one.outside[0].code == fb::RefusedCode::Malformed);
  // All vectors absent.
  one.send<fb::Request>({});
  one.send<fb::Decline>({});
  one.send<fb::Hold>({});
  one.send<fb::Kill>({});
  one.send<fb::Acknowledge>({});
  one.send<fb::Reconcile>({});
  one.send<fb::Message>({});
  node.send<fb::Update>({});
  node.send<fb::Prepared>({});
  node.send<fb::Message>({});
  fb::AcceptT nothing;
  nothing.accept = 3;
  one.send<fb::Accept>(nothing);
  CHECK(one.answer(3).code == fb::RefusedCode::None);
  CHECK(one.inside.empty());
  CHECK(node.inside.empty());
  // Places that the frame does not have.
  fb::ReconcileT odd;
  odd.live.emplace_back(to_fb(attempt(1)), 7U, 0U);
  one.send<fb::Reconcile>(odd);
  REQUIRE(one.inside.size() == 1);
  CHECK(one.inside[0].code == fb::RefusedCode::Malformed);
  fb::UpdateT wild;
  wild.entries.emplace_back(to_fb(attempt(1)), 1U, 0, 0, 999U, 0, std::uint16_t{9}, std::uint16_t{9}, std::uint8_t{99},
                            std::uint8_t{99}, std::uint8_t{0}, std::uint8_t{0});
  node.send<fb::Update>(wild);
  CHECK(one.updates.empty());
  CHECK(cluster.core().view(cluster.now())->probe.updates_foreign >= 1);
}

TEST_CASE("bad registrations are refused whole") {
  FakeCluster cluster;
  FakeNode& twice = cluster.nodes({"n1", "n1"}, res("cpus=1"));
  twice.enroll();
  REQUIRE(twice.outside.size() == 1);
  CHECK(twice.outside[0].code == fb::RefusedCode::BadRequest);
  FakeNode& ports = cluster.node("n2", res("cpus=4;ports=31000-31009"));
  ports.enroll({{"n2", {{attempt(1), 11, TaskState::running, res("cpus=1;ports=31000"), false},
                        {attempt(2), 11, TaskState::running, res("cpus=1;ports=31000"), false}}}});
  REQUIRE(ports.outside.size() == 1);
  CHECK(ports.outside[0].code == fb::RefusedCode::BadRequest);
  FakeNode& none = cluster.nodes({}, res("cpus=1"));
  none.enroll();
  CHECK(none.outside.size() == 1);
  CHECK(cluster.core().books().empty());
}

TEST_CASE("a silent second brings a heartbeat, and a link without credit waits with its output") {
  MasterConfig config;
  config.credit_frames = 4;
  FakeCluster cluster(config);
  FakeNode& node = cluster.node("n1", res("cpus=8"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe({}, {{res("cpus=1"), 8}});
  cluster.settle();
  const std::uint64_t before = one.frames;
  one.beating = false;
  cluster.advance(Duration::from_ms(2'500));
  CHECK(one.frames >= before + 2);

  // The node stops confirming: launches wait in the tables until it does again.
  one.beating = true;
  one.beat();
  node.beating = false;
  std::uint64_t launched = 0;
  while (launched < 8) {
    REQUIRE(one.offers.size() == 1);
    const auto offer = one.offers[0];
    (void)one.accept({offer.id}, {{attempt(++launched), offer.node, res("cpus=1")}});
    one.request({{res("cpus=1"), 1}});
  }
  CHECK(node.launches.size() < 8);
  node.beat();
  node.beat();
  CHECK(node.launches.size() == 8);
}

TEST_CASE("one link may speak for many nodes, each by its own index") {
  FakeCluster cluster;
  FakeNode& rack = cluster.nodes({"r1", "r2", "r3"}, res("cpus=2"));
  FakeFramework& one = cluster.framework(11, "one");
  rack.enroll();
  one.subscribe({}, {{res("cpus=2"), 3}});
  cluster.settle();
  REQUIRE(rack.indexes.size() == 3);
  REQUIRE(one.offers.size() == 3);
  CHECK(one.inventory.size() == 3);
  std::vector<FakeFramework::Launch> launches;
  std::vector<OfferId> ids;
  for (const auto& offer : one.offers) {
    ids.push_back(offer.id);
    launches.push_back({attempt(offer.node.value()), offer.node, res("cpus=2")});
  }
  const std::uint64_t frames = rack.frames;
  (void)one.accept(ids, launches);
  CHECK(rack.launches.size() == 3);
  CHECK(rack.frames == frames + 1);  // together
  rack.update(attempt(1), TaskState::running, TaskReason::none, 0, 0, 1);
  CHECK(one.updates_of(attempt(1)).back().node == 1);
  // One of them moves to a link of its own.
  FakeNode& alone = cluster.node("r2", res("cpus=2"));
  alone.incarnation = 50;
  alone.enroll({{"r2", {{attempt(1), 11, TaskState::running, res("cpus=2"), false}}}});
  CHECK(alone.index() == NodeIndex{1});
  rack.update(attempt(1), TaskState::finished, TaskReason::none, 9, 11, 1);
  CHECK(one.updates_of(attempt(1)).back().state == TaskState::running);  // not the rack's any more
  CHECK(cluster.books("r2").used == res("cpus=2"));
}

TEST_CASE("answers come in pages, in order, each row once") {
  FakeCluster cluster;
  std::vector<std::string> names;
  for (int i = 0; i < 25; ++i) {
    names.push_back("n" + std::to_string(i));
  }
  FakeNode& rack = cluster.nodes(names, res("cpus=1;mem=1G"));
  FakeFramework& one = cluster.framework(11, "one");
  rack.enroll();
  one.subscribe({}, {{res("cpus=1"), 20}});
  cluster.settle();
  FakeOperator& person = cluster.an_operator();
  for (const auto& [subject, total] : {std::pair{fb::Subject::Nodes, 25U}, std::pair{fb::Subject::Offers, 20U}}) {
    std::uint64_t after = 0;
    std::vector<std::string> seen;
    bool more = true;
    while (more) {
      const auto reply = person.query(subject, {}, after, 7);
      for (const auto& row : reply.nodes) {
        seen.push_back(row->name);
      }
      for (const auto& row : reply.offers) {
        seen.push_back(row->node);
      }
      CHECK(reply.nodes.size() + reply.offers.size() <= 7);
      more = reply.more;
      after = reply.next_after;
    }
    CHECK(seen.size() == total);
    std::sort(seen.begin(), seen.end());
    CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  }
  const auto status = person.query(fb::Subject::Status);
  CHECK(status.nodes_total == 25);
  CHECK(status.offers_total == 20);
  REQUIRE(status.capacity);
  CHECK(status.capacity->amounts->cpus_milli() == 25'000);
  CHECK(status.offered->amounts->cpus_milli() == 20'000);
  CHECK(person.query(fb::Subject::Nodes, "n7").nodes.size() == 1);
  CHECK(person.query(fb::Subject::Nodes, "nobody").nodes.empty());
  CHECK(person.query(fb::Subject::Offers, "n0").offers.size() == 1);
}

TEST_CASE("messages between a framework and its task pass through, others do not") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=2"));
  FakeFramework& one = cluster.framework(11, "one");
  FakeFramework& two = cluster.framework(12, "two");
  node.enroll();
  one.subscribe({}, {{res("cpus=1"), 1}});
  two.subscribe();
  cluster.settle();
  (void)one.accept({one.offers.at(0).id}, {{attempt(1), node.index(), res("cpus=1")}});
  fb::MessageT message;
  message.framework = 11;
  message.attempt = std::make_unique<fb::AttemptId>(to_fb(attempt(1)));
  message.node = node.index().value();
  message.data = {1, 2, 3};
  one.send<fb::Message>(message);
  REQUIRE(node.messages.size() == 1);
  CHECK(node.messages[0].data == std::vector<std::uint8_t>{1, 2, 3});
  CHECK(node.messages[0].framework == 11);
  message.data = {4};
  node.send<fb::Message>(message);
  REQUIRE(one.messages.size() == 1);
  two.send<fb::Message>(message);  // not its task
  CHECK(node.messages.size() == 1);
}

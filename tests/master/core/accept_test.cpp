// Goal: an accept takes all it names or changes nothing, is always answered once, and says what it lacked.
// Method: a cluster of frames; the books before and after every refusal must be equal.
#include "tests/master/core/fake_cluster.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

std::string books_text(FakeCluster& cluster) {
  std::string text;
  for (const auto& row : cluster.core().books()) {
    text += row.name + " used " + to_string(row.used) + " offered " + to_string(row.offered) + " free " +
            to_string(row.free) + "\n";
  }
  return text;
}

// Two nodes, both offered whole to one framework.
struct Scene {
  FakeCluster cluster;
  FakeNode& a = cluster.node("n1", res("cpus=4;mem=4G;ports=31000-31009"));
  FakeNode& b = cluster.node("n2", res("cpus=4;mem=4G;ports=31000-31009"));
  FakeFramework& one = cluster.framework(11, "one");
  FakeFramework& two = cluster.framework(12, "two");
  Scene() {
    a.enroll();
    b.enroll();
    one.subscribe();
    two.subscribe();
    cluster.settle();
    one.request({{res("cpus=1"), 8, true}});
    REQUIRE(one.offers.size() == 2);
  }
  OfferId offer(std::size_t at) const { return one.offers.at(at).id; }
};

}  // namespace

TEST_CASE("of two accepts with overlapping ports the second is refused by name") {
  Scene s;
  const auto first = s.one.accept({s.offer(0)}, {{attempt(1), s.a.index(), res("cpus=1;ports=31000-31003")}});
  REQUIRE(s.one.answer(first).code == fb::RefusedCode::None);
  s.one.request({{res("cpus=1"), 1, true, {s.a.index().value()}}});
  REQUIRE(s.one.offers.size() == 2);
  CHECK(s.one.offers[1].resources.ports.to_string() == "31004-31009");
  const std::string before = books_text(s.cluster);
  const auto second = s.one.accept({s.offer(1)}, {{attempt(2), s.a.index(), res("cpus=1;ports=31002-31005")}});
  const auto answer = s.one.answer(second);
  CHECK(answer.code == fb::RefusedCode::NotInOffer);
  CHECK(answer.subject == "ports 31002-31003 of node n1");
  CHECK(answer.text.find("31002-31005") != std::string::npos);
  CHECK(books_text(s.cluster) == before);
  CHECK(s.a.launches.size() == 1);
}

TEST_CASE("an accept over two nodes that lacks something on one changes nothing on either") {
  Scene s;
  const std::string before = books_text(s.cluster);
  const std::vector<OfferId> both{s.offer(0), s.offer(1)};
  const auto refused = s.one.accept(both, {{attempt(1), s.a.index(), res("cpus=4")},
                                           {attempt(2), s.b.index(), res("cpus=3")},
                                           {attempt(3), s.b.index(), res("cpus=2")}});
  CHECK(s.one.answer(refused).code == fb::RefusedCode::NotInOffer);
  CHECK(s.one.answer(refused).subject == "cpus of node n2");
  CHECK(s.one.answer(refused).text.find("wants 2, has 1") != std::string::npos);
  CHECK(books_text(s.cluster) == before);
  CHECK(s.a.launches.empty());
  CHECK(s.b.launches.empty());
  // The offers are still open: the same offers, asked right, are taken.
  const auto taken = s.one.accept(both, {{attempt(1), s.a.index(), res("cpus=4")},
                                         {attempt(2), s.b.index(), res("cpus=3")}});
  CHECK(s.one.answer(taken).code == fb::RefusedCode::None);
  CHECK(s.cluster.books("n1").used == res("cpus=4"));
  CHECK(s.cluster.books("n2").used == res("cpus=3"));
  CHECK(s.cluster.books("n2").free == res("cpus=1;mem=4G;ports=31000-31009"));
  CHECK(s.a.launches.size() == 1);
  CHECK(s.b.launches.size() == 1);
}

TEST_CASE("one launch may draw on several offers of its node") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=4;mem=4G"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  one.request({{res("cpus=1;mem=1G"), 1}});
  one.request({{res("cpus=2;mem=1G"), 1}});
  REQUIRE(one.offers.size() == 2);
  const auto taken =
      one.accept({one.offers[0].id, one.offers[1].id}, {{attempt(1), node.index(), res("cpus=3;mem=2G")}});
  CHECK(one.answer(taken).code == fb::RefusedCode::None);
  CHECK(cluster.books("n1").used == res("cpus=3;mem=2G"));
}

TEST_CASE("every inconsistent accept is answered with its own code and has no effect") {
  Scene s;
  const std::string before = books_text(s.cluster);
  const OfferId mine = s.offer(0);
  const NodeIndex a = s.a.index();
  const NodeIndex b = s.b.index();
  const auto code = [&](std::uint64_t accept) { return s.one.answer(accept).code; };

  CHECK(code(s.one.accept({{99, 1}}, {{attempt(1), a, res("cpus=1")}})) == fb::RefusedCode::OfferGone);
  CHECK(code(s.one.accept({{mine.slot, mine.generation + 1}}, {{attempt(1), a, res("cpus=1")}})) ==
        fb::RefusedCode::OfferGone);
  CHECK(code(s.one.accept({mine, mine}, {{attempt(1), a, res("cpus=1")}})) == fb::RefusedCode::BadLaunch);
  CHECK(code(s.one.accept({mine}, {{attempt(1), a, res("cpus=1")}, {attempt(1), a, res("cpus=1")}})) ==
        fb::RefusedCode::DuplicateAttempt);
  CHECK(code(s.one.accept({mine}, {{attempt(1), b, res("cpus=1")}})) == fb::RefusedCode::NotInOffer);
  CHECK(code(s.one.accept({mine}, {{attempt(1), NodeIndex{77}, res("cpus=1")}})) == fb::RefusedCode::NotInOffer);
  CHECK(code(s.one.accept({mine}, {{attempt(1), a, res("cpus=1;gpus=1")}})) == fb::RefusedCode::NotInOffer);
  CHECK(code(s.one.accept({mine}, {{attempt(1), a, res("cpus=1;ports=31000")},
                                   {attempt(2), a, res("cpus=1;ports=31000")}})) == fb::RefusedCode::NotInOffer);
  // An offer of another framework is as good as none.
  const auto stolen = s.two.accept({mine}, {{attempt(1), a, res("cpus=1")}});
  CHECK(s.two.answer(stolen).code == fb::RefusedCode::OfferGone);
  // A place that does not exist.
  fb::AcceptT odd;
  odd.accept = 1000;
  odd.offers.push_back(to_fb(mine));
  odd.launches.emplace_back(to_fb(attempt(5)), a.value(), 0U, 0U, 1U, 0U, 0U, std::uint16_t{3}, std::uint16_t{9},
                            std::uint16_t{0}, std::uint16_t{0});
  s.one.send<fb::Accept>(odd);
  CHECK(code(1000) == fb::RefusedCode::BadLaunch);
  odd.accept = 1001;
  odd.claim = 7;
  s.one.send<fb::Accept>(odd);
  CHECK(code(1001) == fb::RefusedCode::Unsupported);

  CHECK(books_text(s.cluster) == before);
  CHECK(s.a.launches.empty());
  CHECK(code(s.one.accept({mine}, {{attempt(1), a, res("cpus=1")}})) == fb::RefusedCode::None);
}

TEST_CASE("an accept that names known attempts gets its answer again and is not applied twice") {
  Scene s;
  const OfferId offer = s.offer(0);
  const auto first = s.one.accept({offer}, {{attempt(1), s.a.index(), res("cpus=1")}});
  CHECK(s.one.answer(first).code == fb::RefusedCode::None);
  const std::string after = books_text(s.cluster);
  const auto again = s.one.accept({offer}, {{attempt(1), s.a.index(), res("cpus=1")}});
  CHECK(s.one.answer(again).code == fb::RefusedCode::None);
  CHECK(books_text(s.cluster) == after);
  CHECK(s.a.launches.size() == 1);
  // The same attempt elsewhere, or together with a new one, is a mistake.
  const auto moved = s.one.accept({s.offer(0)}, {{attempt(1), s.b.index(), res("cpus=1")}});
  CHECK(s.one.answer(moved).code == fb::RefusedCode::DuplicateAttempt);
  CHECK(books_text(s.cluster) == after);
}

TEST_CASE("an accept without launches gives the offers back") {
  Scene s;
  const auto nothing = s.one.accept({s.offer(0)}, {});
  CHECK(s.one.answer(nothing).code == fb::RefusedCode::None);
  CHECK(s.cluster.books("n1").offered == Resources{});
}

TEST_CASE("what an accept leaves over is offered to the next in the same step") {
  Scene s;
  s.two.request({{res("cpus=1;mem=1G"), 10}});
  CHECK(s.two.offers.empty());
  const std::uint64_t frames = s.two.frames;
  (void)s.one.accept({s.offer(0)}, {{attempt(1), s.a.index(), res("cpus=1;mem=1G")}});
  CHECK(s.two.frames == frames + 1);
  REQUIRE(s.two.offers.size() == 1);
  CHECK(s.two.offers[0].resources == res("cpus=3;mem=3G"));
}

TEST_CASE("a drained node rescinds its offers, keeps its tasks, and takes no new ones until undrained") {
  Scene s;
  FakeOperator& person = s.cluster.an_operator();
  (void)s.one.accept({s.offer(0)}, {{attempt(1), s.a.index(), res("cpus=1")}});
  s.one.request({{res("cpus=1"), 1, true, {s.a.index().value()}}});
  REQUIRE(s.one.offers.size() == 2);
  const OfferId open = s.offer(1);
  fb::DrainNodeT drain;
  drain.request = 5;
  drain.node = "n1";
  drain.reason = "new disk";
  person.ask<fb::DrainNode>(drain);
  REQUIRE(person.done.size() == 1);
  CHECK(person.done[0].request == 5);
  CHECK(s.one.rescinded == std::vector<OfferId>{open});
  REQUIRE(s.a.drains.size() == 1);
  CHECK(s.a.drains[0].drained);
  CHECK(s.a.drains[0].reason == "new disk");
  CHECK(s.one.node_states[s.a.index().value()] == fb::NodeState::Draining);
  CHECK(s.cluster.books("n1").used == res("cpus=1"));
  const auto rows = person.query(fb::Subject::Nodes, "n1");
  REQUIRE(rows.nodes.size() == 1);
  CHECK(rows.nodes[0]->drain_reason == "new disk");
  s.cluster.advance(Duration::from_seconds(12));
  CHECK(s.cluster.books("n1").offered == Resources{});

  drain.undrain = true;
  drain.request = 6;
  person.ask<fb::DrainNode>(drain);
  CHECK(s.cluster.books("n1").offered == res("cpus=3;mem=4G;ports=31000-31009"));
  CHECK(s.one.node_states[s.a.index().value()] == fb::NodeState::Up);
  drain.node = "n9";
  person.ask<fb::DrainNode>(drain);
  REQUIRE(person.outside.size() == 1);
  CHECK(person.outside[0].code == fb::RefusedCode::UnknownNode);
  CHECK(person.outside[0].subject == "node n9");
  CHECK(person.outside[0].request == 6);
}

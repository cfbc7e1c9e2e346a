// Goal: who asks too much, or asks on and reads nothing, is told so, counted and bounded, and nobody else notices.
// Method: peers of the core that misbehave beside others that don't; what the core counts is read from its view.
#include "tests/master/core/fake_cluster.hpp"
#include "master/core/query_budget.hpp"
#include "master/view/cluster_view.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

Probe probe_of(FakeCluster& cluster) { return cluster.core().view(cluster.now())->probe; }

bool ask_status(FakeOperator& person) {
  const std::size_t answered = person.replies.size();
  fb::OperatorQueryT question;
  question.request = answered + 1;
  person.ask<fb::OperatorQuery>(question);
  return person.replies.size() > answered;
}

}  // namespace

TEST_CASE("an operator who asks without end is refused for a while, and another one is not") {
  FakeCluster cluster;
  cluster.auditing = false;
  FakeOperator& greedy = cluster.an_operator();
  FakeOperator& modest = cluster.an_operator();
  std::size_t answered = 0;
  while (answered < 100'000 && ask_status(greedy)) {
    ++answered;
  }
  CHECK(answered > 1000);
  CHECK(answered < 100'000);
  REQUIRE(greedy.outside.size() == 1);
  CHECK(greedy.outside[0].code == fb::RefusedCode::Busy);
  CHECK(greedy.outside[0].request == answered + 1);
  CHECK(probe_of(cluster).queries_shed == 1);
  CHECK(ask_status(modest));
  cluster.advance(Duration::from_seconds(1));
  CHECK(ask_status(greedy));
}

TEST_CASE("many who ask together stay within the budget of all") {
  QueryBudget budget;
  const Instant now = Instant::from_ns(1);
  std::uint64_t rows = 0;
  for (std::uint64_t link = 1; link < 1000; ++link) {
    while (budget.admits(LinkId(link), now)) {
      budget.charge(LinkId(link), 1000, now);
      rows += 1000;
    }
  }
  CHECK(rows <= static_cast<std::uint64_t>(QueryBudget::kSaved.ns() / QueryBudget::kRowOfAll.ns()) + 1010);
  CHECK_FALSE(budget.admits(LinkId(5000), now));
  CHECK(budget.admits(LinkId(5000), now + QueryBudget::kSaved));
}

TEST_CASE("a page that matches little ends after a bounded search, and the next goes on from there") {
  FakeCluster cluster;
  cluster.auditing = false;
  constexpr std::uint32_t kNodes = 17'000;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kNodes; ++i) {
    names.push_back("n" + std::to_string(i));
  }
  FakeNode& node = cluster.nodes(names, res("cpus=1"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  one.request({{res("cpus=1"), kNodes}});
  REQUIRE(one.offers.size() == kNodes);
  FakeOperator& person = cluster.an_operator();
  const std::string last = "n" + std::to_string(one.offers.back().node.value());
  const auto first = person.query(fb::Subject::Offers, last);
  CHECK(first.offers.empty());
  CHECK(first.more);
  REQUIRE(first.next_after > 0);
  REQUIRE(first.next_after < kNodes);
  const auto second = person.query(fb::Subject::Offers, last, first.next_after);
  CHECK(second.offers.size() == 1);
  CHECK_FALSE(second.more);
  const auto by_name = person.query(fb::Subject::Nodes, last);
  REQUIRE(by_name.nodes.size() == 1);
  CHECK(by_name.nodes[0]->name == last);
  CHECK(person.query(fb::Subject::Nodes, "nobody").nodes.empty());
}

TEST_CASE("a framework that asks on and reads nothing loses its link, and gets it back when it reads") {
  MasterConfig config;
  config.credit_frames = 16;
  FakeCluster cluster(config);
  cluster.auditing = false;
  FakeFramework& deaf = cluster.framework(11, "deaf");
  FakeFramework& other = cluster.framework(12, "other");
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  node.enroll();
  deaf.subscribe();
  other.subscribe();
  cluster.settle();
  deaf.deaf = true;
  fb::AcceptT late;
  late.offers.push_back(fb::OfferRef(999, 999));
  std::uint64_t asked = 0;
  while (deaf.outside.empty() && asked < 200'000) {
    late.accept = ++asked;
    deaf.send<fb::Accept>(late);
  }
  REQUIRE(deaf.outside.size() == 1);
  CHECK(deaf.outside[0].code == fb::RefusedCode::Busy);
  CHECK(asked > 50'000);
  CHECK(probe_of(cluster).links_deaf == 1);
  CHECK(probe_of(cluster).links_stalled >= 1);
  other.request({{res("cpus=4"), 1}});
  CHECK(other.offers.size() == 1);
  deaf.deaf = false;
  deaf.subscribe();
  CHECK(deaf.subscribed);
  deaf.request({{res("cpus=1"), 1}});
  other.decline({other.offers[0].id}, 60'000);
  CHECK(deaf.offers.size() == 1);
}

TEST_CASE("what is said to a node that reads nothing is shed when it has no credit left") {
  MasterConfig config;
  config.credit_frames = 16;
  FakeCluster cluster(config);
  FakeNode& node = cluster.node("n1", res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  one.request({{res("cpus=1"), 1}});
  REQUIRE(one.offers.size() == 1);
  const auto offer = one.offers[0];
  REQUIRE(one.answer(one.accept({offer.id}, {{attempt(1), offer.node, res("cpus=1")}})).code == fb::RefusedCode::None);
  node.deaf = true;
  fb::MessageT message;
  message.attempt = std::make_unique<fb::AttemptId>(to_fb(attempt(1)));
  message.node = offer.node.value();
  message.data.assign(100, 7);
  for (int i = 0; i < 100; ++i) {
    one.send<fb::Message>(message);
  }
  const Probe counted = probe_of(cluster);
  CHECK(counted.messages_forwarded <= 16);
  CHECK(counted.messages_forwarded + counted.messages_shed == 100);
}

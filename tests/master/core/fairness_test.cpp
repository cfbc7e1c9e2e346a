// Goal: resources go to who is furthest below its weighted dominant share, within quotas, in a fixed order.
// Method: frameworks that take every offer at once, until the cluster is full; then who has what is counted.
#include "tests/master/core/fake_cluster.hpp"
#include "master/allocator/drf.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

// Accepts everything it is offered, piece by piece, until nothing comes any more.
void take_all(FakeCluster& cluster, const std::vector<std::pair<FakeFramework*, Resources>>& takers) {
  static std::uint64_t next = 0;
  bool taken = true;
  while (taken) {
    taken = false;
    for (const auto& [framework, piece] : takers) {
      while (!framework->offers.empty()) {
        const auto offer = framework->offers.front();
        std::vector<FakeFramework::Launch> launches;
        for (std::uint64_t k = piece.multiples_in(offer.resources); k > 0; --k) {
          launches.push_back({attempt(++next), offer.node, piece});
        }
        REQUIRE(framework->answer(framework->accept({offer.id}, launches)).code == fb::RefusedCode::None);
        taken = true;
      }
    }
    cluster.pump();
  }
}

double share_of(FakeCluster& cluster, const std::string& name) {
  const auto rows = cluster.an_operator().query(fb::Subject::Frameworks, name);
  REQUIRE(rows.frameworks.size() == 1);
  return rows.frameworks[0]->dominant_share;
}

std::uint32_t tasks_of(FakeCluster& cluster, const std::string& name) {
  const auto rows = cluster.an_operator().query(fb::Subject::Frameworks, name);
  REQUIRE(rows.frameworks.size() == 1);
  return rows.frameworks[0]->tasks;
}

void set_weight(FakeCluster& cluster, const std::string& role, double weight) {
  fb::SetWeightT body;
  body.request = 1;
  body.role = role;
  body.weight = weight;
  FakeOperator& person = cluster.an_operator();
  person.ask<fb::SetWeight>(body);
  REQUIRE(person.done.size() == 1);
}

}  // namespace

TEST_CASE("the textbook's dominant-resource shares come out: 9 cpus and 18 GB give 3 and 2 tasks") {
  // Nodes of one piece each would leave no choice; one node per offer keeps the order visible.
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=9;mem=18G"));
  FakeFramework& a = cluster.framework(1, "a");
  FakeFramework& b = cluster.framework(2, "b");
  a.role = "ra";
  b.role = "rb";
  node.enroll();
  cluster.settle();
  // Each asks for one piece at a time, so that shares are compared after each.
  a.subscribe();
  b.subscribe();
  // As in the textbook: a takes <1 cpu, 4 GB>, b takes <3 cpus, 1 GB>.
  const Resources piece_a = res("cpus=1;mem=4G");
  const Resources piece_b = res("cpus=3;mem=1G");
  std::vector<FakeFramework::Want> many_a(60, {piece_a, 1});
  std::vector<FakeFramework::Want> many_b(60, {piece_b, 1});
  cluster.hold_output = true;  // both requests are there before anything is offered
  a.request(many_a);
  b.request(many_b);
  cluster.hold_output = false;
  cluster.pump();
  take_all(cluster, {{&a, piece_a}, {&b, piece_b}});
  CHECK(tasks_of(cluster, "a") == 3);
  CHECK(tasks_of(cluster, "b") == 2);
}

TEST_CASE("roles share by their weights") {
  FakeCluster cluster;
  std::vector<FakeNode*> nodes;
  for (int i = 0; i < 40; ++i) {
    nodes.push_back(&cluster.node("n" + std::to_string(i), res("cpus=1;mem=1G")));
    nodes.back()->enroll();
  }
  FakeFramework& a = cluster.framework(1, "a");
  FakeFramework& b = cluster.framework(2, "b");
  FakeFramework& c = cluster.framework(3, "c");
  a.role = "big";
  b.role = "small";
  c.role = "small";
  for (FakeFramework* f : {&a, &b, &c}) {
    f->subscribe();
  }
  set_weight(cluster, "big", 3.0);
  cluster.settle();
  cluster.hold_output = true;
  for (FakeFramework* f : {&a, &b, &c}) {
    f->request({{res("cpus=1;mem=1G"), 1000}});
  }
  cluster.hold_output = false;
  cluster.pump();
  take_all(cluster, {{&a, res("cpus=1;mem=1G")}, {&b, res("cpus=1;mem=1G")}, {&c, res("cpus=1;mem=1G")}});
  CHECK(tasks_of(cluster, "a") == 30);
  CHECK(tasks_of(cluster, "b") == 5);
  CHECK(tasks_of(cluster, "c") == 5);
  CHECK(share_of(cluster, "a") == Approx(0.75));

  // A freed node goes to who is furthest below.
  FakeNode* freed = nullptr;
  for (FakeNode* node : nodes) {
    if (node->launches.at(0).framework == 2) {
      freed = node;
      break;
    }
  }
  REQUIRE(freed != nullptr);
  freed->update(from_fb(freed->launches[0].entry.attempt()), TaskState::finished);
  CHECK(b.offers.size() == 1);
}

TEST_CASE("a role gets no more than its quota, and the rest when it gives something back") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=8;mem=8G"));
  FakeFramework& a = cluster.framework(1, "a");
  a.role = "ra";
  node.enroll();
  a.subscribe();
  fb::SetQuotaT quota;
  quota.request = 9;
  quota.role = "ra";
  quota.limit = shape(res("cpus=3"));
  FakeOperator& person = cluster.an_operator();
  person.ask<fb::SetQuota>(quota);
  REQUIRE(person.done.size() == 1);
  cluster.settle();
  a.request({{res("cpus=1;mem=1G"), 6}});
  REQUIRE(a.offers.size() == 1);
  CHECK(a.offers[0].resources == res("cpus=3;mem=3G"));
  (void)a.accept({a.offers[0].id}, {{attempt(1), node.index(), res("cpus=1;mem=1G")},
                                    {attempt(2), node.index(), res("cpus=2;mem=2G")}});
  cluster.advance(Duration::from_seconds(20));
  CHECK(a.offers.empty());
  node.update(attempt(1), TaskState::finished);
  REQUIRE(a.offers.size() == 1);
  CHECK(a.offers[0].resources == res("cpus=1;mem=1G"));
}

TEST_CASE("of equals the older request is served first") {
  FakeCluster cluster;
  FakeNode& node = cluster.node("n1", res("cpus=1"));
  FakeFramework& a = cluster.framework(5, "a");
  FakeFramework& b = cluster.framework(3, "b");
  a.subscribe();
  b.subscribe();
  cluster.settle();
  b.request({{res("cpus=1"), 1}});
  a.request({{res("cpus=1"), 1}});
  node.enroll();
  CHECK(b.offers.size() == 1);
  CHECK(a.offers.empty());
}

TEST_CASE("an idle allocator has no work, and a search finds the one node that fits among many") {
  OfferLedger ledger;
  Drf drf(ledger);
  struct Taken final : Allocator::Sink {
    OfferLedger* ledger{};
    std::vector<std::pair<NodeIndex, Resources>> offers;
    void offer(NodeIndex node, FrameworkIndex framework, Resources resources, OfferTag tag) override {
      offers.emplace_back(node, resources);
      (void)ledger->open(node, framework, std::move(resources), tag, Instant::from_ns(1));
    }
  } sink;
  sink.ledger = &ledger;
  Amounts total;
  for (std::uint32_t at = 0; at < 5000; ++at) {
    ledger.add_node();
    const Resources capacity = at == 4321 ? res("cpus=64;mem=64G") : res("cpus=2;mem=64G");
    total.add(capacity);
    ledger.set_capacity(NodeIndex{at}, capacity);
    drf.set_offerable(NodeIndex{at}, true);
  }
  drf.set_capacity(total);
  const FrameworkIndex one{0};
  drf.set_role(one, "default");
  drf.set_active(one, true);
  drf.allocate(Instant{}, sink);
  CHECK_FALSE(drf.has_work());
  CHECK(sink.offers.empty());
  drf.set_wants(one, {{res("cpus=32;mem=1G"), 3, false, {}}});
  CHECK(drf.has_work());
  drf.allocate(Instant{}, sink);
  CHECK_FALSE(drf.has_work());
  REQUIRE(sink.offers.size() == 1);
  CHECK(sink.offers[0].first == NodeIndex{4321});
  CHECK(sink.offers[0].second == res("cpus=64;mem=2G"));
  CHECK(drf.wants_left(one) == 1);
}

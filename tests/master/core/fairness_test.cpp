// Goal: resources go to who is furthest below its weighted dominant share, within quotas, in a fixed order.
// Method: frameworks that take every offer at once, until the cluster is full; then who has what is counted.
#include <random>
#include <tuple>

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
    void reclaim_standing(FrameworkIndex) override { FAIL("nothing stands here"); }
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

namespace {

// Books every offer and checks whose it is: of all that still want pieces nobody is further below its share.
struct CheckedBooks final : Allocator::Sink {
  struct Framework {
    std::uint32_t role{};
    std::uint64_t age{}, left{};
    Amounts charged;
  };
  CheckedBooks(Drf& allocator, OfferLedger& books) : drf(allocator), ledger(books) {}
  [[nodiscard]] auto rank(std::size_t at) const {
    const Framework& framework = frameworks[at];
    return std::tuple(role_charged[framework.role].dominant_share(total) / weights[framework.role],
                      framework.charged.dominant_share(total), framework.age);
  }
  void reclaim_standing(FrameworkIndex) override { FAIL("nothing stands here"); }
  void offer(NodeIndex node, FrameworkIndex index, Resources resources, OfferTag tag) override {
    for (std::size_t other = 0; other < frameworks.size(); ++other) {
      if (frameworks[other].left > 0) {
        CHECK(rank(index.value()) <= rank(other));
      }
    }
    Framework& framework = frameworks[index.value()];
    REQUIRE(framework.left >= tag.pieces);
    framework.left -= tag.pieces;
    framework.charged.add(resources);
    role_charged[framework.role].add(resources);
    drf.charge(index, resources);
    offers.push_back(ledger.open(node, index, std::move(resources), tag, Instant::from_ns(++made)));
  }
  void end(std::size_t place) {
    const OfferId id = offers[place];
    offers.erase(offers.begin() + static_cast<std::ptrdiff_t>(place));
    const Offer offer = *ledger.find(id);
    frameworks[offer.framework.value()].charged.remove(offer.resources);
    role_charged[frameworks[offer.framework.value()].role].remove(offer.resources);
    drf.discharge(offer.framework, offer.resources);
    ledger.close(id);
    drf.node_freed(offer.node);
  }
  Drf& drf;
  OfferLedger& ledger;
  std::vector<Framework> frameworks;
  std::vector<Amounts> role_charged;
  std::vector<double> weights;
  Amounts total;
  std::vector<OfferId> offers;
  std::int64_t made{};
};

}  // namespace

TEST_CASE("of many frameworks in several roles each offer goes to the one furthest below its share") {
  std::mt19937_64 random(3);
  OfferLedger ledger;
  Drf drf(ledger);
  CheckedBooks books(drf, ledger);
  for (std::uint32_t node = 0; node < 40; ++node) {
    Resources capacity;
    capacity.cpus_milli = 1000 * static_cast<MilliCpus>(1 + random() % 4);
    ledger.add_node();
    ledger.set_capacity(NodeIndex(node), capacity);
    books.total.add(capacity);
    drf.set_offerable(NodeIndex(node), true);
  }
  drf.set_capacity(books.total);
  for (std::uint32_t role = 0; role < 4; ++role) {
    books.role_charged.emplace_back();
    books.weights.push_back(1.0 + role);
    drf.set_weight("role" + std::to_string(role), 1.0 + role);
  }
  for (std::uint32_t framework = 0; framework < 12; ++framework) {
    books.frameworks.push_back({framework % 4, 0, 0, {}});
    drf.set_role(FrameworkIndex(framework), "role" + std::to_string(framework % 4));
    drf.set_active(FrameworkIndex(framework), true);
  }
  Resources piece;  // fits on whatever is free, so that nobody is passed over
  piece.cpus_milli = 1000;
  std::uint64_t requests = 0;
  for (int step = 0; step < 300; ++step) {
    for (std::uint32_t framework = 0; framework < 12; ++framework) {
      if (random() % 3 == 0) {
        const auto count = static_cast<std::uint32_t>(1 + random() % 20);
        books.frameworks[framework].left = count;
        books.frameworks[framework].age = ++requests;
        drf.set_wants(FrameworkIndex(framework), {{piece, count, false, {}}});
      }
    }
    for (std::uint64_t ends = random() % 20; ends > 0 && !books.offers.empty(); --ends) {
      books.end(random() % books.offers.size());
    }
    drf.allocate(Instant{}, books);
    REQUIRE_FALSE(drf.has_work());
  }
  CHECK(books.made > 1000);
}

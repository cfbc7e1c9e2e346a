// Goal: standing wants keep offers warm, and never at the cost of anybody's other wants.
// Method: frameworks with both kinds of wants on a small cluster; the books are audited after every step.
#include "tests/master/core/fake_cluster.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

FakeFramework::Want standing(std::uint32_t count) { return {res("cpus=1"), count, true, {}, true}; }
FakeFramework::Want ordinary(const char* shape, std::uint32_t count) { return {res(shape), count, false, {}, false}; }

struct Two {
  FakeCluster cluster;
  FakeNode& n1 = cluster.node("n1", res("cpus=4;mem=8G"));
  FakeNode& n2 = cluster.node("n2", res("cpus=4;mem=8G"));
  FakeFramework& warm = cluster.framework(1, "warm");
  FakeFramework& other = cluster.framework(2, "other");
  Two() {
    n1.enroll();
    n2.enroll();
    cluster.settle();
    warm.subscribe();
    other.subscribe();
  }
};

std::uint64_t cpus_of(const FakeFramework& framework) {
  std::uint64_t cpus = 0;
  for (const auto& offer : framework.offers) {
    cpus += offer.resources.cpus_milli;
  }
  return cpus / 1000;
}

}  // namespace

TEST_CASE("a standing want keeps all that is free offered, whole nodes, and says so") {
  Two t;
  t.warm.request({standing(64)});
  REQUIRE(t.warm.offers.size() == 2);
  CHECK(cpus_of(t.warm) == 8);
  CHECK(t.warm.offers[0].standing);
  CHECK(t.warm.offers[0].resources.memory_bytes == res("mem=8G").memory_bytes);
  // What an accept leaves over is offered again in the same step, and what its task had when it ends.
  const auto offer = t.warm.offers.front();
  const auto accept = t.warm.accept({offer.id}, {{attempt(1), offer.node, res("cpus=1;mem=1G")}});
  REQUIRE(t.warm.answer(accept).code == fb::RefusedCode::None);
  CHECK(cpus_of(t.warm) == 7);
  // A decline or the end of a lease brings it back, too.
  t.warm.decline({t.warm.offers.back().id}, 0);
  CHECK(cpus_of(t.warm) == 7);
  t.cluster.advance(Duration::from_seconds(11));
  CHECK(cpus_of(t.warm) == 7);
  t.warm.request({});
  t.warm.decline({t.warm.offers.front().id}, 0);
  CHECK(cpus_of(t.warm) < 7);
}

TEST_CASE("standing offers go to whoever wants something, in the step in which it asks") {
  Two t;
  t.warm.request({standing(64)});
  REQUIRE(cpus_of(t.warm) == 8);
  t.other.request({ordinary("cpus=2;mem=1G", 2)});
  CHECK(cpus_of(t.other) == 4);
  CHECK_FALSE(t.other.offers.front().standing);
  CHECK(cpus_of(t.warm) == 4);  // nothing is unmet any more
  CHECK_FALSE(t.warm.rescinded.empty());
  // While something is unmet nobody keeps anything warm, not even what the wish can't use.
  t.other.request({ordinary("cpus=64", 1)});
  CHECK(cpus_of(t.warm) == 0);
  t.other.request({});
  CHECK(cpus_of(t.warm) == 4);
}

TEST_CASE("its own wants leave a framework its standing offers, others' do not, and an accept of one that is gone has no effect") {
  Two t;
  t.warm.request({standing(64)});
  REQUIRE(cpus_of(t.warm) == 8);
  t.warm.request({standing(64), ordinary("cpus=4", 1)});
  CHECK(cpus_of(t.warm) == 8);
  const auto offer = t.warm.offers.front();
  t.other.request({ordinary("cpus=4", 2)});
  CHECK(cpus_of(t.other) == 4);
  CHECK(cpus_of(t.warm) == 4);  // its other want, which comes first by its share
  CHECK_FALSE(t.warm.offers.front().standing);
  const auto late = t.warm.accept({offer.id}, {{attempt(1), offer.node, res("cpus=1")}});
  CHECK(t.warm.answer(late).code == fb::RefusedCode::OfferGone);
}

TEST_CASE("a standing want takes no more pieces than it names, over any number of requests") {
  Two t;
  t.warm.request({{res("cpus=1"), 3, false, {}, true}});
  CHECK(cpus_of(t.warm) == 3);
  for (int i = 0; i < 3; ++i) {
    t.warm.request({{res("cpus=1"), 3, false, {}, true}});
    CHECK(cpus_of(t.warm) == 3);
    t.warm.decline({t.warm.offers.front().id}, 0);
    CHECK(cpus_of(t.warm) == 3);
  }
}

TEST_CASE("held offers stay with who holds them") {
  Two t;
  t.warm.request({standing(64)});
  const auto held = t.warm.offers.front();
  t.warm.hold({held.id}, 30'000);
  t.other.request({ordinary("cpus=4", 2)});
  CHECK(cpus_of(t.other) == 4);
  REQUIRE(t.warm.offers.size() == 1);
  CHECK(t.warm.offers.front().id == held.id);
}

TEST_CASE("offers of a standing want that stands no more make way all the same") {
  Two t;
  t.warm.request({standing(64)});
  REQUIRE(cpus_of(t.warm) == 8);
  t.warm.request({ordinary("cpus=64", 1)});  // waits for itself, and keeps what it has
  CHECK(cpus_of(t.warm) == 8);
  t.other.request({ordinary("cpus=4", 2)});
  CHECK(cpus_of(t.other) == 8);
  CHECK(cpus_of(t.warm) == 0);
}

TEST_CASE("pieces come back to the standing want that they were cut to, and those of an earlier request to any") {
  Two t;
  const std::vector<FakeFramework::Want> both = {{res("cpus=1"), 3, false, {}, true}, {res("cpus=2"), 2, false, {}, true}};
  t.warm.request(both);
  CHECK(cpus_of(t.warm) == 7);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3; ++i) {
      t.warm.decline({t.warm.offers.front().id}, 0);
      CHECK(cpus_of(t.warm) == 7);
    }
    t.warm.request({{res("cpus=1"), 7, false, {}, true}});
    t.cluster.advance(Duration::from_seconds(11));  // the leases of all that was open before have ended
    CHECK(cpus_of(t.warm) == 7);
    t.warm.request(both);
    t.cluster.advance(Duration::from_seconds(11));
    CHECK(cpus_of(t.warm) == 7);
  }
}

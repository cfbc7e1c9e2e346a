#include "sched/client/offer_pool.hpp"

#include <catch2/catch.hpp>

using namespace muster;
using namespace muster::client;

namespace {

Offer offer(std::uint32_t slot, std::uint32_t node, const char* resources, std::int64_t end_ms) {
  return {{slot, 1}, NodeIndex(node), *parse_resources(resources), Instant::from_ns(end_ms * 1'000'000)};
}

}  // namespace

TEST_CASE("open offers are pooled by node and leave by any way once", "[client]") {
  OfferPool pool;
  CHECK(pool.next_expiry() == Instant::never());
  CHECK(pool.add(offer(1, 1, "cpus=1;mem=1G", 100)));
  CHECK(pool.add(offer(2, 1, "cpus=2;ports=1-10", 50)));
  CHECK(pool.add(offer(3, 2, "cpus=4", 70)));
  CHECK_FALSE(pool.add(offer(3, 2, "cpus=4", 70)));          // known
  CHECK_FALSE(pool.add(offer(4, 1, "cpus=1;ports=5-6", 70)));  // overlaps
  CHECK(pool.nodes().at(NodeIndex(1)).total == *parse_resources("cpus=3;mem=1G;ports=1-10"));
  CHECK(pool.next_expiry() == Instant::from_ns(50'000'000));
  CHECK(pool.expire(Instant::from_ns(60'000'000)) == 1);
  CHECK(pool.nodes().at(NodeIndex(1)).total == *parse_resources("cpus=1;mem=1G"));
  pool.remove({2, 1});
  pool.extend({3, 1}, Instant::from_ns(500'000'000));
  CHECK(pool.next_expiry() == Instant::from_ns(100'000'000));
  CHECK(pool.take(NodeIndex(2)).size() == 1);
  pool.remove({1, 1});
  CHECK(pool.empty());
  CHECK(pool.size() == 0);
  CHECK(pool.next_expiry() == Instant::never());
}
